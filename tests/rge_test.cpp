// The random gradient estimate against its formula: stored directions, unbiasedness, error orders.
#include "zo/rge.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::forward;
using zo::gaussian;
using zo::index_t;
using zo::rademacher;
using zo::rge;
using zo::sphere;

// Calls use(distribution, scheme) for all six combinations.
template <class Use>
void for_each_kind(const Use& use) {
  use(gaussian{}, forward{});
  use(gaussian{}, central{});
  use(rademacher{}, forward{});
  use(rademacher{}, central{});
  use(sphere{}, forward{});
  use(sphere{}, central{});
}

template <class S>
constexpr bool is_central = S::points == 2;

template <class T, class D, class S>
std::vector<T> estimate(D d, S s, const std::vector<T>& x, zo::rge_options options,
                        zo::estimate_options place = {}) {
  std::vector<T> gradient(x.size(), T(77));
  auto f = [](std::span<const T> at) { return smooth_loss(at); };
  const auto r = zo::estimate(zo::seq, f, x, gradient, rge(options, d, s), place);
  EXPECT_TRUE(r.ok);
  return gradient;
}

double norm(const std::vector<double>& v) { return std::sqrt(reference::dot(v, v)); }

double loss(const std::vector<double>& x) { return smooth_loss(std::span<const double>(x)); }

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

// ---- the formula

// Reference directions come from std::log and std::cos in double; zo's from float polynomials.
TEST(rge, agrees_with_stored_reference_directions) {
  for_each_kind([](auto d, auto s) {
    for (const index_t dimension : {1, 2, 7, 65, 100}) {
      for (const index_t q : {1, 2, 5}) {
        const auto x = ramp<double>(dimension);
        const auto n = static_cast<std::size_t>(dimension);
        const auto us =
            reference::directions(kind_of(d), {9, 4, 0}, static_cast<std::size_t>(q), n);
        const auto expected = reference::rge(loss, x, us, reference::scale(kind_of(d), n), 1e-3,
                                             is_central<decltype(s)>);
        const auto got =
            estimate(d, s, x, {.directions = q, .smoothing = 1e-3}, {.seed = 9, .step = 4});
        EXPECT_LE(distance(got, expected), 1e-5 * norm(expected)) << dimension << " " << q;
      }
    }
  });
}

template <class D>
std::vector<std::vector<double>> own_directions(D d, std::uint64_t seed, std::uint64_t step,
                                                index_t q, index_t dimension) {
  std::vector<std::vector<double>> all;
  for (index_t k = 0; k < q; ++k) {
    all.push_back(direction<double>(d, {seed, step, static_cast<std::uint32_t>(k)}, dimension));
  }
  return all;
}

// Sizes around the internal groups of 4096 answers and 2048 coordinates. The reference sums in
// reverse: the mean does not depend on the order (Known fault elsewhere: "ZO_Estim_MC").
TEST(rge, is_the_mean_over_its_directions_in_any_order) {
  for_each_kind([](auto d, auto s) {
    const std::pair<index_t, index_t> cases[] = {{1, 3},    {2, 3},    {3, 2049}, {4, 5000},
                                                 {7, 64},   {2047, 2}, {2048, 2}, {2049, 2},
                                                 {4096, 3}, {4097, 3}};
    for (const auto& [q, dimension] : cases) {
      const auto x = ramp<double>(dimension);
      auto us = own_directions(d, 1, 2, q, dimension);
      std::ranges::reverse(us);
      const double scale = decltype(d)::scale(dimension);
      const auto expected = reference::rge(loss, x, us, scale, 1e-3, is_central<decltype(s)>);
      const auto got =
          estimate(d, s, x, {.directions = q, .smoothing = 1e-3}, {.seed = 1, .step = 2});
      EXPECT_LE(distance(got, expected), 2e-9 * norm(expected)) << q << " " << dimension;
    }
  });
}

TEST(rge, float_agrees_with_the_reference) {
  for_each_kind([](auto d, auto s) {
    const index_t dimension = 33, q = 4;
    const auto x = ramp<float>(dimension);
    const auto expected =
        reference::rge(loss, widened(x), own_directions(d, 1, 2, q, dimension),
                       decltype(d)::scale(dimension), 0.125, is_central<decltype(s)>);
    const auto got =
        widened(estimate(d, s, x, {.directions = q, .smoothing = 0.125}, {.seed = 1, .step = 2}));
    EXPECT_LE(distance(got, expected), 1e-4 * norm(expected));
  });
}

