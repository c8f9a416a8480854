#include "queried.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <type_traits>
#include <zo/error.hpp>

namespace denoiser {

using zo::index_t;
using zo::detail::require;

zo::nn::network dncnn_network(zo::nn::shape image, index_t depth, index_t width) {
  zo::nn::network net(image);
  int number = 0;
  const auto name = [&](int modules) {
    const std::string now = "dncnn." + std::to_string(number);
    number += modules;
    return now;
  };
  index_t value = net.relu(
      net.convolution(net.input(), name(2), {.channels = width, .kernel = 3, .bias = true}));
  for (index_t layer = 2; layer < depth; ++layer) {
    value = net.convolution(value, name(1), {.channels = width, .kernel = 3});
    value = net.relu(net.batch_norm(value, name(2), 1e-4));
  }
  net.convolution(value, name(1), {.channels = image.channels, .kernel = 3});
  return net;
}

template <class T>
classifier_losses<T>::classifier_losses(noisy_batch<T> batch, defense::black_box& classifier)
    : batch_(std::move(batch)), classifier_(classifier), loss_(batch_.targets, 10) {}

template <class T>
std::vector<double> classifier_losses<T>::logits_of(const std::vector<T>& images,
                                                    index_t count) const {
  const auto& [channels, height, width] = batch_.image;
  const torch::Tensor asked =
      torch::from_blob(const_cast<T*>(images.data()), {count, channels, height, width},
                       std::is_same_v<T, double> ? torch::kFloat64 : torch::kFloat32);
  const torch::Tensor answers = classifier_.answers(asked).to(torch::kFloat64).contiguous();
  return {answers.data_ptr<double>(), answers.data_ptr<double>() + answers.numel()};
}

template <class T>
double classifier_losses<T>::prepare(std::span<const T> noise) {
  shown_.resize(noise.size());
  for (std::size_t i = 0; i < noise.size(); ++i) shown_[i] = batch_.noisy[i] - noise[i];
  logits_ = logits_of(shown_, batch_.count());
  return loss_.prepare<double>(logits_);
}

template <class T>
double classifier_losses<T>::at(std::span<const T> noise) const {
  std::vector<T> images(noise.size());
  for (std::size_t i = 0; i < noise.size(); ++i) images[i] = batch_.noisy[i] - noise[i];
  zo::nn::cross_entropy loss = loss_;
  return loss.prepare<double>(logits_of(images, batch_.count()));
}

template <class T>
std::vector<double> classifier_losses<T>::changes_of(std::span<const index_t> samples,
                                                     std::span<const T> changes) const {
  const auto pixels = static_cast<std::size_t>(batch_.image.size());
  std::vector<T> images(changes.size());
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const T* const base = shown_.data() + static_cast<std::size_t>(samples[row]) * pixels;
    for (std::size_t i = 0; i < pixels; ++i) {
      images[row * pixels + i] = base[i] - changes[row * pixels + i];
    }
  }
  std::vector<double> found = logits_of(images, static_cast<index_t>(samples.size()));
  const std::size_t classes = found.size() / samples.size();
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const double* const base = logits_.data() + static_cast<std::size_t>(samples[row]) * classes;
    for (std::size_t k = 0; k < classes; ++k) found[row * classes + k] -= base[k];
  }
  return found;
}

template <class T>
void classifier_losses<T>::differences(index_t group, std::span<const T> changes,
                                       std::span<double> found) const {
  std::vector<index_t> samples(static_cast<std::size_t>(group * batch_.count()));
  for (std::size_t row = 0; row < samples.size(); ++row) {
    samples[row] = static_cast<index_t>(row) % batch_.count();
  }
  const std::vector<double> moved = changes_of(samples, changes);
  const std::size_t one = moved.size() / static_cast<std::size_t>(group);
  for (std::size_t k = 0; k < static_cast<std::size_t>(group); ++k) {
    found[k] = loss_.difference(moved.data() + k * one);
  }
}

template <class T>
void classifier_losses<T>::parts(std::span<const index_t> samples, std::span<const T> changes,
                                 std::span<double> found) const {
  loss_.differences<double>(samples, changes_of(samples, changes), found);
}

