// Where differences begin. Device code.
#pragma once

#include "cuda/nn/launches.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

/// layer.channel(element) is the channel of its output that one element of a parameter moves,
/// layer.difference(element, row, step) by how much there.
template <class T, class Layer>
struct begin_piece {
  probe_group<T> group;
  index_t rows;
  Layer layer;

  __device__ void operator()(index_t probe, index_t row) const {
    const index_t number = group.order[probe];
    const auto element = static_cast<int>(group.coordinates[number] - group.offset);
    if (row == 0) group.channels[probe] = layer.channel(element);
    group.out[probe * rows + row] =
        layer.difference(element, static_cast<int>(row), group.steps[number]);
  }
};

template <class T, class Layer>
void begin_by(cudaStream_t stream, const probe_group<T>& group, index_t rows, const Layer& layer) {
  for_rows(stream, group.count, rows, begin_piece<T, Layer>{group, rows, layer}, changes_launch);
}

}  // namespace zo::cuda::detail
