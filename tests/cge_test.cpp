// The coordinate-wise estimate: exactness, error orders, steps that suit x, selections, probes.
#include "zo/cge.hpp"

#include <algorithm>
#include <mutex>
#include <set>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::cge_options;
using zo::forward;
using zo::index_t;

template <class T, class F, class S>
std::vector<T> gradient_of(F&& f, const std::vector<T>& x, const cge<S>& how,
                           zo::estimate_options place = {}) {
  std::vector<T> gradient(x.size(), T(77));
  EXPECT_TRUE(zo::estimate(zo::seq, f, x, gradient, how, place).ok);
  return gradient;
}

template <class T>
double max_error(const std::vector<T>& got, const std::vector<double>& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
  }
  return worst;
}

// ---- exactness

// Small dyadic numbers: every operation is exact, so the estimate must be the gradient itself.
template <class T>
void check_exact(index_t dimension) {
  std::vector<T> x;
  std::vector<double> a, quadratic_gradient;
  for (index_t i = 0; i < dimension; ++i) {
    x.push_back(static_cast<T>(static_cast<double>(i % 7) - 3) / 4);
    a.push_back(static_cast<double>(i % 5) - 2);
    quadratic_gradient.push_back(2 * a.back() * static_cast<double>(x.back()) + 3);
  }
  auto linear = [&](std::span<const T> v) { return dot(v, a); };
  auto quadratic = [&](std::span<const T> v) {
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const auto value = static_cast<double>(v[i]);
      sum += a[i] * value * value + 3 * value;
    }
    return sum;
  };
  const cge_options options{.smoothing = 0.0078125};
  EXPECT_EQ(widened(gradient_of(linear, x, cge(options))), a) << dimension;
  EXPECT_EQ(widened(gradient_of(linear, x, cge(options, central{}))), a) << dimension;
  EXPECT_EQ(widened(gradient_of(quadratic, x, cge(options, central{}))), quadratic_gradient);
  std::vector<double> shifted = quadratic_gradient;  // forward errs by h times half the curvature
  for (std::size_t i = 0; i < shifted.size(); ++i) shifted[i] += a[i] * options.smoothing;
  EXPECT_EQ(widened(gradient_of(quadratic, x, cge(options))), shifted);
}

TEST(cge, is_exact_on_linear_forward_and_quadratic_central) {
  for (const index_t d : {1, 2, 17, 100}) {
    check_exact<double>(d);
    check_exact<float>(d);
  }
}

// More coordinates than are asked at once (4096 answers).
TEST(cge, crosses_its_internal_groups) {
  check_exact<double>(4095 / 3);
  const index_t d = 4099;
  auto f = [](std::span<const float> v) {
    return static_cast<double>(v[0]) + 2 * static_cast<double>(v[2047]) +
           3 * static_cast<double>(v[2048]) + 4 * static_cast<double>(v[4096]) +
           5 * static_cast<double>(v[4098]);
  };
  std::vector<double> expected(static_cast<std::size_t>(d), 0.0);
  expected[0] = 1, expected[2047] = 2, expected[2048] = 3, expected[4096] = 4, expected[4098] = 5;
  const std::vector<float> x(static_cast<std::size_t>(d), 0.5f);
  EXPECT_EQ(widened(gradient_of(f, x, cge({.smoothing = 0.125}))), expected);
  EXPECT_EQ(widened(gradient_of(f, x, cge({.smoothing = 0.125}, central{}))), expected);
}

TEST(cge, agrees_with_the_textbook) {
  const auto x = ramp<double>(23);
  auto f = [](std::span<const double> v) { return smooth_loss(v); };
  const auto stored = [](const std::vector<double>& v) {
    return smooth_loss(std::span<const double>(v));
  };
  for (const double mu : {1e-1, 1e-3, 1e-5}) {
    EXPECT_LT(
        max_error(gradient_of(f, x, cge({.smoothing = mu})), reference::cge(stored, x, mu, false)),
        1e-13 / mu);
    EXPECT_LT(max_error(gradient_of(f, x, cge({.smoothing = mu}, central{})),
                        reference::cge(stored, x, mu, true)),
              1e-13 / mu);
  }
}