TEST(rge, forward_reports_the_value_at_x) {
  const auto x = ramp<double>(9);
  std::vector<double> g(9);
  auto f = [](std::span<const double> at) { return smooth_loss(at); };
  EXPECT_EQ(zo::estimate(zo::seq, f, x, g, rge({.directions = 3})).value, loss(x));
}

TEST(rge, central_reports_the_mean_answer) {
  const auto x = ramp<double>(9);
  std::vector<double> g(9);
  double sum = 0;
  auto f = [&](std::span<const double> at) {
    const double answer = smooth_loss(at);
    sum += answer;
    return answer;
  };
  const auto r = zo::estimate(zo::seq, f, x, g, rge({.directions = 3}, gaussian{}, central{}));
  EXPECT_NEAR(r.value, sum / 6, 1e-13 * std::abs(sum));
}

TEST(rge, candidates_lie_at_x_plus_and_minus_mu_u) {
  for_each_kind([](auto d, auto s) {
    const index_t dimension = 70;
    const auto x = ramp<double>(dimension);
    const double mu = 0.03;
    std::vector<std::vector<double>> asked;
    auto f = [&](std::span<const double> at) {
      asked.push_back(copy_of(at));
      return smooth_loss(at);
    };
    std::vector<double> g(x.size());
    const rge how({.directions = 2, .smoothing = mu}, d, s);
    zo::estimate(zo::seq, f, x, g, how, {.seed = 6, .step = 1});
    const auto us = own_directions(d, 6, 1, 2, dimension);
    std::vector<std::vector<double>> expected;
    if (!is_central<decltype(s)>) expected.push_back(x);
    for (const auto& u : us) {
      expected.push_back(reference::shifted(x, mu, u));
      if (is_central<decltype(s)>) expected.push_back(reference::shifted(x, -mu, u));
    }
    ASSERT_EQ(asked.size(), expected.size());
    for (std::size_t k = 0; k < asked.size(); ++k)
      EXPECT_LT(distance(asked[k], expected[k]), 1e-14);
  });
}

// ---- unbiasedness

// On f(x) = a.x the estimate is (c/q) sum (a.u) u for every mu. With one direction, coordinate i
// has mean a_i and variance c^2 E[(a.u)^2 u_i^2] - a_i^2:
//   gaussian    |a|^2 + a_i^2                           (E = |a|^2 + 2 a_i^2)
//   rademacher  |a|^2 - a_i^2                           (E = |a|^2)
//   sphere      d (|a|^2 + 2 a_i^2) / (d + 2) - a_i^2   (E = (|a|^2 + 2 a_i^2) / (d (d + 2)))
// and q directions divide it by q.
template <class D>
double variance_of(D, double a_i, double squares, double d, double q) {
  if (D::unit_norm) return (d * (squares + 2 * a_i * a_i) / (d + 2) - a_i * a_i) / q;
  if (std::same_as<D, zo::gaussian>) return (squares + a_i * a_i) / q;
  return (squares - a_i * a_i) / q;
}

// Known faults elsewhere: "TorchOpt …", "DeepZero RGE; ZO-AE-DS CGE_sim; EvoX 1/sqrt(r)": a scale
// that is wrong in d, q or mu shows as a mean off by more than its standard error, or as a spread
// other than the known one.
template <class T, class D, class S>
void check_unbiased(D d, S s, index_t dimension, index_t q, double mu) {
  const auto a = ramp<double>(dimension, 0.5, 0.25);
  const auto x = ramp<T>(dimension);
  auto f = [&](std::span<const T> at) { return dot(at, a); };
  const auto n = static_cast<std::size_t>(dimension);
  const double draws = 1500;
  std::vector<double> sum(n, 0.0), squares(n, 0.0);
  std::vector<T> g(n);
  zo::workspace<T> memory;
  const rge how({.directions = q, .smoothing = mu}, d, s);
  for (std::uint64_t step = 0; step < static_cast<std::uint64_t>(draws); ++step) {
    zo::estimate(zo::seq, f, x, g, how, {.seed = 17, .step = step}, memory);
    for (std::size_t i = 0; i < n; ++i) {
      const auto value = static_cast<double>(g[i]);
      sum[i] += value;
      squares[i] += (value - a[i]) * (value - a[i]);
    }
  }
  const double a2 = reference::dot(a, a);
  // Rounding of the answers, divided by mu, for the cases of zero variance.
  const double floor = 64 * std::numeric_limits<T>::epsilon() * (1 + a2) * (1 + 1 / mu);
  double spread_ratio = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double variance = variance_of(d, a[i], a2, static_cast<double>(dimension), double(q));
    const double error = std::abs(sum[i] / draws - a[i]);
    ASSERT_LE(error, 5 * std::sqrt(variance / draws) + floor)
        << "coordinate " << i << " of " << dimension << ", q " << q << ", mu " << mu;
    if (variance > 1e-9) spread_ratio += squares[i] / draws / variance / static_cast<double>(n);
  }
  // The measured variance is the stated one; its own relative spread is well below 0.25 here.
  if (dimension > 2) {
    EXPECT_NEAR(spread_ratio, 1, 0.25) << dimension << " " << q << " " << mu;
  }
}

