// What a pass keeps, in one buffer.
#include "cuda/nn/memory.hpp"

#include <type_traits>

#include "cuda/nn/state.hpp"
#include "zo/error.hpp"

namespace zo::cuda::detail {

using zo::detail::require;

// What its layer keeps of a node, beside values.
template <class T>
template <class Keep>
void network_state<T>::keep_of_layer(index_t id, const Keep& keep) {
  const nn::node& n = nodes()[at(id)];
  if (nn::mixes(n.what)) {
    const index_t size = net.parameters()[at(n.weight)].size;
    keep(arranged[at(id)], size);
    if (on_tensor_cores(id)) keep(rounded[at(id)], size);
  }
  if (n.what == nn::operation::batch_norm) {
    norm_base<T>& norm = norms[at(id)];
    for (double** one : {&norm.mean, &norm.variance, &norm.root, &norm.rest})
      keep(*one, n.in.channels);
    keep(norm.centre, n.in.channels);
    keep(norm.kept, response_planes * n.in.channels);
  }
  if (n.what == nn::operation::layer_norm) {
    keep(row_norms[at(id)].mean, rows(id));
    keep(row_norms[at(id)].root, rows(id));
  }
  if (n.what == nn::operation::attention) {
    const index_t scores = samples * attention_of(n).scores();
    keep(attentions[at(id)].p, scores);
    keep(attentions[at(id)].log_p, scores);
  }
}

template <class T>
void network_state<T>::lay_out() {
  std::vector<std::pair<index_t, std::function<void(char*)>>> wanted;
  index_t total = 0;
  const auto keep = [&](auto*& pointer, index_t count) {
    using number = std::remove_reference_t<decltype(*pointer)>;
    wanted.emplace_back(total,
                        [&pointer](char* from) { pointer = reinterpret_cast<number*>(from); });
    total += aligned(count * static_cast<index_t>(sizeof(number)));
  };
  const std::size_t count = nodes().size();
  values.assign(count, nullptr);
  arranged.assign(count, nullptr);
  rounded.assign(count, nullptr);
  norms.assign(count, {});
  row_norms.assign(count, {});
  attentions.assign(count, {});
  index_t sums = 1;
  for (index_t id = 0; id < static_cast<index_t>(count); ++id) {
    keep(values[at(id)], numbers(id));
    keep_of_layer(id, keep);
    const nn::node& n = nodes()[at(id)];
    if (n.what != nn::operation::batch_norm) continue;
    sums = std::max(sums, 2 * n.in.channels * tiles_of(rows(id)));
  }
  keep(partial, sums);
  keep(loss_kept, 2 * numbers(static_cast<index_t>(count) - 1));
  keep(parts, samples);
  require(total <= options.max_bytes, who, ": a pass of ", samples, " samples needs ", total,
          " bytes, more than max_bytes = ", options.max_bytes,
          "; use smaller batches or allow more");
  scratch = {};  // the bound is for both
  if (kept.bytes() < total) {
    kept = {};
    kept = lasting(on, total);
  }
  for (const auto& [offset, place] : wanted) place(static_cast<char*>(kept.data()) + offset);
}

template void network_state<float>::lay_out();
template void network_state<double>::lay_out();

}  // namespace zo::cuda::detail
