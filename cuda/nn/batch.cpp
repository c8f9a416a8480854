// What a call brings: whether it fits the network, and memory for it.
#include <limits>
#include <variant>

#include "cuda/nn/state.hpp"
#include "zo/error.hpp"

namespace zo::cuda::detail {

using nn::node;
using zo::detail::require;

namespace {

template <class T>
const void* target_data(const network_batch<T>& batch) {
  return std::visit([](const auto& those) { return static_cast<const void*>(those.data()); },
                    batch.targets);
}

}  // namespace

template <class T>
loss_targets network_state<T>::targets() const {
  if (const auto* classes = std::get_if<span<const index_t>>(&batch.targets)) {
    return {classes->data(), nullptr};
  }
  return {nullptr, std::get<span<const double>>(batch.targets).data()};
}

template <class T>
void network_state<T>::check_call(index_t dimension, cudaStream_t given) const {
  require(given == on.stream(), who,
          ": the stream is not that of the objective's policy; make one objective a stream");
  require(dimension == net.parameter_count(), who, ": the network has ", net.parameter_count(),
          " parameters, got ", dimension);
}

template <class T>
void network_state<T>::set_up(const network_batch<T>& next) {
  const nn::shape& sample = nodes().front().out;
  nn::detail::check_batch(who, net, next.count, options.mode);
  for (const node& n : nodes()) {
    const index_t numbers =
        nn::detail::product_of({next.count, std::max(n.in.size(), n.out.size())});
    require(numbers < std::numeric_limits<int>::max(), who, ": ", next.count, " samples of ",
            nn::text_of(n.out), " are more numbers than 31 bits count; use smaller batches");
  }
  require(next.inputs.size() == next.count * sample.size(), who, ": ", next.count, " samples of ",
          nn::text_of(sample), " need ", next.count * sample.size(), " numbers, got ",
          next.inputs.size());
  const bool classes = std::holds_alternative<span<const index_t>>(next.targets);
  const index_t wanted = classes ? next.count : next.count * net.output().size();
  const index_t got = classes ? std::get<span<const index_t>>(next.targets).size()
                              : std::get<span<const double>>(next.targets).size();
  require(got == wanted, who, ": ", next.count, " samples need ", wanted,
          classes ? " classes, got " : " wanted numbers, got ", got);
  check_device_pointer(on, who, "inputs", next.inputs.data());
  check_device_pointer(on, who, "targets", target_data(next));
  batch = next;
  if (next.count == samples) return;
  samples = next.count;
  layouts.clear();
  try {
    lay_out();
  } catch (...) {
    samples = 0;
    throw;
  }
}

#define ZO_BATCH(T)                                                        \
  template loss_targets network_state<T>::targets() const;                 \
  template void network_state<T>::check_call(index_t, cudaStream_t) const; \
  template void network_state<T>::set_up(const network_batch<T>&)
ZO_BATCH(float);
ZO_BATCH(double);
#undef ZO_BATCH

}  // namespace zo::cuda::detail
