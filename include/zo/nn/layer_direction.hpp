// RGE in the weights of one layer, by differences: the perturbed weights are never formed.
//
// A layer is linear in its weights, so a direction U moves its outputs by the layer itself with the
// weights mu U, applied to the input it has had; from there on differences travel (and batch norms
// follow them), so that mu may be as small as one likes. Directions have independent signs; those
// of low rank r are
//
//   U = A B^T / sqrt(r),   A: outputs x r,   B: fan_in x r,   signs all,
//
// and cost r filters and a 1x1 map instead of the whole layer (EGGROLL, arXiv 2511.16652:
// y = x W^T + s (x B) A^T, with s = mu / sqrt(r)). E[U_ij U_kl] = [i=k][j=l] for every r, so the
// scale is 1 and the estimate, the mean of slope x U, unbiased. For a gradient G of m x n weights
// the variance of one direction, summed over the weights, is (mn - 1) |G|^2, and of rank r (mn - 1
// + 2 (r - 1) / r) |G|^2: low rank costs no accuracy.
#pragma once

#include <optional>
#include <span>

#include "zo/config.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/loss.hpp"
#include "zo/nn/network.hpp"
#include "zo/random.hpp"

namespace zo::nn {

struct layer_direction_options {
  index_t directions = 16;        ///< q, at least 1
  double smoothing = 1e-4;        ///< mu: by how much one weight moves; above 0
  std::optional<index_t> rank{};  ///< none: full rank
};

/// Writes direction `number` (0 … 2^20 - 1) of a layer's parameters: weights, then biases, which
/// have signs of their own. A pure function of (seed, step, layer, number).
template <class T>
void fill_layer_direction(const network& net, index_t layer, const layer_direction_options& options,
                          const stream& from, index_t number, std::span<T> out);

/// Writes the estimate for one convolution or linear map (weights and bias) into its place of
/// `gradient`, which has all parameters. `base` is the pass of the batch, prepared for differences,
/// and `loss` prepared with its outputs. The same bits for any number of threads. Cost:
/// `directions` queries, each of the layer (or its r filters) and what follows it; returns their
/// multiplications. Memory: a few times the layer's values for each thread. Throws
/// std::invalid_argument.
template <class T, class Loss>
index_t estimate_by_directions(const forward_pass<T>& base, const Loss& loss, index_t layer,
                               const layer_direction_options& options, const stream& from,
                               std::span<T> gradient, int threads = 1);

}  // namespace zo::nn