TEST(rge, is_unbiased_for_every_distribution_scheme_q_d_and_mu) {
  for_each_kind([](auto d, auto s) {
    for (const index_t dimension : {1, 2, 7, 100}) {
      for (const index_t q : {1, 2, 8}) {
        for (const double mu : {1e-3, 1.0, 10.0}) check_unbiased<double>(d, s, dimension, q, mu);
      }
    }
  });
}

TEST(rge, is_unbiased_in_float) {
  for_each_kind([](auto d, auto s) { check_unbiased<float>(d, s, 7, 2, 0.5); });
}

// A quadratic: the Gaussian-smoothed gradient is the gradient itself, whatever mu. (Known fault
// elsewhere: "evosax Guided ES: missing /P", which a closed form shows.)
TEST(rge, gaussian_mean_on_a_quadratic_is_the_gradient_at_large_mu) {
  const std::vector<double> x{0.4, -1.2};
  auto f = [](std::span<const double> v) {
    return v[0] * v[0] + 3 * v[0] * v[1] - 2 * v[1] * v[1];
  };
  const double exact[] = {2 * x[0] + 3 * x[1], 3 * x[0] - 4 * x[1]};
  std::vector<double> g(2), sum(2, 0.0), squares(2, 0.0);
  const int draws = 20000;
  for (int step = 0; step < draws; ++step) {
    zo::estimate(zo::seq, f, x, g, rge({.directions = 2, .smoothing = 2.0}, gaussian{}, central{}),
                 {.seed = 5, .step = static_cast<std::uint64_t>(step)});
    for (std::size_t i = 0; i < 2; ++i) sum[i] += g[i], squares[i] += g[i] * g[i];
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const double mean = sum[i] / draws, spread = std::sqrt(squares[i] / draws - mean * mean);
    EXPECT_LT(std::abs(mean - exact[i]) / (spread / std::sqrt(draws)), 4);
  }
}

// ---- error in mu

// With the same directions, the estimate tends to (c/q) sum (grad.u) u with order 1 or 2.
template <class D, class S>
double error_at(D d, S s, double mu) {
  const index_t dimension = 10, q = 4;
  const auto x = ramp<double>(dimension, -0.5, 0.1);
  auto f = [](std::span<const double> v) {
    double sum = 0;
    for (const double value : v) sum += std::exp(value) + value * value * value;
    return sum;
  };
  std::vector<double> slope_at_x, limit(x.size(), 0.0), g(x.size());
  for (const double value : x) slope_at_x.push_back(std::exp(value) + 3 * value * value);
  for (const auto& u : own_directions(d, 3, 0, q, dimension)) {
    const double slope = reference::dot(slope_at_x, u);
    for (std::size_t i = 0; i < u.size(); ++i) {
      limit[i] += D::scale(dimension) * slope * u[i] / static_cast<double>(q);
    }
  }
  zo::estimate(zo::seq, f, x, g, rge({.directions = q, .smoothing = mu}, d, s), {.seed = 3});
  return distance(g, limit);
}

TEST(rge, error_is_of_order_one_forward_and_two_central) {
  for_each_kind([](auto d, auto s) {
    const double order = is_central<decltype(s)> ? 2 : 1;
    for (const double mu : {2e-2, 1e-2, 5e-3}) {
      const double slope = std::log2(error_at(d, s, mu) / error_at(d, s, mu / 2));
      EXPECT_NEAR(slope, order, 0.08) << "mu " << mu;
    }
  });
}