// Every coordinate the estimate asks differs from x in that coordinate alone.
TEST(cge, moves_one_coordinate_at_a_time) {
  const auto x = ramp<double>(9);
  for (const auto& policy_threads : {1, 2}) {
    std::mutex mutex;
    std::multiset<std::pair<index_t, double>> moves;
    auto f = [&](std::span<const double> v) {
      index_t moved = 0;
      const std::lock_guard lock(mutex);
      for (std::size_t i = 0; i < v.size(); ++i) {
        if (v[i] == x[i]) continue;
        ++moved;
        moves.insert({static_cast<index_t>(i), v[i]});
      }
      EXPECT_EQ(moved, 1);
      return smooth_loss(v);
    };
    std::vector<double> g(x.size());
    zo::estimate(zo::par.with_threads(policy_threads), f, x, g, cge({.smoothing = 0.5}, central{}));
    std::multiset<std::pair<index_t, double>> expected;
    for (index_t i = 0; i < 9; ++i) {
      expected.insert({i, x[static_cast<std::size_t>(i)] + 0.5});
      expected.insert({i, x[static_cast<std::size_t>(i)] - 0.5});
    }
    EXPECT_EQ(moves, expected);
  }
}

// ---- error in mu

template <class S>
double error_on_cubic(S s, double mu) {
  const std::vector<double> x{0.3, -1.1, 2.0};
  std::vector<double> expected;
  for (const double v : x) expected.push_back(3 * v * v + std::exp(v));
  auto f = [](std::span<const double> v) {
    double sum = 0;
    for (const double value : v) sum += value * value * value + std::exp(value);
    return sum;
  };
  return max_error(gradient_of(f, x, cge({.smoothing = mu}, s)), expected);
}

TEST(cge, error_is_of_order_one_forward_and_two_central) {
  for (const double mu : {1e-1, 1e-2, 4e-3}) {
    EXPECT_NEAR(std::log2(error_on_cubic(forward{}, mu) / error_on_cubic(forward{}, mu / 2)), 1,
                0.05);
    EXPECT_NEAR(std::log2(error_on_cubic(central{}, mu) / error_on_cubic(central{}, mu / 2)), 2,
                0.05);
  }
}

TEST(cge, small_mu_meets_the_rounding_floor_and_nothing_worse) {
  for (double mu = 1e-2; mu > 1e-14; mu /= 10) {
    EXPECT_LE(error_on_cubic(forward{}, mu), 20 * mu + 50 * 2.2e-16 / mu) << mu;
    EXPECT_LE(error_on_cubic(central{}, mu), 20 * mu * mu + 50 * 2.2e-16 / mu) << mu;
  }
  EXPECT_GT(error_on_cubic(central{}, 1e-13), error_on_cubic(central{}, 1e-5));
}

// Known fault elsewhere: "OptimLib, Eigen, CppNumericalSolvers, ROL, pagmo: unsuitable FD step".
TEST(cge, relative_steps_suit_tiny_and_huge_coordinates) {
  const double eps = std::numeric_limits<double>::epsilon();
  const double mu = std::cbrt(eps);
  const cge how({.smoothing = mu, .relative = true}, central{});
  const auto check = [&](auto f, double x, double exact) {
    auto loss = [&](std::span<const double> v) { return f(v[0]); };
    const double got = gradient_of(loss, std::vector<double>{x}, how)[0];
    EXPECT_LE(std::abs(got - exact), 20 * std::pow(eps, 2.0 / 3) * std::max(1.0, std::abs(exact)))
        << "x " << x;
  };
  const auto cube = [](double v) { return v * v * v; };
  for (const double x : {0.0, -0.0, 1e-8, -1e-8, 1.0, -1.0, 1e8, -1e8, 1e100}) {
    check(cube, x, 3 * x * x);
  }
  const auto exponential = [](double v) { return std::exp(v); };
  for (const double x : {0.0, 1e-8, -1e-8, 1.0, -1.0, 10.0}) check(exponential, x, std::exp(x));
  const auto rescaled = [](double v) { return std::exp(v / 1e8); };
  check(rescaled, 1e8, std::exp(1.0) / 1e8);
}

