// What vector answers cost beyond the evaluations of the map, and beside a peer that differences.
#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "busy_work.hpp"
#include "claims.hpp"
#include "peers/ceres_jacobian.hpp"

namespace bench {
namespace {

// 1,000 numbers in, 1,000 out, in as long as the busy work takes.
struct busy_map {
  busy_work work;
  void operator()(std::span<const float> x, std::span<float> y) const {
    const auto answer = static_cast<float>(work(x));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] * answer;
  }
};

template <class How>
outcome pullback_overhead(const How& how, const effort& effort) {
  constexpr zo::index_t numbers = 1000;
  const busy_map map{busy_work::lasting(1e-3)};
  const std::vector<float> x(numbers, 0.5f), v(numbers, 0.25f);
  std::vector<float> y(numbers);
  std::uint64_t step = 0;
  const auto ours = [&] {
    keep(zo::pullback(zo::seq, map, x, v, how, {.seed = 1, .step = step++}).gradients[0]);
  };
  const zo::index_t queries = how.queries(numbers);  // forward: F(x) is one of them
  const auto bare = [&] {
    for (zo::index_t k = 0; k < queries; ++k) {
      map(x, y);
      keep(y[0]);
    }
  };
  return times_the_bare_cost(compare(timing::thread, effort, ours, bare),
                             static_cast<double>(queries) * 1e3);
}

// Broyden's tridiagonal residual (Moré, Garbow and Hillstrom 1981, number 30).
void broyden(std::span<const double> x, std::span<double> r) {
  const std::size_t n = x.size();
  r[0] = (3 - 2 * x[0]) * x[0] - 2 * x[1] + 1;
  for (std::size_t i = 1; i + 1 < n; ++i) {
    r[i] = (3 - 2 * x[i]) * x[i] - x[i - 1] - 2 * x[i + 1] + 1;
  }
  r[n - 1] = (3 - 2 * x[n - 1]) * x[n - 1] - x[n - 2] + 1;
}

std::vector<double> start(std::size_t n) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = -1 + 1e-3 * static_cast<double>(i % 97);
  return x;
}

// The Jacobian against what nobody can leave out: 4 evaluations and one write of the result.
outcome tridiagonal(std::size_t n, const effort& effort) {
  const std::vector<double> x = start(n);
  const auto count = static_cast<zo::index_t>(n);
  const zo::coloring colors(zo::banded(count, count, 1, 1));
  zo::jacobian_workspace<double> memory;
  const auto ours = [&] {
    keep(zo::jacobian(zo::seq, broyden, x, colors, zo::cge({.smoothing = 1e-6}), {}, {}, memory)
             .values[0]);
  };
  std::vector<double> r(n), values(colors.pattern().indices.size());
  const auto bare = [&] {
    for (int k = 0; k < 4; ++k) {
      broyden(x, r);
      keep(r[0]);
    }
    for (double& value : values) value = r[0];
    keep(values[0]);
  };
  return times_the_bare_cost(compare(timing::thread, effort, ours, bare), static_cast<double>(n));
}

outcome against_ceres(std::size_t n, const effort& effort) {
  if (!peers::ceres_is_here()) {
    return skip("peer not installed: Ceres (Debian: libceres-dev)");
  }
  const std::vector<double> x = start(n);
  const auto count = static_cast<zo::index_t>(n);
  const zo::coloring colors(zo::banded(count, count, 1, 1));
  zo::jacobian_workspace<double> memory;
  peers::ceres_jacobian peer(x);
  const auto theirs = peer.evaluate();
  const auto& mine =
      zo::jacobian(zo::seq, broyden, x, colors, zo::cge({.smoothing = 1e-6}), {}, {}, memory);
  outcome wrong;
  for (std::size_t k = 0; k < theirs.size(); ++k) {
    if (std::abs(theirs[k] - mine.values[k]) < 1e-4) continue;
    wrong.failed = "the two Jacobians differ";
    return wrong;
  }
  const auto ours = [&] {
    keep(zo::jacobian(zo::seq, broyden, x, colors, zo::cge({.smoothing = 1e-6}), {}, {}, memory)
             .values[0]);
  };
  return times_as_fast(compare(timing::thread, effort, ours, [&] { keep(peer.evaluate()[0]); }),
                       static_cast<double>(n));
}

}  // namespace

std::vector<claim> vector_claims() {
  std::vector<claim> claims;
  claims.push_back({"pullback of a 1 ms map, CGE, n = m = 1000", "the bare evaluations", "us/query",
                    bar::at_most, 1.03, [](const effort& how) {
                      return pullback_overhead(zo::cge({.coordinates = zo::random_coordinates{20}}),
                                               how);
                    }});
  claims.push_back({"pullback of a 1 ms map, RGE, n = m = 1000", "the bare evaluations", "us/query",
                    bar::at_most, 1.03, [](const effort& how) {
                      return pullback_overhead(zo::rge({.directions = 20}, zo::sphere{}), how);
                    }});
  claims.push_back(
      {"Jacobian of a tridiagonal residual, n = 1e6, 3 colors",
       "its 4 evaluations and one write of the result", "us/1000 rows", bar::at_most, 1.5,
       [](const effort& how) { return tridiagonal(how.smoke ? 1000 : 1000000, how); }});
  claims.push_back({"the same, n = 1e5", "Ceres' numeric differentiation, row by row",
                    "us/1000 rows", bar::above, 1, [](const effort& how) {
                      return against_ceres(how.smoke ? 1000 : 100000, how);
                    }});
  return claims;
}

}  // namespace bench