TEST(rge, small_mu_meets_the_rounding_floor_and_nothing_worse) {
  for_each_kind([](auto d, auto s) {
    const double order = is_central<decltype(s)> ? 2 : 1;
    for (double mu = 1e-2; mu > 1e-13; mu /= 10) {
      EXPECT_LE(error_at(d, s, mu), 2000 * std::pow(mu, order) + 2000 * 2.2e-16 / mu) << mu;
    }
    EXPECT_GT(error_at(d, s, 1e-13), error_at(d, s, 1e-6)) << "the floor is real";
  });
}

// ---- place and options

TEST(rge, seeds_and_steps_give_different_directions) {
  for_each_kind([](auto d, auto s) {
    const auto x = ramp<double>(20);
    const auto at = [&](zo::estimate_options place) { return estimate(d, s, x, {}, place); };
    const auto g = at({.seed = 1, .step = 1});
    EXPECT_TRUE(same_bits(g, at({.seed = 1, .step = 1})));
    EXPECT_FALSE(same_bits(g, at({.seed = 2, .step = 1})));
    EXPECT_FALSE(same_bits(g, at({.seed = 1, .step = 2})));
    EXPECT_FALSE(same_bits(g, at({.seed = 1, .step = 1 + (std::uint64_t{1} << 32)})));
  });
}

TEST(rge, the_last_step_below_2_to_the_56_works_and_the_next_is_refused) {
  const auto x = ramp<double>(3);
  std::vector<double> g(3);
  auto f = [](std::span<const double> at) { return smooth_loss(at); };
  const std::uint64_t limit = std::uint64_t{1} << 56;
  EXPECT_TRUE(zo::estimate(zo::seq, f, x, g, rge(), {.step = limit - 1}).ok);
  const auto said = complaint([&] { zo::estimate(zo::seq, f, x, g, rge(), {.step = limit}); });
  EXPECT_TRUE(contains(said, "step must be below 2^56")) << said;
}

TEST(rge, bad_options_are_refused_at_construction) {
  const auto said = [](zo::rge_options options) { return complaint([&] { rge how(options); }); };
  EXPECT_TRUE(contains(said({.directions = 0}), "directions must be at least 1, got 0"));
  EXPECT_TRUE(contains(said({.directions = -3}), "got -3"));
  EXPECT_TRUE(contains(said({.directions = index_t{1} << 32}), "below 2^32"));
  EXPECT_TRUE(contains(said({.smoothing = 0}), "smoothing must be a positive number, got 0"));
  EXPECT_TRUE(contains(said({.smoothing = -1e-3}), "got -0.001"));
  EXPECT_TRUE(contains(said({.smoothing = not_a_number}), "smoothing"));
  EXPECT_TRUE(contains(said({.smoothing = infinity}), "smoothing"));
  EXPECT_EQ(said({.directions = 1, .smoothing = 1e-300}), "");
}

TEST(rge, a_smoothing_that_float_cannot_hold_is_refused) {
  const auto x = ramp<float>(3);
  std::vector<float> g(3);
  auto f = [](std::span<const float> at) { return smooth_loss(at); };
  for (const double mu : {1e-60, 1e60}) {
    const auto said = complaint([&] { zo::estimate(zo::seq, f, x, g, rge({.smoothing = mu})); });
    EXPECT_TRUE(contains(said, "smoothing")) << mu << " " << said;
  }
}

// ---- x that is large beside the smoothing

template <class T>
double sum_of(std::span<const T> x) {
  double sum = 0;
  for (const T v : x) sum += static_cast<double>(v);
  return sum;
}

