#include "training.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>
#include <zo/torch.hpp>
#if defined(DEFENSE_HAS_CUDA)
#include <zo/cuda/torch.hpp>
#endif

#include "checkpoint_tensors.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "randomness.hpp"

namespace defense {

namespace {

// numbers_of(first, last), one number a row, for the rows 0 … count-1 in the batches that the
// classifier is shown at a time. What a network answers to an image may depend on the batch around
// it, so processes share whole batches.
template <class Numbers>
torch::Tensor shared_rows(const app::processes& all, const black_box& classifier,
                          std::int64_t count, const Numbers& numbers_of) {
  const auto batches_of = [&](std::int64_t first, std::int64_t end) {
    std::vector<torch::Tensor> found;
    for (; first < end; first += classifier.batch()) {
      found.push_back(numbers_of(first, std::min(end, first + classifier.batch())));
    }
    return torch::cat(found);
  };
  if (all.ranks() == 1) return batches_of(0, count);
  torch::Tensor rows = torch::empty({count}, torch::kFloat64);
  const std::span<double> answers(rows.data_ptr<double>(), static_cast<std::size_t>(count));
  all.share(answers, classifier.batch(), [&](zo::index_t first, std::span<double> mine) {
    const auto size = static_cast<zo::index_t>(mine.size());
    rows.slice(0, first, first + size).copy_(batches_of(first, first + size));
  });
  return rows;
}

// The part of the loss that needs no classifier, per image.
torch::Tensor reconstruction_loss(const torch::Tensor& denoised, const minibatch& batch,
                                  const settings& s) {
  const auto images = static_cast<double>(denoised.size(0));
  return (denoised - batch.clean).square().sum() * (s.reconstruction / images);
}

// zo::boundary where the tensors are. On a GPU the memory of one estimate serves the next.
class boundary_asker {
 public:
  template <class F, class How>
  zo::tensor_boundary operator()(const F& losses, const torch::Tensor& z, const How& how,
                                 const zo::estimate_options& options) {
#if defined(DEFENSE_HAS_CUDA)
    if (z.is_cuda()) {
      if (!memory_) memory_.emplace(zo::cuda::on(c10::cuda::getCurrentCUDAStream()));
      return zo::boundary(memory_->on(), losses, z, how, options, *memory_);
    }
#endif
    return zo::boundary(zo::par, losses, z, how, options);
  }