TEST(cge, divides_by_the_step_that_happened) {
  // Near 1e8 a float moves in steps of 8: mu = 10 really moves by 8, and the slope must be 1.
  auto f = [](std::span<const float> v) { return static_cast<double>(v[0]); };
  for (const float x : {1e8f, -1e8f, 3.3e7f}) {
    EXPECT_EQ(gradient_of(f, std::vector<float>{x}, cge({.smoothing = 10}))[0], 1.0f);
    EXPECT_EQ(gradient_of(f, std::vector<float>{x}, cge({.smoothing = 10}, central{}))[0], 1.0f);
  }
}

TEST(cge, a_step_too_small_to_change_x_becomes_the_smallest_that_does) {
  auto f = [](std::span<const double> v) { return 3 * (v[0] - 1e20) - 2 * (v[1] + 1e20); };
  const std::vector<double> x{1e20, -1e20};
  for (const auto& g : {gradient_of(f, x, cge({.smoothing = 1e-3})),
                        gradient_of(f, x, cge({.smoothing = 1e-3}, central{}))}) {
    EXPECT_EQ(g[0], 3);
    EXPECT_EQ(g[1], -2);
  }
  auto narrow = [](std::span<const float> v) { return static_cast<double>(v[0]); };
  EXPECT_EQ(gradient_of(narrow, std::vector<float>{1.0f}, cge({.smoothing = 1e-30}))[0], 1.0f);
  EXPECT_EQ(gradient_of(narrow, std::vector<float>{0.0f}, cge({.smoothing = 1e-60}))[0], 1.0f);
}

// ---- selections

double plain_loss(std::span<const double> v) { return smooth_loss(v); }

// Known fault elsewhere: "ZO-LLM q>1: mask ignored in update": zero outside, untouched inside.
TEST(cge, list_and_mask_estimate_the_selected_coordinates_only) {
  const auto x = ramp<double>(10);
  const auto full = gradient_of(plain_loss, x, cge());
  std::vector<bool> mask(10, false);
  mask[0] = mask[3] = mask[9] = true;
  const zo::coordinate_selection selections[] = {zo::coordinate_list{{9, 0, 3}},
                                                 zo::coordinate_mask{mask}};
  for (const auto& selection : selections) {
    std::atomic<index_t> asked{0};
    scalar_form<double> f{&asked};
    const cge how({.coordinates = selection});
    const auto g = gradient_of(f, x, how);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(g[i], mask[i] ? full[i] : 0.0) << i;
    EXPECT_EQ(asked, 4);
    EXPECT_EQ(how.queries(10), 4);
  }
}

TEST(cge, random_coordinates_are_rescaled_distinct_and_new_at_each_step) {
  const auto x = ramp<double>(10);
  const auto full = gradient_of(plain_loss, x, cge({}, central{}));
  std::set<std::vector<bool>> supports;
  for (std::uint64_t step = 0; step < 20; ++step) {
    const auto g =
        gradient_of(plain_loss, x, cge({.coordinates = zo::random_coordinates{4}}, central{}),
                    {.seed = 3, .step = step});
    std::vector<bool> support;
    for (std::size_t i = 0; i < 10; ++i) {
      support.push_back(g[i] != 0);
      const double expected = g[i] != 0 ? full[i] * 10 / 4 : 0;
      EXPECT_NEAR(g[i], expected, 1e-12 * std::abs(full[i]));
    }
    EXPECT_EQ(std::ranges::count(support, true), 4);
    supports.insert(support);
  }
  EXPECT_GT(supports.size(), 15u);
}

// E over the draws is the full estimate; coordinate i has variance g_i^2 (d/n - 1).
TEST(cge, random_coordinates_are_unbiased) {
  const auto x = ramp<double>(7);
  const auto full = gradient_of(plain_loss, x, cge());
  for (const index_t n : {1, 3, 7}) {
    std::vector<double> sum(7, 0.0);
    const int draws = 4000;
    const cge how({.coordinates = zo::random_coordinates{n}});
    for (int step = 0; step < draws; ++step) {
      const auto g = gradient_of(plain_loss, x, how, {.seed = 8, .step = std::uint64_t(step)});
      for (std::size_t i = 0; i < 7; ++i) sum[i] += g[i];
    }
    for (std::size_t i = 0; i < 7; ++i) {
      const double spread =
          std::abs(full[i]) * std::sqrt((7.0 / static_cast<double>(n) - 1) / draws);
      EXPECT_LE(std::abs(sum[i] / draws - full[i]), 4.5 * spread + 1e-11) << i << " of " << n;
    }
  }
}