// f is linear and knows no rounding of its own: the same directions give slopes that differ by
// rounding alone. Either their mean is within a twentieth (and five standard deviations of what
// dithers, at most a spacing of twice the step each), or there is no estimate.
template <class T, class D, class S>
void check_large(D law, S scheme, index_t d) {
  const index_t q = 5000;
  index_t refused = 0, right = 0;
  for (double x = 1; x < 1e20; x *= 2.37) {
    const double spacing = std::abs(std::nextafter(T(x), T(1e30)) - T(x));
    for (const double steps : {0.3, 0.7, 1.3, 2.6, 11.4, 200.5}) {
      const rge how({.directions = q, .smoothing = steps * spacing}, law, scheme);
      const std::vector<T> at(static_cast<std::size_t>(d), T(x));
      std::vector<T> g(at.size());
      auto f = [&](std::span<const T> v) {
        double sum = 0;
        for (const T one : v) sum += static_cast<double>(one - at[0]);
        return sum;
      };
      const auto r = zo::estimate(zo::seq, f, at, g, how);
      if (!r.ok) {
        ++refused;
        EXPECT_EQ(r.why, zo::flaw::smoothing_lost);
        EXPECT_EQ(r.queries, 0);
        EXPECT_EQ(sum_of<T>(g), 0);
        continue;
      }
      ++right;
      std::vector<double> exact(at.size()), zero(at.size());
      zo::estimate(zo::seq, sum_of<double>, zero, exact, rge({.directions = q}, law, scheme));
      const double expected = sum_of<double>(exact);
      EXPECT_NEAR(sum_of<T>(g), expected, 0.08 * std::abs(expected)) << x << " by " << steps;
    }
    if (x > 1e3) x *= 1e3;
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(right, 0);
}

TEST(rge, is_right_or_no_estimate_where_x_is_large) {
  check_large<float>(gaussian{}, forward{}, 24);
  check_large<double>(gaussian{}, central{}, 24);
  check_large<float>(rademacher{}, forward{}, 24);
  check_large<double>(rademacher{}, central{}, 24);
  for (const index_t d : {1, 2, 3, 24}) {
    check_large<float>(sphere{}, central{}, d);
    check_large<double>(sphere{}, forward{}, d);
  }
}

TEST(rge, one_large_coordinate_is_enough_for_no_estimate) {
  for_each_kind([](auto law, auto scheme) {
    std::vector<float> x(3000, 0.5f), g(x.size(), 7.0f);
    x[2500] = 1e8f;
    for (const int threads : {1, 3}) {
      const auto r = zo::estimate(zo::par.with_threads(threads), sum_of<float>, x, g,
                                  rge({.directions = 5}, law, scheme));
      EXPECT_FALSE(r.ok);
      EXPECT_EQ(r.why, zo::flaw::smoothing_lost);
      EXPECT_EQ(r.queries, 0);
      EXPECT_TRUE(std::isnan(r.value));
      EXPECT_EQ(g, std::vector<float>(x.size(), 0.0f));
    }
    x[2500] = 100.0f;
    EXPECT_TRUE(zo::estimate(zo::seq, sum_of<float>, x, g, rge({}, law, scheme)).ok);
  });
}

TEST(rge, x_beyond_the_scalar_type_is_no_estimate) {
  auto bounded = [](std::span<const float> x) {
    return std::atan(static_cast<double>(x[0]) / 1e38);
  };
  for_each_kind([&](auto law, auto scheme) {
    const rge how({.directions = 8, .smoothing = 1e38}, law, scheme);
    for (const double first : {3.3e38, -3.3e38, infinity, not_a_number}) {
      const std::vector<float> x{static_cast<float>(first), 0};
      std::vector<float> g(2);
      const auto r = zo::estimate(zo::seq, bounded, x, g, how);
      EXPECT_FALSE(r.ok);
      EXPECT_EQ(r.why, zo::flaw::out_of_range);
    }
  });
}

// ---- answers near the largest number

TEST(rge, slopes_of_huge_answers_are_right_or_no_estimate) {
  const double huge = 1.7e308;
  auto f = [&](std::span<const double> x) { return x[0] > 0 ? huge : -huge; };
  const std::vector<double> x{0};
  std::vector<double> g(1);
  // One sign: f(x + u) - f(x - u) = 3.4e308 u.
  auto r = zo::estimate(zo::seq, f, x, g, rge({.smoothing = 4}, rademacher{}, central{}));
  EXPECT_TRUE(r.ok);
  EXPECT_DOUBLE_EQ(g[0], huge / 4);
  EXPECT_EQ(r.value, 0);
  // A step whose double is no number.
  r = zo::estimate(zo::seq, f, x, g, rge({.smoothing = 1e308}, rademacher{}, central{}));
  EXPECT_TRUE(r.ok);
  EXPECT_DOUBLE_EQ(g[0], 1.7);
  r = zo::estimate(zo::seq, f, x, g, rge({.smoothing = 0.1}, rademacher{}, central{}));
  EXPECT_FALSE(r.ok);
  EXPECT_EQ(r.failed, 0);
  EXPECT_EQ(r.why, zo::flaw::out_of_range);
  EXPECT_EQ(g[0], 0);
}

TEST(rge, what_is_ok_is_finite_and_right) {
  std::uint64_t state = 7;
  const auto random = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state >> 11) * 0x1p-53;
  };
  index_t good = 0, refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const index_t d = 1 + trial % 5, q = 1 + trial % 7;
    const auto failures = trial % 3 == 0 ? zo::on_failure::drop : zo::on_failure::stop;
    std::vector<double> answers;
    auto f = [&](std::span<const double>) {
      const double sign = random() < 0.5 ? -1 : 1;
      const bool fails = failures == zo::on_failure::drop && random() < 0.2;
      answers.push_back(fails ? not_a_number
                              : sign * random() * std::numeric_limits<double>::max());
      return answers.back();
    };
    const std::vector<double> x(static_cast<std::size_t>(d), 0.5);
    std::vector<double> g(x.size());
    const double mu = 0.5 + 4 * random();
    const zo::estimate_options place{.seed = 3, .step = std::uint64_t(trial)};
    const auto r = zo::estimate(
        zo::seq, f, x, g,
        rge({.directions = q, .smoothing = mu, .failures = failures}, gaussian{}, central{}),
        place);
    (r.ok ? good : refused) += 1;
    EXPECT_EQ(r.ok, r.why == zo::flaw::none);
    if (!r.ok) continue;
    std::vector<__float128> expected(x.size());
    __float128 sum = 0;
    index_t answered = 0, slopes = 0;
    for (index_t k = 0; k < q; ++k) {
      const __float128 upper = answers[static_cast<std::size_t>(2 * k)];
      const __float128 lower = answers[static_cast<std::size_t>(2 * k + 1)];
      for (const __float128 one : {upper, lower}) {
        if (one == one) sum += one, ++answered;
      }
      if (!(upper == upper && lower == lower)) continue;
      if (!std::isfinite(static_cast<double>((upper - lower) / (2 * mu)))) continue;  // left out
      ++slopes;
      const auto u = direction<double>(gaussian{},
                                       {3, std::uint64_t(trial), static_cast<std::uint32_t>(k)}, d);
      for (std::size_t i = 0; i < x.size(); ++i) expected[i] += (upper - lower) / (2 * mu) * u[i];
    }
    EXPECT_NEAR(r.value / 1e300, static_cast<double>(sum / answered / 1e300), 1e-14 * 2e8);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_TRUE(std::isfinite(g[i]));
      EXPECT_NEAR(g[i] / 1e300, static_cast<double>(expected[i] / slopes / 1e300), 1e-12 * 2e8);
    }
  }
  EXPECT_GT(good, 100);
  EXPECT_GT(refused, 100);
}

