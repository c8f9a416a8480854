#include "solver.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>
#include <vector>

namespace wake {

namespace {

using torch::Tensor;
using torch::indexing::None;
using torch::indexing::Slice;

constexpr double middle = 2.5, radius = 0.5;

torch::TensorOptions like(const Tensor& other) { return other.options(); }

// The value to the left of each, `inflow` of the first.
Tensor from_left(const Tensor& field, double inflow) {
  const Tensor first = torch::full_like(field.index({"...", Slice(None, 1)}), inflow);
  return torch::cat({first, field.index({"...", Slice(None, -1)})}, -1);
}

// The value to the right of each; the last repeats itself.
Tensor from_right(const Tensor& field) {
  return torch::cat({field.index({"...", Slice(1, None)}), field.index({"...", Slice(-1, None)})},
                    -1);
}

Tensor from_above(const Tensor& field) { return field.roll(-1, -2); }
Tensor from_below(const Tensor& field) { return field.roll(1, -2); }

// How much of a face lies in the cylinder, over the width of a cell.
Tensor covered(const grid& g, double x_shift, double y_shift) {
  const auto options = torch::TensorOptions(torch::kDouble);
  const double h = g.spacing();
  const Tensor x = (torch::arange(g.columns, options) + x_shift) * h - middle;
  const Tensor y = (torch::arange(g.rows, options) + y_shift) * h - middle;
  const Tensor distance = (x.pow(2).unsqueeze(0) + y.pow(2).unsqueeze(1)).sqrt();
  return ((radius - distance) / h + 0.5).clamp(0, 1);
}

// Eigenvalues and eigenvectors of the negative second difference over n cells.
std::tuple<Tensor, Tensor> second_difference(std::int64_t n, bool periodic) {
  Tensor matrix = torch::zeros({n, n}, torch::kDouble);
  auto a = matrix.accessor<double, 2>();
  for (std::int64_t i = 0; i < n; ++i) {
    a[i][i] += 1;  // the face on the right: behind the last cell pressure is 0
    if (i + 1 < n) {
      a[i + 1][i + 1] += 1;
      a[i][i + 1] -= 1;
      a[i + 1][i] -= 1;
    } else if (periodic) {
      a[0][0] += 1;
      a[0][i] -= 1;
      a[i][0] -= 1;
    }
  }
  return torch::linalg_eigh(matrix, "L");
}

}  // namespace

solver::solver(const grid& where, double largest_viscosity) : grid_(where) {
  const double h = where.spacing();
  constexpr double stable = 0.2;  // below 1 / 4
  const double spread = largest_viscosity * where.time_step / (h * h);
  diffusion_steps_ = std::max<std::int64_t>(1, std::llround(std::ceil(spread / stable)));
  cylinder_ = torch::stack({covered(where, 1, 0.5), covered(where, 0.5, 1)});
  const auto [along_values, along] = second_difference(where.columns, false);
  const auto [across_values, across] = second_difference(where.rows, true);
  along_ = along;
  across_ = across;
  inverse_ = 1 / (across_values.unsqueeze(1) + along_values.unsqueeze(0));
}

Tensor solver::advect(const Tensor& state) const {
  const std::int64_t rows = grid_.rows, columns = grid_.columns;
  const double cells = grid_.time_step / grid_.spacing();
  const Tensor u = state.select(1, 0), v = state.select(1, 1);
  const Tensor v_right = v + from_right(v), u_left = u + from_left(u, 1);
  const Tensor v_at_u = (v_right + from_below(v_right)) / 4;
  const Tensor u_at_v = (u_left + from_above(u_left)) / 4;

  // Where each face's fluid was, in cells, on a field with one column before and one row after it.
  const Tensor i = torch::arange(1, columns + 1, like(state));
  const Tensor j = torch::arange(rows, like(state)).unsqueeze(1);
  const Tensor x = i - cells * torch::stack({u, u_at_v}, 1);
  const Tensor y = (j - cells * torch::stack({v_at_u, v}, 1)).remainder(static_cast<double>(rows));
  const Tensor places = torch::stack(
      {x * (2.0 / static_cast<double>(columns)) - 1, y * (2.0 / static_cast<double>(rows)) - 1},
      -1);
  Tensor field = torch::cat({state, state.index({Slice(), Slice(), Slice(None, 1)})}, 2);
  const Tensor before = torch::stack({torch::ones_like(field.index({Slice(), 0, Slice(), 0})),
                                      torch::zeros_like(field.index({Slice(), 0, Slice(), 0}))},
                                     1);
  field = torch::cat({before.unsqueeze(-1), field}, -1);
  const std::int64_t count = state.size(0);
  return torch::grid_sampler(field.reshape({2 * count, 1, rows + 1, columns + 1}),
                             places.reshape({2 * count, rows, columns, 2}), 0, 1, true)
      .reshape({count, 2, rows, columns});
}

Tensor solver::diffuse(const Tensor& state, const Tensor& viscosities) const {
  const double h = grid_.spacing();
  const Tensor spread = (viscosities.to(state.scalar_type()) *
                         (grid_.time_step / (h * h * static_cast<double>(diffusion_steps_))))
                            .view({-1, 1, 1, 1});
  Tensor now = state;
  for (std::int64_t k = 0; k < diffusion_steps_; ++k) {
    const Tensor left =
        torch::stack({from_left(now.select(1, 0), 1), from_left(now.select(1, 1), 0)}, 1);
    now = now + spread * (left + from_right(now) + from_above(now) + from_below(now) - 4 * now);
  }
  return now;
}

Tensor solver::settle(const Tensor& state, const Tensor& viscosities) const {
  return project(diffuse(state, viscosities) * (1 - cylinder_.to(state.scalar_type())));
}

Tensor solver::divergence(const Tensor& state) const {
  const Tensor u = state.select(1, 0), v = state.select(1, 1);
  return (u - from_left(u, 1) + v - from_below(v)) / grid_.spacing();
}

Tensor solver::vorticity(const Tensor& state) const {
  const Tensor u = state.select(1, 0), v = state.select(1, 1);
  return (from_right(v) - v - from_above(u) + u) / grid_.spacing();
}

Tensor solver::project(const Tensor& state) const {
  const auto type = state.scalar_type();
  const Tensor along = along_.to(type), across = across_.to(type);
  const Tensor sources = divergence(state) * grid_.spacing();
  const Tensor modes = across.t().matmul(sources).matmul(along) * inverse_.to(type);
  const Tensor pressure = across.matmul(modes).matmul(along.t());  // with the sign of its own
  const Tensor behind = torch::zeros_like(pressure.index({"...", Slice(None, 1)}));
  const Tensor next = torch::cat({pressure.index({"...", Slice(1, None)}), behind}, -1);
  return state + torch::stack({next - pressure, from_above(pressure) - pressure}, 1);
}

Tensor solver::step(const Tensor& state, const Tensor& viscosities) const {
  return settle(advect(state), viscosities);
}

Tensor coarsened(const Tensor& fine, std::int64_t factor) {
  // Of a coarse face's fine ones those on its line: every factor-th along its normal.
  const Tensor u = fine.select(1, 0), v = fine.select(1, 1);
  const auto count = fine.size(0), rows = fine.size(2) / factor, columns = fine.size(3) / factor;
  const auto cells = std::vector<std::int64_t>{count, rows, factor, columns, factor};
  return torch::stack({u.reshape(cells).select(4, factor - 1).mean(2),
                       v.reshape(cells).select(2, factor - 1).mean(3)},
                      1);
}

Tensor initial_state(const solver& flow, std::int64_t count) {
  const grid& g = flow.where();
  const double h = g.spacing();
  Tensor state = torch::zeros({count, 2, g.rows, g.columns}, torch::kDouble);
  state.select(1, 0).fill_(1);
  const Tensor x = (torch::arange(g.columns, torch::kDouble) + 0.5) * h;
  const Tensor y = (torch::arange(g.rows, torch::kDouble) + 1) * h;
  const Tensor bump =
      torch::exp(-((x - middle - 1.5).pow(2).unsqueeze(0) + (y - middle).pow(2).unsqueeze(1)));
  state.select(1, 1).copy_(0.5 * bump);
  return flow.project(state * (1 - flow.cylinder()));
}

}  // namespace wake
