// A row of a table for each position, a thread a number.
#include "zo/nn/layer/embedding.hpp"

#include "cuda/nn/begin.hpp"
#include "cuda/nn/place.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
__device__ T entry(const embedding_table<T>& table, T token, int channel) {
  const index_t row = nn::detail::row_of_token(token, table.entries);
  return row < 0 ? static_cast<T>(nan("")) : table.numbers[row * table.channels + channel];
}

template <class T>
struct embedding_piece {
  embedding_table<T> table;
  const T* tokens;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item at(item, table.channels);
    out[item] = entry(table, tokens[at.high], at.low);
  }
};

// Wherever the token is this one.
template <class T>
struct entry_step {
  int channels;
  const T* tokens;
  __device__ int channel(int element) const { return element % channels; }
  __device__ T difference(int element, int row, T step) const {
    return tokens[row] == static_cast<T>(element / channels) ? step : T(0);
  }
};

// Another token: the row that it has instead.
template <class T>
struct embedding_change_piece {
  embedding_table<T> table;
  change<T> d;
  index_t items;
  const T *tokens, *value;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const place_of_item at(item, table.channels);
    const T by = d.at(probe, at.high, 0);
    out.put(probe * items + item, entry(table, tokens[at.high] + by, at.low) - value[item]);
  }
};

}  // namespace

template <class T>
void embedding_values(cudaStream_t stream, index_t rows, const embedding_table<T>& table,
                      const T* tokens, T* out) {
  for_items(stream, rows * table.channels, embedding_piece<T>{table, tokens, out}, values_launch);
}
ZO_BOTH_TYPES(embedding_values);

template <class T>
void begin_embedding(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                     const T* tokens) {
  begin_by(stream, group, rows, entry_step<T>{channels, tokens});
}
ZO_BOTH_TYPES(begin_embedding);

template <class T>
void embedding_changes(cudaStream_t stream, index_t probes, const embedding_table<T>& table,
                       const change<T>& d, const T* tokens, const T* value, const sink<T>& out) {
  const index_t items = d.rows * table.channels;
  for_rows(stream, probes, items, embedding_change_piece<T>{table, d, items, tokens, value, out},
           changes_launch);
}
ZO_BOTH_TYPES(embedding_changes);

}  // namespace zo::cuda::detail
