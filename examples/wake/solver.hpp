// The flow behind a cylinder, solved once for every use: batched over simulations, so that it can
// be asked many questions at once, and of LibTorch's operations, so that it can be differentiated.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace wake {

/// A channel of 10 x 5 diameters of the cylinder, whose middle is 2.5 from the inflow. Lengths are
/// in diameters, velocities in that of the inflow, times in the quotient.
struct grid {
  std::int64_t columns = 32;  ///< along the flow: twice the rows
  std::int64_t rows = 16;     ///< across it; periodic
  double time_step = 0.2;

  double spacing() const { return 5.0 / static_cast<double>(rows); }
  std::int64_t numbers() const { return 2 * rows * columns; }
};

/// One step of the incompressible Navier-Stokes equations: semi-Lagrangian advection, diffusion,
/// the cylinder as a mask, pressure projection.
///
/// A state is B x 2 x rows x columns: the velocity along the flow on the right face of each cell,
/// and across it on the upper face (a staggered grid). Inflow on the left has velocity 1, pressure
/// is 0 behind the right end. Every function keeps the type of its argument and can be
/// differentiated by LibTorch.
class solver {
 public:
  /// `largest_viscosity` decides how many steps diffusion is divided into, so that it is stable.
  solver(const grid& where, double largest_viscosity);

  /// viscosities: B numbers, 1 / Reynolds number.
  torch::Tensor step(const torch::Tensor& state, const torch::Tensor& viscosities) const;

  /// The two parts of a step. Advection is local: an answer depends on few numbers nearby. What
  /// follows, diffusion, cylinder and projection, reaches everywhere, and is affine.
  torch::Tensor advect(const torch::Tensor& state) const;
  torch::Tensor settle(const torch::Tensor& state, const torch::Tensor& viscosities) const;

  torch::Tensor project(const torch::Tensor& state) const;

  /// B x rows x columns.
  torch::Tensor divergence(const torch::Tensor& state) const;
  /// At the corners of cells, B x rows x columns.
  torch::Tensor vorticity(const torch::Tensor& state) const;

  const grid& where() const { return grid_; }
  /// Of faces: 1 inside of the cylinder, 0 outside; 2 x rows x columns.
  const torch::Tensor& cylinder() const { return cylinder_; }

 private:
  torch::Tensor diffuse(const torch::Tensor& state, const torch::Tensor& viscosities) const;

  grid grid_;
  std::int64_t diffusion_steps_;
  torch::Tensor cylinder_;
  torch::Tensor along_, across_;  // eigenvectors of the second difference, along and across
  torch::Tensor inverse_;         // of the sums of their eigenvalues
};

/// The mean of the fine faces that make up a coarse one: B x 2 x rows x columns to a grid `factor`
/// times as coarse, which keeps a flow without divergence so.
torch::Tensor coarsened(const torch::Tensor& fine, std::int64_t factor);

/// A flow at rest in the cylinder, with a disturbance that starts the shedding of vortices.
torch::Tensor initial_state(const solver& flow, std::int64_t count);

}  // namespace wake
