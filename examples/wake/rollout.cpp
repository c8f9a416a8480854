#include "rollout.hpp"

namespace wake {

using torch::Tensor;

window reference(const grid& coarse, std::int64_t factor, const std::vector<double>& reynolds,
                 std::int64_t settling, std::int64_t steps) {
  const torch::NoGradGuard without_gradients;
  const Tensor viscosities = 1 / torch::tensor(reynolds, torch::kDouble);
  const solver fine({coarse.columns * factor, coarse.rows * factor, coarse.time_step},
                    viscosities.max().item<double>());
  const Tensor narrow = viscosities.to(torch::kFloat);
  Tensor state = initial_state(fine, static_cast<std::int64_t>(reynolds.size())).to(torch::kFloat);
  std::vector<Tensor> kept;
  for (std::int64_t k = 0; k <= settling + steps; ++k) {
    if (k > 0) state = fine.step(state, narrow);
    if (k >= settling) kept.push_back(coarsened(state, factor));
  }
  return {torch::stack(kept, 1), narrow};
}

Tensor corrected_flow::step(const Tensor& weights, const Tensor& states,
                            const Tensor& viscosities) const {
  const Tensor each = viscosities.repeat_interleave(states.size(1));
  const Tensor moved = flow.step(states.flatten(0, 1), each).view_as(states);
  return moved + net.correction(weights, moved, viscosities);
}

Tensor corrected_flow::losses(const Tensor& weights, const window& truth) const {
  const Tensor first = truth.states.select(1, 0).unsqueeze(1);
  Tensor state = first.expand({-1, weights.size(0), -1, -1, -1});
  Tensor sum = torch::zeros({weights.size(0)}, torch::kDouble);
  for (std::int64_t t = 1; t <= truth.steps(); ++t) {
    state = step(weights, state, truth.viscosities);
    const Tensor error = state - truth.states.select(1, t).unsqueeze(1);
    sum = sum + error.pow(2).sum({0, 2, 3, 4}, false, torch::kDouble);
  }
  const auto numbers = truth.count() * truth.steps() * flow.where().numbers();
  return sum / static_cast<double>(numbers);
}

}  // namespace wake
