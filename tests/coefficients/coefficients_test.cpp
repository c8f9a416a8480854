// The solvers against solutions that are known otherwise, and the gradient of the loss.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <zo/zo.hpp>

#include "discovery.hpp"
#include "equation.hpp"
#include "settings.hpp"

namespace {

using namespace coefficients;
constexpr double pi = std::numbers::pi;

field_points points(int space, int times, double end) {
  field_points at;
  for (int i = 0; i < space; ++i) at.x.push_back(-1 + 2.0 * i / space);
  for (int k = 0; k <= times; ++k) at.t.push_back(end * k / times);
  return at;
}

// The largest difference to exact(t, x).
template <class Exact>
double worst(const field_points& at, const std::vector<double>& field, const Exact& exact,
             double reach = 2) {
  double most = 0;
  for (std::size_t k = 0; k < at.t.size(); ++k) {
    for (std::size_t i = 0; i < at.x.size(); ++i) {
      if (std::abs(at.x[i]) > reach) continue;
      const double difference = field[k * at.x.size() + i] - exact(at.t[k], at.x[i]);
      most = std::max(most, std::isfinite(difference) ? std::abs(difference) : INFINITY);
    }
  }
  return most;
}

std::vector<double> solved(const solver& s, const field_points& at, std::vector<double> of) {
  std::vector<double> field(at.size());
  s.solve(of, field);
  return field;
}

TEST(Solver, KdvCarriesASoliton) {
  // u = A sech²(k (x - c t)), A = 3 c / lambda, k = sqrt(c / nu) / 2, which the period does not
  // feel.
  const double lambda = 1.3, nu = 4e-4, c = 0.2, k = std::sqrt(c / nu) / 2;
  const auto soliton = [&](double t, double x) {
    const double sech = 1 / std::cosh(k * (x - c * t));
    return 3 * c / lambda * sech * sech;
  };
  const field_points at = points(64, 5, 1);
  const auto error_of = [&](int space) {
    std::vector<double> initial;
    for (int i = 0; i < space; ++i) initial.push_back(soliton(0, -1 + 2.0 * i / space));
    return worst(at, solved(*make_kdv(at, {space, 4000}, initial), at, {lambda, nu}), soliton);
  };
  EXPECT_GT(error_of(48), 1e-3);
  EXPECT_LT(error_of(128), 1e-5);
}

TEST(Solver, BurgersWithoutConvectionIsTheHeatEquation) {
  const double nu = 0.05;
  const field_points at = points(50, 4, 1);
  const auto field = solved(*make_burgers(at, {192, 200}), at, {1e-12, nu});
  EXPECT_LT(
      worst(at, field,
            [&](double t, double x) { return -std::sin(pi * x) * std::exp(-nu * pi * pi * t); }),
      1e-5);
}

TEST(Solver, AllenCahnWithoutDiffusionIsAnOrdinaryEquation) {
  const double growth = 3;
  const field_points at = points(40, 4, 0.8);
  const auto field = solved(*make_allen_cahn(at, {256, 200}), at, {1e-9, growth});
  const auto exact = [&](double t, double x) {
    const double u = x * x * std::cos(pi * x), e = std::exp(growth * t);
    return u * e / std::sqrt(1 + u * u * (e * e - 1));
  };
  EXPECT_LT(worst(at, field, exact, 0.9), 1e-4);
}

TEST(Solver, ALostSolutionIsNotANumber) {
  const field_points at = points(32, 4, 1);
  for (const equation& what : equations()) {
    const auto field =
        solved(*what.make(at, what.usual), at, {1e300, what.name == "burgers" ? 1e-3 : 1e300});
    EXPECT_TRUE(std::isnan(field.back())) << what.name;
  }
}

TEST(Loss, ItsGradientByPullbackIsThatOfDifferences) {
  const field_points at = points(32, 6, 0.5);
  for (const equation& what : equations()) {
    const auto inside = what.make(at, what.usual);
    const black_box box(what, *inside, false);
    const std::vector<double> data = solved(*inside, at, {what.truth.begin(), what.truth.end()});
    const std::vector<double> x = box.start(1.5, 3);
    std::vector<double> field(at.size()), slope(at.size());
    box(x, field);
    loss(field, data, slope);
    const auto made = zo::pullback(zo::seq, box, x, slope,
                                   zo::cge({.smoothing = 1e-4}, zo::central{}), {}, field);
    EXPECT_EQ(made.queries, 4);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double h = 1e-4;
      const auto at_side = [&](double side) {
        std::vector<double> moved = x, there(at.size()), unused(at.size());
        moved[i] += side * h;
        box(moved, there);
        return loss(there, data, unused);
      };
      const double want = (at_side(1) - at_side(-1)) / (2 * h);
      EXPECT_NEAR(made.gradients[i] / want, 1, 1e-4) << what.name << " " << i;
    }
  }
}

TEST(Grid, ItsWeightsMakeNearlyTheIdentity) {
  const direction_grid grid = make_grid(2, 12);
  ASSERT_EQ(grid.weights.size(), 144U);
  double sum = 0, first = 0, mixed = 0;
  for (std::size_t k = 0; k < 144; ++k) {
    sum += grid.weights[k];
    first += grid.weights[k] * grid.directions[2 * k] * grid.directions[2 * k];
    mixed += grid.weights[k] * grid.directions[2 * k] * grid.directions[2 * k + 1];
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_NEAR(first, 1, 1e-3);
  EXPECT_NEAR(mixed, 0, 1e-12);
}

TEST(Calls, AStepCostsThoseOfThePaper) {
  settings s;
  EXPECT_EQ(calls_of_a_step("quadrature", s), 145);
  s.one = true;
  EXPECT_EQ(calls_of_a_step("quadrature", s), 13);
  EXPECT_EQ(calls_of_a_step("cge", s), 2);
}

}  // namespace