template <class T>
weights_objective<T>::weights_objective(const zo::nn::network& net, classifier_losses<T>& losses,
                                        std::span<const T> statistics, index_t probes_at_once)
    : losses_(losses), statistics_(statistics), at_once_(probes_at_once), pass_(net) {}

template <class T>
double weights_objective<T>::prepare_with(int threads, std::span<const T> parameters) {
  pass_.run(zo::par.with_threads(threads), parameters, statistics_, losses_.batch().noisy,
            losses_.batch().count(), zo::nn::norm_mode::train);
  pass_.prepare_differences();
  for (const auto& maker : makers_) maker->begin();
  return losses_.prepare(pass_.outputs());
}

template <class T>
void weights_objective<T>::probe_with(int threads, std::span<const index_t> coordinates,
                                      std::span<const T> steps, std::span<double> differences) {
  const std::size_t outputs = pass_.outputs().size();
  while (makers_.size() < static_cast<std::size_t>(threads)) {
    makers_.push_back(std::make_unique<zo::nn::difference_pass<T>>(pass_));
  }
  for (std::size_t first = 0; first < coordinates.size();) {
    const std::size_t group =
        std::min(coordinates.size() - first, static_cast<std::size_t>(at_once_));
    std::vector<T> changes(group * outputs);
    auto one = [&](index_t k, int worker) {
      const auto at = static_cast<std::size_t>(k);
      const std::span<const T> changed =
          (*makers_[static_cast<std::size_t>(worker)])(coordinates[first + at], steps[first + at]);
      std::ranges::copy(changed, changes.begin() + static_cast<std::ptrdiff_t>(at * outputs));
    };
    zo::detail::run_loop(threads, static_cast<index_t>(group), zo::detail::loop_body(one));
    losses_.differences(static_cast<index_t>(group), changes, differences.subspan(first, group));
    first += group;
  }
}

std::vector<index_t> counts_of(const zo::nn::network& net, std::span<const double> scores,
                               index_t q) {
  const auto& parameters = net.parameters();
  require(q >= static_cast<index_t>(parameters.size()) && q <= net.parameter_count(),
          "the denoiser has ", net.parameter_count(), " weights in ", parameters.size(),
          " parameters, of which each is asked once at least: give a --q between, got ", q);
  std::vector<index_t> ranked(scores.size());
  std::iota(ranked.begin(), ranked.end(), index_t{0});
  std::ranges::stable_sort(ranked, [&](index_t a, index_t b) {
    return scores[static_cast<std::size_t>(a)] < scores[static_cast<std::size_t>(b)];
  });
  ranked.resize(static_cast<std::size_t>(q));
  std::vector<index_t> counts;
  for (const zo::nn::view& v : parameters) {
    counts.push_back(std::max<index_t>(1, std::ranges::count_if(ranked, [&](index_t i) {
                                         return i >= v.offset && i < v.offset + v.size;
                                       })));
  }
  for (index_t sum = std::reduce(counts.begin(), counts.end()); sum > q; --sum) {
    --*std::ranges::max_element(counts);
  }
  return counts;
}

std::vector<index_t> questions_by_layer(const zo::nn::network& net, index_t q) {
  const auto& nodes = net.nodes();
  std::vector<index_t> most(nodes.size(), 0), shares(nodes.size(), 0);
  index_t layers = 0;
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    if (nodes[id].weight < 0) continue;
    const bool norm = nodes[id].what == zo::nn::operation::batch_norm;
    most[id] = norm ? 2 * nodes[id].in.channels : nodes[id].out.size() / 4;
    ++layers;
  }
  require(q >= layers, "the denoiser has ", layers,
          " layers, of which each is asked once at least: give a --q of that or more, got ", q);
  require(q <= std::reduce(most.begin(), most.end()), "--q of ", q,
          " is more than the activations of the denoiser are asked: give less");
  while (q > 0) {
    for (std::size_t id = 0; id < nodes.size() && q > 0; ++id) {
      if (shares[id] == most[id]) continue;
      ++shares[id];
      --q;
    }
  }
  return shares;
}

template class classifier_losses<float>;
template class classifier_losses<double>;
template class weights_objective<float>;
template class weights_objective<double>;

}  // namespace denoiser