TEST(cge, bad_selections_are_refused_with_a_sentence) {
  const auto x = ramp<double>(4);
  const auto said = [&](zo::coordinate_selection selection) {
    return complaint([&] {
      std::vector<double> g(4);
      zo::estimate(zo::seq, plain_loss, x, g, cge({.coordinates = std::move(selection)}));
    });
  };
  EXPECT_TRUE(contains(said(zo::coordinate_list{{0, 4}}), "coordinate 4 is not in 0"));
  EXPECT_TRUE(contains(said(zo::coordinate_list{{-1}}), "coordinate -1 is not in"));
  EXPECT_TRUE(contains(said(zo::coordinate_list{{2, 1, 2}}), "coordinate 2 is listed twice"));
  EXPECT_TRUE(contains(said(zo::coordinate_list{}), "at least 1 coordinate"));
  EXPECT_TRUE(contains(said(zo::coordinate_mask{{true, false}}), "one entry a coordinate"));
  EXPECT_TRUE(contains(said(zo::coordinate_mask{std::vector<bool>(4, false)}), "at least 1"));
  EXPECT_TRUE(contains(said(zo::random_coordinates{5}), "cannot draw 5"));
  EXPECT_TRUE(contains(said(zo::random_coordinates{0}), "at least 1"));
  EXPECT_TRUE(contains(said(zo::random_coordinates{-2}), "at least 1"));
  constexpr index_t most = std::numeric_limits<index_t>::max();
  EXPECT_TRUE(contains(said(zo::random_coordinates{most}), "cannot draw 9223372036854775807"));
  EXPECT_TRUE(contains(said(zo::random_coordinates{-most - 1}), "at least 1"));
}

// Also where the budget would not pay for them: what is wrong is said, not that nothing was done.
TEST(cge, bad_selections_are_refused_whatever_the_budget) {
  const auto said = [&](zo::coordinate_selection selection) {
    auto x = ramp<double>(2);
    return complaint([&] {
      zo::minimize(zo::seq, plain_loss, x, cge({.coordinates = std::move(selection)}), zo::sgd(),
                   {.max_queries = 2});
    });
  };
  EXPECT_TRUE(contains(said(zo::random_coordinates{128}), "cannot draw 128 different"));
  constexpr index_t most = std::numeric_limits<index_t>::max();
  EXPECT_TRUE(contains(said(zo::random_coordinates{most}), "cannot draw 9223372036854775807"));
  EXPECT_TRUE(contains(said(zo::random_coordinates{0}), "at least 1"));
  EXPECT_TRUE(contains(said(zo::coordinate_mask{std::vector<bool>(500, true)}), "got 500 for 2"));
  EXPECT_TRUE(contains(said(zo::coordinate_list{{0, 7}}), "coordinate 7 is not in 0"));
  EXPECT_TRUE(contains(said(zo::coordinate_list{{1, 1, 0}}), "coordinate 1 is listed twice"));
}

TEST(cge, bad_options_are_refused_at_construction) {
  const auto said = [](cge_options options) { return complaint([&] { cge how(options); }); };
  EXPECT_TRUE(contains(said({.smoothing = 0}), "smoothing must be a positive number, got 0"));
  EXPECT_TRUE(contains(said({.smoothing = -1}), "got -1"));
  EXPECT_TRUE(contains(said({.smoothing = not_a_number}), "smoothing"));
  EXPECT_TRUE(contains(said({.smoothing = infinity}), "smoothing"));
}

// ---- coordinate objectives

// f(x) = 1e12 + sum x_i^2 / 2. Full evaluations lose all digits of the difference; the probe forms
// h x_i + h^2 / 2 without the large constant.
struct probing {
  std::vector<double> x{};
  index_t prepared = 0, probed = 0, calls = 0;