TEST(rge, a_gradient_beyond_float_is_no_estimate) {
  index_t asked = 0;
  auto f = [&](std::span<const float>) { return ++asked == 2 ? 3e35 : 0.0; };
  const std::vector<float> x(200, 1.0f);
  std::vector<float> g(x.size());
  const auto r = zo::estimate(zo::seq, f, x, g, rge());
  EXPECT_FALSE(r.ok);
  EXPECT_EQ(r.why, zo::flaw::out_of_range);
  EXPECT_EQ(g, std::vector<float>(200, 0.0f));
}

TEST(rge, a_mean_of_huge_answers_is_a_number) {
  for (const double answer : {1e308, -1.7e308, std::numeric_limits<double>::max()}) {
    auto f = [&](std::span<const double>) { return answer; };
    const std::vector<double> x(3, 1.0);
    std::vector<double> g(3);
    const auto r = zo::estimate(zo::seq, f, x, g, rge({.directions = 50}, gaussian{}, central{}));
    EXPECT_TRUE(r.ok);
    EXPECT_NEAR(r.value / answer, 1, 1e-14);
    EXPECT_NEAR(zo::estimate(zo::seq, f, x, g, zo::cge({}, central{})).value / answer, 1, 1e-14);
  }
}

struct no_threads {
  int threads() const { return 0; }
};

TEST(rge, a_policy_without_threads_is_refused) {
  auto f = [](std::span<const double> x) { return x[0]; };
  std::vector<double> x{1}, g{0};
  EXPECT_TRUE(contains(complaint([&] { zo::estimate(no_threads{}, f, x, g, rge()); }),
                       "at least 1 thread, got 0"));
  EXPECT_TRUE(contains(
      complaint([&] { zo::minimize(no_threads{}, f, x, rge(), zo::sgd(), {.max_queries = 9}); }),
      "at least 1 thread, got 0"));
}

}  // namespace
