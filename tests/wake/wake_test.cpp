// The solver behind the wake, and the ways to its gradient, held against LibTorch's derivatives.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <zo/zo.hpp>

#include "wake/gradient.hpp"
#include "wake/training.hpp"

namespace {

using torch::Tensor;
using wake::grid;
using wake::settings;
using wake::solver;

constexpr grid small{16, 8, 0.2};
const double viscosity = 1.0 / 80;

// A flow with vortices, B of them, that the solver has moved, in double.
Tensor developed(const solver& flow, std::int64_t count) {
  torch::manual_seed(3);
  const Tensor start = wake::initial_state(flow, count);
  Tensor state = start + 0.2 * torch::randn(start.sizes(), torch::kDouble);
  const Tensor nu = torch::full({count}, viscosity, torch::kDouble);
  for (int k = 0; k < 5; ++k) state = flow.step(state, nu);
  return state;
}

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

TEST(WakeSolver, LeavesNoDivergence) {
  const solver flow(small, viscosity);
  EXPECT_LT(largest(flow.divergence(wake::initial_state(flow, 1))), 1e-11);
  EXPECT_LT(largest(flow.divergence(developed(flow, 2))), 1e-11);
  // and is a projection
  const Tensor state = developed(flow, 1);
  EXPECT_LT(largest(flow.project(state) - state), 1e-11);
}

TEST(WakeSolver, LosesNoFluid) {
  const solver flow(small, viscosity);
  const Tensor state = developed(flow, 1);
  const Tensor through = state.select(1, 0).sum(1);  // of each column of faces
  EXPECT_LT(largest(through - static_cast<double>(small.rows)), 1e-10);
}

TEST(WakeSolver, CoarsenedFlowHasNoDivergence) {
  const solver fine({32, 16, 0.2}, viscosity), coarse(small, viscosity);
  const Tensor state = developed(fine, 1);
  EXPECT_LT(largest(coarse.divergence(wake::coarsened(state, 2))), 1e-11);
}

TEST(WakeSolver, AdvectionMovesByTheVelocity) {
  // Without gradients of the moving velocity: u = 1, and v a bump that moves by 0.2 diameters a
  // step.
  const grid g{128, 64, 5.0 / 64};  // a cell a step
  const solver flow(g, viscosity);
  Tensor state = torch::zeros({1, 2, 64, 128}, torch::kDouble);
  state.select(1, 0).fill_(1);
  state.index_put_({0, 1, 20, 50}, 1e-9);
  const Tensor moved = flow.advect(state);
  EXPECT_NEAR(moved.index({0, 1, 20, 51}).item<double>(), 1e-9, 1e-15);
  EXPECT_NEAR(moved.select(1, 1).abs().sum().item<double>(), 1e-9, 1e-15);
}

TEST(WakeSolver, DiffusionSlowsAShearWave) {
  // u = 1 + a sin(k y), far from the cylinder, decays as exp(-nu k^2 t).
  const grid g{128, 64, 0.2};
  const double nu = 0.01, k = 2 * M_PI / 5;
  const solver flow(g, nu);
  const Tensor y = (torch::arange(64, torch::kDouble) + 0.5) * g.spacing();
  Tensor state = torch::zeros({1, 2, 64, 128}, torch::kDouble);
  const Tensor wave = torch::sin(k * y);
  state.select(1, 0).copy_((1 + 0.1 * wave).unsqueeze(1).expand({64, 128}));
  const Tensor slow = flow.settle(state, torch::full({1}, nu, torch::kDouble)) -
                      flow.settle(state, torch::zeros({1}, torch::kDouble));
  const double change =
      (slow.index({0, 0, torch::indexing::Slice(), 90}) * wave).sum().item<double>() / 32;
  EXPECT_NEAR(change, 0.1 * (std::exp(-nu * k * k * g.time_step) - 1), 2e-6);
}

TEST(WakeSolver, SecondPartIsAffine) {
  const solver flow(small, viscosity);
  const Tensor a = developed(flow, 1), b = torch::randn_like(a);
  const Tensor nu = torch::full({1}, viscosity, torch::kDouble);
  const Tensor between = flow.settle(0.3 * a + 0.7 * b, nu);
  EXPECT_LT(largest(between - 0.3 * flow.settle(a, nu) - 0.7 * flow.settle(b, nu)), 1e-12);
}

TEST(WakeSolver, AdvectionKeepsToItsPattern) {
  const solver flow(small, viscosity);
  const Tensor state = developed(flow, 1).requires_grad_(true);
  const auto pattern = wake::advection_pattern(small);
  const Tensor moved = flow.advect(state).flatten();
  for (std::int64_t row = 0; row < pattern.rows; ++row) {
    const Tensor slope =
        torch::autograd::grad({moved[row]}, {state}, {}, true)[0].flatten().contiguous();
    const auto at = static_cast<std::size_t>(row);
    const std::set<zo::index_t> known(pattern.indices.begin() + pattern.starts[at],
                                      pattern.indices.begin() + pattern.starts[at + 1]);
    for (std::int64_t k = 0; k < slope.numel(); ++k) {
      ASSERT_TRUE(slope.data_ptr<double>()[k] == 0 || known.contains(k)) << row << " on " << k;
    }
  }
}

TEST(WakeNetwork, CandidatesDoNotMix) {
  torch::manual_seed(5);
  const wake::network net{3, 3, 1};
  const Tensor weights = torch::randn({4, net.parameters()}, torch::kDouble);
  const Tensor states = torch::randn({2, 4, 2, 8, 16}, torch::kDouble);
  const Tensor nu = torch::tensor({0.01, 0.02}, torch::kDouble);
  const Tensor all = net.correction(weights, states, nu);
  const Tensor one = net.correction(weights.narrow(0, 2, 1), states.narrow(1, 2, 1), nu);
  EXPECT_LT(largest(all.narrow(1, 2, 1) - one), 1e-12);
  EXPECT_EQ(net.initial(1), net.initial(1));
  EXPECT_NE(net.initial(1), net.initial(2));
}

settings tiny() {
  settings s;
  s.rows = 8;
  s.factor = 2;
  s.reynolds = {80, 160};
  s.test_reynolds = {110};
  s.settling = 30;
  s.frames = 12;
  s.test_steps = 8;
  s.starts = 2;
  s.unroll = 4;
  s.batch = 2;
  s.channels = 3;
  s.directions = 4;
  s.threads = 1;
  return s;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

class WakeGradient : public testing::Test {
 protected:
  struct found {
    std::vector<float> gradient;
    wake::answer got;
  };
  found ask(const std::string& method) const {
    const auto teach = wake::make_teacher(method, p.corrected(), p.train, s, 7);
    found f{std::vector<float>(weights.size()), {}};
    f.got = (*teach)(weights, 3, f.gradient);
    return f;
  }
  settings s = tiny();
  wake::problem p = wake::make_problem(s);
  std::vector<float> weights = p.net.initial(1);
};

// What the solver's derivative adds to a gradient.
std::vector<float> beyond(std::vector<float> whole, const std::vector<float>& cut) {
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] -= cut[i];
  return whole;
}

TEST_F(WakeGradient, StatesAskedOneByOneGiveThatOfBackPropagation) {
  const auto through = ask("fo"), cut = ask("cut");
  EXPECT_FLOAT_EQ(static_cast<float>(cut.got.loss), static_cast<float>(through.got.loss));
  for (const char* method : {"chain", "boundary-cge"}) {
    const auto asked = ask(method);
    EXPECT_FLOAT_EQ(static_cast<float>(asked.got.loss), static_cast<float>(through.got.loss));
    EXPECT_GT(cosine(beyond(asked.gradient, cut.gradient), beyond(through.gradient, cut.gradient)),
              0.99)
        << method;
  }
}

TEST_F(WakeGradient, RandomOnesAreOfThatMean) {
  // Of n = 256 numbers of a state and q directions the noise is sqrt(n / q) = 1/4 of the slope, and
  // of 308 weights 1/4: cosines of 0.97. Two steps, so that no noise is multiplied.
  s.unroll = 2;
  const auto through = ask("fo"), cut = ask("cut");
  s.directions = 4096;
  for (const char* method : {"boundary-rge", "suffix-rge"}) {
    EXPECT_GT(
        cosine(beyond(ask(method).gradient, cut.gradient), beyond(through.gradient, cut.gradient)),
        0.9)
        << method;
  }
  s.directions = 5000;
  EXPECT_GT(cosine(ask("rge").gradient, through.gradient), 0.9);
}

TEST_F(WakeGradient, CallsAreThoseThatWereToldBefore) {
  for (const std::string& method : wake::method_names()) {
    if (method == "src") continue;
    EXPECT_EQ(ask(method).got.calls, wake::calls_of_step(method, s)) << method;
  }
}

TEST(WakeProblem, TestsAreStretchesOfOneReference) {
  const settings s = tiny();
  const wake::problem p = wake::make_problem(s);
  ASSERT_EQ(p.test.count(), 2);
  EXPECT_EQ(p.starts, (std::vector<std::int64_t>{30, 31}));
  EXPECT_TRUE(torch::equal(p.test.states[0][1], p.test.states[1][0]));
  // Without weights it is the coarse solver by itself.
  const auto alone = wake::test(p, {}, 0);
  const Tensor once = p.flow.step(p.test.states.select(1, 0), p.test.viscosities);
  const Tensor error = (once - p.test.states.select(1, 1)).abs().mean();
  EXPECT_EQ(alone.of_steps.size(), 8U);
  EXPECT_NEAR(alone.of_steps[0], error.item<double>(), 1e-6);
  EXPECT_TRUE(torch::allclose(alone.states[1], once[0]));
}

}  // namespace