  double prepare(std::span<const double> at, zo::sample_id) {
    ++prepared;
    x.assign(at.begin(), at.end());
    return full(at);
  }
  void probe(std::span<const index_t> coordinates, std::span<const double> steps,
             std::span<double> differences) {
    ++calls;
    probed += static_cast<index_t>(coordinates.size());
    for (std::size_t k = 0; k < coordinates.size(); ++k) {
      differences[k] = steps[k] * (x[static_cast<std::size_t>(coordinates[k])] + steps[k] / 2);
    }
  }
  static double full(std::span<const double> at) {
    double sum = 1e12;
    for (const double v : at) sum += v * v / 2;
    return sum;
  }
};

TEST(cge, probes_reach_what_full_evaluations_cannot) {
  const auto x = ramp<double>(12, 0.1, 0.2);
  const cge how({.smoothing = 1e-6}, central{});
  probing f;
  EXPECT_LT(max_error(gradient_of(f, x, how), x), 1e-9);
  EXPECT_GT(max_error(gradient_of(probing::full, x, how), x), 1e-3);
  EXPECT_LT(max_error(gradient_of(f, x, cge({.smoothing = 1e-6})), x), 1e-6);
}

TEST(cge, probes_are_counted_one_by_one_and_prepare_as_one) {
  for (const index_t d : {1, 5, 5000}) {
    const auto x = ramp<double>(d);
    std::vector<double> g(x.size());
    probing one, two;
    const cge ahead({.smoothing = 1e-3});
    const auto r = zo::estimate(zo::seq, one, x, g, ahead);
    EXPECT_EQ(r.queries, one.prepared + one.probed);
    EXPECT_EQ(r.queries, ahead.queries(d));
    EXPECT_EQ(r.value, probing::full(x));
    const cge both({.smoothing = 1e-3}, central{});
    const auto c = zo::estimate(zo::par, two, x, g, both);
    EXPECT_EQ(two.prepared, 1);
    EXPECT_EQ(c.queries, two.prepared + two.probed);
    EXPECT_EQ(c.queries, both.queries(d) + 1);
  }
}

TEST(cge, a_probe_that_evaluates_in_full_gives_the_same_estimate) {
  const auto x = ramp<double>(21);
  std::atomic<index_t> count{0};
  coordinate_form<double> probes{&count};
  for (const auto& selection : {zo::coordinate_selection{zo::all_coordinates{}},
                                zo::coordinate_selection{zo::coordinate_list{{20, 3}}},
                                zo::coordinate_selection{zo::random_coordinates{5}}}) {
    const cge ahead({.smoothing = 1e-3, .coordinates = selection});
    const cge both({.smoothing = 1e-3, .coordinates = selection}, central{});
    const zo::estimate_options place{.seed = 5, .step = 9};
    EXPECT_LT(
        max_error(gradient_of(probes, x, ahead, place), gradient_of(plain_loss, x, ahead, place)),
        1e-10);
    EXPECT_LT(
        max_error(gradient_of(probes, x, both, place), gradient_of(plain_loss, x, both, place)),
        1e-10);
  }
}

// ---- where the numbers end

// The derivative of atan(x / scale), in __float128.
double slope_of_atan(double x, double scale) {
  const __float128 t = __float128(x) / scale;
  return static_cast<double>(1 / (1 + t * t) / scale);
}

template <class T, class S>
void check_ends(S scheme, bool relative, bool probes) {
  constexpr double most = std::numeric_limits<T>::max(), scale = most / 3.4;
  struct atan_probes {
    std::span<const T> x{};
    static double of(double v) { return std::atan(v / scale); }
    double prepare(std::span<const T> at, zo::sample_id) { return x = at, of(double(at[0])); }
    void probe(std::span<const index_t>, std::span<const T> steps,
               std::span<double> differences) const {
      for (std::size_t k = 0; k < steps.size(); ++k) {
        EXPECT_TRUE(std::isfinite(steps[k]));
        differences[k] = of(double(x[0]) + double(steps[k])) - of(double(x[0]));
      }
    }
  };
  auto plain = [](std::span<const T> x) {
    EXPECT_TRUE(std::isfinite(x[0])) << "asked beyond the numbers";
    return atan_probes::of(static_cast<double>(x[0]));
  };
  for (const double first : {most, -most, 0.999 * most, -0.999 * most}) {
    for (const double mu : {1e-3, 1e-5 * (relative ? 1 : most), 0.01 * (relative ? 1 : most)}) {
      const std::vector<T> x{static_cast<T>(first)};
      std::vector<T> g{T(7)};
      const cge how({.smoothing = mu, .relative = relative}, scheme);
      atan_probes f;
      const auto r =
          probes ? zo::estimate(zo::seq, f, x, g, how) : zo::estimate(zo::seq, plain, x, g, how);
      if (!r.ok) {
        EXPECT_EQ(S::points, 2);
        EXPECT_EQ(std::abs(first), most);
        EXPECT_EQ(r.why, zo::flaw::out_of_range);
        continue;
      }
      const double right = slope_of_atan(first, scale);
      // f is so flat that its rounding shows where the step is a single spacing of x.
      EXPECT_NEAR(static_cast<double>(g[0]), right,
                  (mu == 1e-3 && !relative && sizeof(T) == 8 ? 1.5 : 0.02) * right)
          << first << ' ' << mu;
    }
  }
}

