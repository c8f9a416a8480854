// A pass: values of every node, and the loss.
#include <type_traits>

#include "cuda/nn/state.hpp"

namespace zo::cuda::detail {

using nn::node;
using nn::operation;

namespace {

// All of a value, as if it were the difference of one probe.
template <class T>
change<T> whole(const T* value, const window& w, index_t rows) {
  change<T> all;
  all.how = extent::full;
  all.exact = value;
  all.all_channels = w.in_channels;
  all.rows = rows;
  return all;
}

}  // namespace

template <class T>
embedding_table<T> network_state<T>::table_of(const node& n) const {
  return {net.parameters()[at(n.weight)].dims.front(), static_cast<int>(n.out.channels),
          parameter(n.weight)};
}

template <class T>
void network_state<T>::run(const T* point) {
  x = point;
  for (index_t id = 0; id < static_cast<index_t>(nodes().size()); ++id) evaluate(id);
}

template <class T>
void network_state<T>::evaluate(index_t id) {
  const node& n = nodes()[at(id)];
  const window& w = windows[at(id)];
  T* const out = values[at(id)];
  const T* const in = value(n.first);
  const auto all = whole(in, w, samples * n.in.area());
  const sink<T> to{out, nullptr};
  switch (n.what) {
    case operation::input:
      return to_channels_last(stream(), samples, w.out_channels, w.out_area(), batch.inputs.data(),
                              out);
    case operation::convolution:
    case operation::linear:
      arrange_weights(stream(), w, parameter(n.weight), arranged[at(id)]);
      return convolve<T>(stream(), 1, samples, w, all, arranged[at(id)], parameter(n.bias), to);
    case operation::batch_norm:
      return run_norm(id);
    case operation::relu:
      return relu_values(stream(), numbers(id), in, out);
    case operation::add:
      return add_values(stream(), numbers(id), in, value(n.second), out);
    case operation::max_pool:
      return max_pool_values(stream(), samples, w, in, out);
    case operation::average_pool:
    case operation::global_average_pool:
      return mean_pool_changes(stream(), 1, samples, w, all, to);
    case operation::subsample:
      return subsample_changes(stream(), 1, samples, w, all, to);
    case operation::embedding:
      return embedding_values(stream(), rows(id), table_of(n), in, out);
    case operation::positions:
      return positions_values(stream(), samples, w, parameter(n.weight), in, out);
    case operation::layer_norm:
      return layer_norm_values(stream(), rows(id), w.in_channels, n.epsilon, row_norms[at(id)],
                               parameter(n.weight), parameter(n.bias), in, out);
    case operation::gelu:
      return gelu_values(stream(), numbers(id), in, out);
    case operation::attention:
      return attention_values(stream(), samples, attention_of(n), attentions[at(id)], in, out);
  }
}

template <class T>
void network_state<T>::run_norm(index_t id) {
  const node& n = nodes()[at(id)];
  const int channels = static_cast<int>(n.in.channels);
  const norm_base<T>& norm = norms[at(id)];
  const T* const in = value(n.first);
  if (trains()) {
    value_sums<T>(stream(), rows(id), channels, in, nullptr, partial);
    find_mean<T>(stream(), rows(id), channels, partial, norm);
    value_sums<T>(stream(), rows(id), channels, in, norm.centre, partial);
    find_root<T>(stream(), rows(id), channels, in, partial, n.epsilon, norm);
  } else {
    const T* const mean = running.data() + net.statistics()[at(n.running_mean)].offset;
    const T* const variance = running.data() + net.statistics()[at(n.running_var)].offset;
    use_running(stream(), channels, mean, variance, n.epsilon, norm);
    keep_responses(stream(), channels, parameter(n.weight), norm);
  }
  norm_values(stream(), rows(id), channels, norm, parameter(n.weight), parameter(n.bias), in,
              values[at(id)]);
}

// For differences, where products are on tensor cores.
template <class T>
void network_state<T>::round_weights() {
  if constexpr (std::is_same_v<T, float>) {
    for (index_t id = 0; id < static_cast<index_t>(nodes().size()); ++id) {
      if (rounded[at(id)] == nullptr) continue;
      detail::round_weights(stream(), windows[at(id)], parameter(nodes()[at(id)].weight),
                            rounded[at(id)]);
    }
  }
}

template <class T>
void network_state<T>::run_loss(double* loss) {
  const nn::shape& s = net.output();
  begin_loss<T>(stream(), samples, static_cast<int>(s.channels), static_cast<int>(s.area()),
                targets(), values.back(), loss_kept, parts);
  mean_parts(stream(), 1, samples, parts, nullptr, loss);
}

template <class T>
void network_state<T>::move_statistics(span<T> statistics, double momentum) {
  for (index_t id = 0; id < static_cast<index_t>(nodes().size()); ++id) {
    const node& n = nodes()[at(id)];
    if (n.what != operation::batch_norm) continue;
    detail::move_statistics(stream(), rows(id), static_cast<int>(n.in.channels), momentum,
                            norms[at(id)],
                            statistics.data() + net.statistics()[at(n.running_mean)].offset,
                            statistics.data() + net.statistics()[at(n.running_var)].offset);
  }
}

#define ZO_PASS(T)                                                  \
  template void network_state<T>::run(const T*);                    \
  template void network_state<T>::round_weights();                  \
  template void network_state<T>::run_loss(double*);                \
  template void network_state<T>::move_statistics(span<T>, double); \
  template embedding_table<T> network_state<T>::table_of(const node&) const
ZO_PASS(float);
ZO_PASS(double);
#undef ZO_PASS

}  // namespace zo::cuda::detail
