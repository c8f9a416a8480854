// What users of networks on the device call.
#include <limits>

#include "cuda/nn/state.hpp"
#include "zo/error.hpp"

namespace zo::cuda {

template <class T>
struct network_objective<T>::state : detail::network_state<T> {};

namespace {

using detail::window;
using nn::node;
using nn::operation;
using zo::detail::require;

constexpr const char* who = "zo::cuda::network_objective";
std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

window window_of(const node& n) {
  window w{};
  w.in_height = static_cast<int>(n.in.height);
  w.in_width = static_cast<int>(n.in.width);
  w.in_channels = static_cast<int>(n.in.channels);
  w.out_height = static_cast<int>(n.out.height);
  w.out_width = static_cast<int>(n.out.width);
  w.out_channels = static_cast<int>(n.out.channels);
  const bool whole = n.what == operation::linear || n.what == operation::global_average_pool;
  w.height = whole ? w.in_height : static_cast<int>(n.kernel);
  w.width = whole ? w.in_width : static_cast<int>(n.kernel);
  w.stride = whole ? 1 : static_cast<int>(n.stride);
  w.padding = whole ? 0 : static_cast<int>(n.padding);
  return w;
}

}  // namespace

template <class T>
network_objective<T>::network_objective(const policy& on, const nn::network& net,
                                        std::function<network_batch<T>(sample_id)> batch_of,
                                        span<const T> statistics, const network_options& options)
    : state_(new state{{.on = on,
                        .net = net,
                        .batch_of = std::move(batch_of),
                        .running = statistics,
                        .options = options}}) {
  require(state_->batch_of != nullptr, who, ": there is no function that makes batches");
  require(statistics.size() == net.statistic_count(), who, ": the network has ",
          net.statistic_count(), " statistics, got ", statistics.size());
  require(options.max_bytes >= 1, who, ": max_bytes must be at least 1, got ", options.max_bytes);
  require(options.products == nn::products::exact || sizeof(T) == sizeof(float), who,
          ": products in bfloat16 are for networks of float");
  for (const nn::view& v : net.parameters()) {
    require(v.size < std::numeric_limits<int>::max(), who, ": ", v.name, " has ", v.size,
            " numbers, more than 31 bits count");
  }
  for (const node& n : net.nodes()) {
    require(std::max(n.in.height, n.in.width) + 2 * n.padding < std::numeric_limits<int>::max(),
            who, ": ", n.name, ": a padding of ", n.padding, " is more than 31 bits count");
  }
  for (const node& n : net.nodes()) state_->windows.push_back(window_of(n));
}

template <class T>
network_objective<T>::network_objective(network_objective&&) noexcept = default;
template <class T>
network_objective<T>& network_objective<T>::operator=(network_objective&&) noexcept = default;
template <class T>
network_objective<T>::~network_objective() = default;

template <class T>
void network_objective<T>::prepare(span<const T> x, span<double> loss, cudaStream_t stream,
                                   sample_id sample) {
  state& s = *state_;
  s.prepared = false;
  s.check_call(x.size(), stream);
  require(loss.size() == 1, who, ": prepare writes one loss, got room for ", loss.size());
  s.set_up(s.batch_of(sample));
  s.run(x.data());
  s.round_weights();
  s.run_loss(loss.data());
  s.prepared = true;
  s.multiplications = 0;
}

template <class T>
void network_objective<T>::probe(std::span<const index_t> known, span<const index_t> coordinates,
                                 span<const T> steps, span<double> differences,
                                 cudaStream_t stream) {
  state& s = *state_;
  require(s.prepared, who, ": prepare comes before probes");
  s.check_call(s.net.parameter_count(), stream);
  const auto count = static_cast<index_t>(known.size());
  require(coordinates.size() == count && steps.size() == count && differences.size() == count, who,
          ": ", count, " probes need as many coordinates, steps and differences, got ",
          coordinates.size(), ", ", steps.size(), " and ", differences.size());
  s.probe(known, coordinates, steps, differences);
}

template <class T>
void network_objective<T>::probe(span<const index_t> coordinates, span<const T> steps,
                                 span<double> differences, cudaStream_t stream) {
  std::vector<index_t> known(at(coordinates.size()));
  detail::copy_to_host(state_->on, coordinates.data(),
                       coordinates.size() * static_cast<index_t>(sizeof(index_t)), known.data());
  probe(known, coordinates, steps, differences, stream);
}

template <class T>
void network_objective<T>::operator()(points<T> points_to_ask, span<double> losses,
                                      cudaStream_t stream, sample_id sample) {
  state& s = *state_;
  s.prepared = false;
  s.check_call(points_to_ask.dimension, stream);
  require(losses.size() == points_to_ask.count, who, ": ", points_to_ask.count,
          " points need as many losses, got ", losses.size());
  s.set_up(s.batch_of(sample));
  for (index_t k = 0; k < points_to_ask.count; ++k) {
    s.run(points_to_ask[k].data());
    s.run_loss(losses.data() + k);
  }
}

template <class T>
void network_objective<T>::update_statistics(span<T> statistics, double momentum) {
  state& s = *state_;
  require(s.trains() && s.prepared, who, ": statistics are updated after prepare in train mode");
  require(statistics.size() == s.net.statistic_count(), who, ": the network has ",
          s.net.statistic_count(), " statistics, got ", statistics.size());
  require(momentum >= 0 && momentum <= 1, who, ": momentum must be 0 … 1, got ", momentum);
  s.move_statistics(statistics, momentum);
}

template <class T>
index_t network_objective<T>::multiplications() const {
  return state_->multiplications;
}

template <class T>
index_t network_objective<T>::bytes() const {
  return state_->kept.bytes() + state_->scratch.bytes();
}

template class network_objective<float>;
template class network_objective<double>;

}  // namespace zo::cuda