TEST(cge, steps_where_the_numbers_end) {
  for (const bool relative : {false, true}) {
    for (const bool probes : {false, true}) {
      check_ends<float>(forward{}, relative, probes);
      check_ends<float>(central{}, relative, probes);
      check_ends<double>(forward{}, relative, probes);
      check_ends<double>(central{}, relative, probes);
    }
  }
}

TEST(cge, huge_steps_are_those_that_happen) {
  auto f = [](std::span<const double> x) { return x[0] / 1e300; };
  for (const double first : {0.0, 1e308, -1.7e308}) {
    for (const double mu : {1e308, 1.7e308}) {
      const std::vector<double> x{first};
      for (const bool relative : {false, true}) {
        const cge ahead({.smoothing = mu, .relative = relative});
        const cge both({.smoothing = mu, .relative = relative}, central{});
        EXPECT_NEAR(gradient_of(f, x, ahead)[0], 1e-300, 1e-314);
        EXPECT_NEAR(gradient_of(f, x, both)[0], 1e-300, 1e-314);
      }
    }
  }
}

TEST(cge, smoothing_beyond_the_scalar_type_is_refused) {
  auto f = [](std::span<const float> x) { return std::atan(static_cast<double>(x[0])); };
  std::vector<float> x{1}, g{0};
  EXPECT_TRUE(contains(complaint([&] { zo::estimate(zo::seq, f, x, g, cge({.smoothing = 1e39})); }),
                       "smoothing 1e+39 is infinite in this scalar type"));
  EXPECT_TRUE(contains(complaint([&] {
                         zo::minimize(zo::seq, f, x, cge({.smoothing = 1e39}), zo::sgd(),
                                      {.max_queries = 9});
                       }),
                       "smoothing 1e+39 is infinite in this scalar type"));
}

TEST(cge, coordinates_that_are_no_numbers_have_no_slope) {
  for (const double first : {infinity, -infinity, not_a_number}) {
    const std::vector<double> x{first, 1};
    std::vector<double> g(2);
    auto sound = [](std::span<const double> at) { return at[1]; };
    const auto r = zo::estimate(zo::seq, sound, x, g, cge());
    EXPECT_FALSE(r.ok);
    EXPECT_EQ(r.why, zo::flaw::out_of_range);
    // One that is not asked is the objective's own affair.
    EXPECT_TRUE(
        zo::estimate(zo::seq, sound, x, g, cge({.coordinates = zo::coordinate_list{{1}}})).ok);
    EXPECT_NEAR(g[1], 1, 1e-12);
  }
}

TEST(cge, a_draw_beyond_any_dimension_is_refused) {
  auto f = [](std::span<const double> x) { return x[0]; };
  const std::vector<double> x{1, 2};
  std::vector<double> g(2);
  for (const index_t count :
       {index_t{3}, std::numeric_limits<index_t>::max(), index_t{0}, index_t{-1}}) {
    const cge how({.coordinates = zo::random_coordinates{count}}, central{});
    EXPECT_FALSE(complaint([&] { zo::estimate(zo::seq, f, x, g, how); }).empty()) << count;
    EXPECT_FALSE(complaint([&] { how.queries(2); }).empty()) << count;
  }
}

}  // namespace
