// Coarse runs with a network in the loop, and the fine runs that they are held against.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "network.hpp"
#include "solver.hpp"

namespace wake {

/// Stretches of reference flow on the coarse grid.
struct window {
  torch::Tensor states;       ///< B x (T + 1) x 2 x rows x columns
  torch::Tensor viscosities;  ///< B

  std::int64_t count() const { return states.size(0); }
  std::int64_t steps() const { return states.size(1) - 1; }
};

/// The fine flow (`factor` times as fine) at these Reynolds numbers, coarsened: `steps` steps after
/// `settling` unseen ones, in which the vortex street develops. In float.
window reference(const grid& coarse, std::int64_t factor, const std::vector<double>& reynolds,
                 std::int64_t settling, std::int64_t steps);

/// The coarse solver with the network's correction after every step.
struct corrected_flow {
  const solver& flow;
  const network& net;

  /// B x Q x 2 x rows x columns for weights of Q x d; solver calls: B Q.
  torch::Tensor step(const torch::Tensor& weights, const torch::Tensor& states,
                     const torch::Tensor& viscosities) const;
  /// Mean square error of each candidate over the window, Q numbers in double. Solver calls: B T Q.
  torch::Tensor losses(const torch::Tensor& weights, const window& truth) const;
};

}  // namespace wake
