// What a pass keeps of a batch, behind the face of zo/nn/forward.hpp: differences read it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/layer/list.hpp"
#include "nn/plan.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

template <class T>
struct pass_values {
  explicit pass_values(const network& of);
  pass_values(const pass_values&);

  const network& net() const { return *base.net; }
  void check_run() const;
  /// Of a batch norm; refuses other values.
  const norm_base<T>& norm(index_t node) const;
  /// A pass keeps what its last batch needs, and not what the largest one needed.
  void make_room(index_t count);
  void evaluate(std::span<const T> statistics, std::span<const T> inputs, int threads);
  void prepare_differences(products how);
  void pair_with(std::span<const T> rows);
  std::vector<T> rows_of(index_t node) const;

  batch<T> base;
  std::vector<std::unique_ptr<layer<T>>> layers{};  // by unit of the plan
  product_sums sums{};
  std::vector<T> outputs{};
  bool has_run = false;
  std::optional<products> differences{};  // that weights are kept for
  // Of the outputs, as lane rows and as planes; empty: none since the last run.
  lane_vector<T> cotangent{}, cotangent_planes{};
  std::uint64_t runs = 0;  // by which differences know their pass
};

}  // namespace zo::nn::detail
