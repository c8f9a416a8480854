// The face of a pass: what is asked and said, and what is refused.
#include "zo/nn/forward.hpp"

#include "nn/layer/batch_norm.hpp"
#include "nn/pass_values.hpp"
#include "zo/error.hpp"

namespace zo::nn {

namespace detail {

void check_batch(const char* who, const network& net, index_t count, norm_mode mode) {
  zo::detail::require(count >= 1, who, ": a batch needs at least one sample, got ", count);
  for (const node& n : net.nodes()) {
    if (n.what != operation::batch_norm || mode == norm_mode::eval) continue;
    zo::detail::require(count > 1 || n.in.area() > 1, who, ": batch norm ", n.name,
                        " sees one number a channel in a batch of 1 sample of ", text_of(n.in),
                        ", which has no variance; use more samples, or norm_mode::eval");
  }
}

}  // namespace detail

namespace {

using zo::detail::require;

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

constexpr const char* who = "zo::nn::forward_pass";

}  // namespace

template <class T>
forward_pass<T>::forward_pass(const network& net)
    : values_(std::make_unique<detail::pass_values<T>>(net)) {}

template <class T>
forward_pass<T>::forward_pass(const forward_pass& other)
    : values_(std::make_unique<detail::pass_values<T>>(*other.values_)) {}
template <class T>
forward_pass<T>& forward_pass<T>::operator=(const forward_pass& other) {
  return *this = forward_pass(other);
}
template <class T>
forward_pass<T>::forward_pass(forward_pass&&) noexcept = default;
template <class T>
forward_pass<T>& forward_pass<T>::operator=(forward_pass&&) noexcept = default;
template <class T>
forward_pass<T>::~forward_pass() = default;

template <class T>
void forward_pass<T>::run_with(int threads, std::span<const T> parameters,
                               std::span<const T> statistics, std::span<const T> inputs,
                               index_t count, norm_mode mode) {
  detail::pass_values<T>& v = *values_;
  require(static_cast<index_t>(parameters.size()) == net().parameter_count(), who,
          ": the network has ", net().parameter_count(), " parameters, got ", parameters.size());
  require(static_cast<index_t>(statistics.size()) == net().statistic_count(), who,
          ": the network has ", net().statistic_count(), " statistics, got ", statistics.size());
  detail::check_batch(who, net(), count, mode);
  const shape sample = net().nodes().front().out;
  const index_t wanted = detail::product_of({count, sample.size()});
  require(static_cast<index_t>(inputs.size()) == wanted, who, ": ", count, " samples of ",
          text_of(sample), " need ", wanted, " numbers, got ", inputs.size());
  v.has_run = false;
  v.differences.reset();
  v.cotangent.clear();
  v.base.planes.clear();
  ++v.runs;
  v.make_room(count);
  v.base.samples = count;
  v.base.mode = mode;
  v.base.parameters.assign(parameters.begin(), parameters.end());
  v.evaluate(statistics, inputs, threads);
  v.has_run = true;
}

template <class T>
void forward_pass<T>::prepare_differences(products how) {
  detail::pass_values<T>& v = *values_;
  v.check_run();
  require(how == products::exact || sizeof(T) == sizeof(float), who,
          ": products in bfloat16 are for networks of float");
  v.prepare_differences(how);
}

template <class T>
void forward_pass<T>::pair_with(std::span<const T> cotangent) {
  values_->pair_with(cotangent);
}

template <class T>
const network& forward_pass<T>::net() const {
  return values_->net();
}

template <class T>
index_t forward_pass<T>::count() const {
  return values_->base.samples;
}

template <class T>
norm_mode forward_pass<T>::mode() const {
  return values_->base.mode;
}

template <class T>
std::span<const T> forward_pass<T>::outputs() const {
  values_->check_run();
  return values_->outputs;
}

template <class T>
std::vector<T> forward_pass<T>::value(index_t node) const {
  values_->check_run();
  const auto nodes = static_cast<index_t>(net().nodes().size());
  require(node >= 0 && node < nodes, who, ": value ", node, " is not in 0 … ", nodes - 1);
  return values_->rows_of(node);
}

template <class T>
std::span<const double> forward_pass<T>::means(index_t node) const {
  return values_->norm(node).mean;
}

template <class T>
std::span<const double> forward_pass<T>::roots(index_t node) const {
  return values_->norm(node).root;
}

template <class T>
std::span<const double> forward_pass<T>::variances(index_t node) const {
  const detail::norm_base<T>& norm = values_->norm(node);
  require(mode() == norm_mode::train, who, ": variances are of a pass in train mode");
  return norm.variance;
}

template <class T>
void forward_pass<T>::update_statistics(std::span<T> statistics, double momentum) const {
  values_->check_run();
  require(mode() == norm_mode::train, who, ": statistics are updated after a pass in train mode");
  require(static_cast<index_t>(statistics.size()) == net().statistic_count(), who,
          ": the network has ", net().statistic_count(), " statistics, got ", statistics.size());
  require(momentum >= 0 && momentum <= 1, who, ": momentum must be 0 … 1, got ", momentum);
  for (index_t id = 0; id < static_cast<index_t>(net().nodes().size()); ++id) {
    const node& n = net().nodes()[at(id)];
    if (n.what != operation::batch_norm) continue;
    const detail::norm_base<T>& norm = values_->norm(id);
    const double numbers = static_cast<double>(count() * n.in.area());
    const double unbiased = numbers / (numbers - 1);
    const index_t mean = net().statistics()[at(n.running_mean)].offset;
    const index_t var = net().statistics()[at(n.running_var)].offset;
    for (index_t c = 0; c < n.in.channels; ++c) {
      const double variance = norm.variance[at(c)];
      T& m = statistics[at(mean + c)];
      T& v = statistics[at(var + c)];
      m = static_cast<T>((1 - momentum) * static_cast<double>(m) + momentum * norm.mean[at(c)]);
      v = static_cast<T>((1 - momentum) * static_cast<double>(v) + momentum * unbiased * variance);
    }
  }
}

template class forward_pass<float>;
template class forward_pass<double>;

}  // namespace zo::nn
