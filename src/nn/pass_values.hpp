// What a pass keeps of a batch, behind the face of zo/nn/forward.hpp: differences read it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "evaluation.hpp"
#include "lanes.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

// Factors of a batch norm, by channel: y = (x - mean) scale + shift, where the shift has what
// rounding left of the mean.
template <class T>
struct norm_factors {
  std::vector<T> mean, scale, shift;
};

template <class T>
struct pass_values {
  explicit pass_values(const network& of);

  const T* data(index_t node) const { return values[static_cast<std::size_t>(node)].data(); }
  std::span<const T> parameter(index_t number) const;
  void check_run() const;
  void check_norm(index_t node) const;
  void make_room(index_t count);
  void evaluate(std::span<const T> statistics, std::span<const T> inputs, int threads);
  void convolve(index_t id, int threads);
  void normalize(index_t id, std::span<const T> statistics, int threads);
  void measure(index_t id, bool sums_known, int threads);
  void pack_for(products how);
  std::vector<T> rows_of(index_t node) const;

  std::shared_ptr<const network> net;
  std::shared_ptr<const evaluation> together;
  index_t samples = 0;
  norm_mode mode = norm_mode::train;
  bool has_run = false;
  std::optional<products> differences{};  // that the weights are kept for
  std::uint64_t runs = 0;                 // by which differences know their pass
  std::vector<T> parameters{};

  // By node.
  std::vector<lane_vector<T>> values, packed, tiles;
  std::vector<std::vector<bfloat16_pair>> pairs;
  std::vector<std::vector<double>> means, rests, variances, roots;  // rest: mean - mean as T
  std::vector<norm_factors<T>> factors;

  std::vector<double> sums{};
  index_t summed = -1;  // the node whose values sums are of
  std::vector<T> outputs{};
};

}  // namespace zo::nn::detail