 private:
#if defined(DEFENSE_HAS_CUDA)
  std::optional<zo::cuda::workspace> memory_;
#endif
};

// A failed answer makes the gradient of its image zero, or that of all: nothing would be learned,
// and nobody told. Losses that are not numbers are for run_stage.
void require_answers(const zo::tensor_boundary& found, const zo::estimate_options& at) {
  if (found.ok && found.failed == 0) return;
  const bool near = found.losses.isfinite().all().item<bool>();
  throw std::runtime_error(std::to_string(found.failed) + " of the " +
                           std::to_string(found.queries) + " answers of step " +
                           std::to_string(at.step) + " are not numbers; give a " +
                           (near ? "--mu nearer to " + app::shortest(settings{}.smoothing)
                                 : std::string("lower --rate or --mu")));
}

// The ZO-AE-DS step. The gradient of the loss with respect to `inner` comes from queries; the rest
// is back-propagation of <inner, gradient>, the same in all processes.
step_report query_step(const defended& front, const problem& p, const method& m,
                       black_box& classifier, boundary_asker& boundary, const minibatch& batch,
                       const zo::estimate_options& options, const settings& s,
                       const app::processes& all) {
  const torch::Tensor denoised = front.denoised(batch.noisy);
  const torch::Tensor inner = front.inner(denoised);
  const auto losses = [&](const torch::Tensor& candidates, const torch::Tensor& rows) {
    const auto targets = batch.targets.index_select(0, rows);
    return shared_rows(all, classifier, candidates.size(0),
                       [&](std::int64_t first, std::int64_t last) {
                         const auto part = candidates.slice(0, first, last);
                         const auto images = m.autoencoder ? p.decoder.forward(part) : part;
                         return cross_entropy_of_rows(classifier.answers(images) / s.temperature,
                                                      targets.slice(0, first, last));
                       });
  };
  const auto found = boundary(losses, inner, m.how, options);
  require_answers(found, options);
  torch::Tensor surrogate = (inner * found.gradients).sum() / inner.size(0);
  if (s.reconstruction > 0) surrogate = surrogate + reconstruction_loss(denoised, batch, s);
  surrogate.backward();
  return {found.losses.mean().item<double>(), batch.clean.size(0) + found.queries};
}

step_report white_box_step(const defended& front, const problem& p, const minibatch& batch,
                           const settings& s) {
  const torch::Tensor denoised = front.denoised(batch.noisy);
  const auto logits = p.classifier.forward(front.decoded(front.inner(denoised)));
  const auto stability =
      torch::nn::functional::cross_entropy(logits / s.temperature, batch.targets);
  torch::Tensor loss = stability;
  if (s.reconstruction > 0) loss = loss + reconstruction_loss(denoised, batch, s);
  loss.backward();
  return {stability.item<double>(), batch.clean.size(0)};
}

}  // namespace

minibatch draw(const problem& p, black_box& classifier, const settings& s,
               const app::processes& all, std::int64_t step) {
  const auto at = static_cast<std::uint64_t>(step);
  const torch::Device device = p.train.pixels.device();
  const auto rows =
      random_rows(app::seed_for(s.seed, "defense batch"), at, s.batch, p.train.count());
  const auto clean = p.train.batch(rows.to(device));
  const auto noise = normal(app::seed_for(s.seed, "defense noise"), at, 0, clean.sizes());
  const torch::Tensor answers =
      shared_rows(all, classifier, s.batch, [&](std::int64_t first, std::int64_t last) {
        return classifier.classes(clean.slice(0, first, last));
      });
  return {clean, clean + s.noise * noise.to(device), answers.to(device, torch::kInt64)};
}

defended::defended(const problem& p, const method& m, const settings& s) {
  if (!m.trained) return;
  const torch::Device device(s.device);
  // The same start for every method.
  torch::manual_seed(app::seed_for(s.seed, "weights of the denoiser"));
  denoiser_ = dncnn(p.test.pixels.size(1), s.depth, s.width);
  denoiser_->to(device);
  if (!m.autoencoder) return;
  encoder_ = copy_of_encoder(p, device);
  decoder_ = p.decoder;
}

torch::Tensor defended::denoised(const torch::Tensor& noisy) const {
  if (!denoiser_) return noisy;
  return dncnn(denoiser_)->forward(noisy);
}

torch::Tensor defended::inner(const torch::Tensor& denoised) const {
  return has_autoencoder() ? encoder_.forward(denoised) : denoised;
}

torch::Tensor defended::decoded(const torch::Tensor& inner) const {
  return has_autoencoder() ? decoder_.forward(inner) : inner;
}

torch::Tensor defended::shown(const torch::Tensor& noisy) const {
  return decoded(inner(denoised(noisy)));
}

torch::Tensor defended::classes(const torch::Tensor& noisy, black_box& classifier) const {
  const torch::NoGradGuard no_gradient;
  return classifier.classes(shown(noisy));
}

void defended::train(bool on) {
  for (auto& [name, module] : modules()) module->train(on);
}

std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> defended::modules() const {
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> all;
  if (denoiser_) all.emplace_back("denoiser", denoiser_.ptr());
  if (has_autoencoder()) all.emplace_back("encoder", encoder_.module);
  return all;
}

stage_report train_defense(defended& front, const problem& p, const method& m,
                           black_box& classifier, const settings& s, const app::processes& all) {
  stage training{m.key, s.steps, s.rate, select(s, defense_options(s)), front.modules(), {}};
  training.settings["estimate"] = m.key;
  for (const auto& [name, module] : training.modules) {
    for (const auto& parameter : module->parameters()) training.trained.push_back(parameter);
  }
  front.train(true);
  const stage_report report =
      run_stage(training, s, all, gradient_of(front, p, m, classifier, s, all));
  front.train(false);
  return report;
}

std::function<step_report(std::int64_t step)> gradient_of(const defended& front, const problem& p,
                                                          const method& m, black_box& classifier,
                                                          const settings& s,
                                                          const app::processes& all) {
  const std::uint64_t directions = app::seed_for(s.seed, "directions");
  const auto boundary = std::make_shared<boundary_asker>();
  return [&, directions, boundary](std::int64_t step) {
    const minibatch batch = draw(p, classifier, s, all, step);
    const zo::estimate_options options{.seed = directions,
                                       .step = static_cast<std::uint64_t>(step)};
    return m.white_box ? white_box_step(front, p, batch, s)
                       : query_step(front, p, m, classifier, *boundary, batch, options, s, all);
  };
}

std::vector<std::string> defense_options(const settings& s) {
  std::vector<std::string> names = {"dataset",   "seed",           "device", "threads",
                                    "noise",     "latent",         "depth",  "width",
                                    "batch",     "steps",          "rate",   "temperature",
                                    "smoothing", "reconstruction", "scheme", "distribution"};
  if (s.dataset == "fashion-mnist") {
    if (s.classifier.empty()) names.emplace_back("classifier-steps");
    names.emplace_back("autoencoder-steps");
  }
  if (!s.classifier.empty()) names.emplace_back("classifier");
  return names;
}

}  // namespace defense
