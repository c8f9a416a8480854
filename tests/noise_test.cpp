// The noise of answers, and the smoothing that stands out of it.
#include "zo/noise.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "noisy.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;

struct score {
  int cases = 0, near_best = 0, near_lucky = 0;
  index_t queries = 0;
};

template <class T, class S>
void try_functions(S scheme, score& all) {
  constexpr bool central = S::points == 2;
  for (const function& of : smooth_functions()) {
    const std::vector<T> x(of.x.begin(), of.x.end());
    const auto plain = [&](std::span<const T> at) {
      return of.f(std::vector<double>(at.begin(), at.end()));
    };
    for (int digits = 1; digits <= 12; ++digits) {
      const double level = std::pow(10.0, -digits);
      const double smallest =
          std::max(1e-9, static_cast<double>(std::numeric_limits<T>::epsilon()));
      const double best = least_error(of, central, level, smallest, false);
      const double lucky = least_error(of, central, level, smallest, true);
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        noisy<decltype(plain)> f{plain, level, kind::normal,
                                 seed * 100 + static_cast<std::uint64_t>(digits)};
        const auto choice = zo::choose_smoothing(
            zo::seq, f, x, scheme, {.coordinates = zo::coordinate_list{{0}}, .largest = 1.0});
        ASSERT_TRUE(choice.ok) << of.name;
        EXPECT_EQ(choice.queries, static_cast<index_t>(f.count));
        const double error = slope_error(of, central, choice.smoothing, level);
        ++all.cases;
        all.near_best += error <= 3 * best ? 1 : 0;
        all.near_lucky += error <= 3 * lucky ? 1 : 0;
        all.queries += choice.queries;
        if (is_drowned(of, central, digits)) continue;
        EXPECT_LE(error, 3 * best) << of.name << ", noise 1e-" << digits << ", seed " << seed
                                   << ", mu " << choice.smoothing;
      }
    }
  }
}

TEST(noise, the_chosen_step_is_near_the_best_of_a_grid) {
  score all;
  try_functions<double>(zo::forward{}, all);
  try_functions<float>(zo::forward{}, all);
  const index_t forward_queries = all.queries;
  try_functions<double>(zo::central{}, all);
  try_functions<float>(zo::central{}, all);
  std::printf("within a factor of 3: %d of %d; of a grid with lucky steps: %d\n", all.near_best,
              all.cases, all.near_lucky);
  std::printf("queries: %.1f forward, %.1f central\n",
              2.0 * static_cast<double>(forward_queries) / all.cases,
              2.0 * static_cast<double>(all.queries - forward_queries) / all.cases);
  EXPECT_EQ(all.cases, 20 * 12 * 5 * 4);
  EXPECT_GE(all.near_best, all.cases - 2 * 5);  // what is_drowned excuses
  EXPECT_GE(all.near_lucky, all.cases * 97 / 100);
}

// The table of differences by binomials, naively.
double level_by_binomials(const std::vector<double>& answers) {
  std::vector<double> levels;
  std::vector<bool> changes;
  for (std::size_t k = 1; k < answers.size(); ++k) {
    double squares = 0, least = infinity, most = -infinity, gamma = 1;
    for (std::size_t i = 0; i + k < answers.size(); ++i) {
      double difference = 0, binomial = 1;
      for (std::size_t j = 0; j <= k; ++j) {
        difference += ((k - j) % 2 == 0 ? 1 : -1) * binomial * answers[i + j];
        binomial *= static_cast<double>(k - j) / static_cast<double>(j + 1);
      }
      squares += difference * difference;
      least = std::min(least, difference);
      most = std::max(most, difference);
    }
    for (std::size_t j = 1; j <= k; ++j)
      gamma *= static_cast<double>(j) / static_cast<double>(k + j);
    levels.push_back(std::sqrt(gamma * squares / static_cast<double>(answers.size() - k)));
    changes.push_back(least < 0 && most > 0);
  }
  for (std::size_t k = 0; k + 2 < levels.size(); ++k) {
    const auto [a, b] = std::minmax({levels[k], levels[k + 1], levels[k + 2]});
    if (b <= 4 * a && changes[k]) return levels[k];
  }
  return not_a_number;
}

TEST(noise, level_is_that_of_the_table_of_differences) {
  const std::vector<double> x{0.3, -0.2};
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::vector<double> answers;
    const auto points = static_cast<index_t>(6 + seed % 12);
    auto f = [&](std::span<const double>) {
      const auto i = static_cast<double>(answers.size());
      const double smooth = static_cast<double>(seed / 12) * (4 * i - 0.2 * i * i);
      answers.push_back(drawn(kind::normal, seed, answers.size()) + smooth);
      return answers.back();
    };
    const auto found = zo::estimate_noise(zo::seq, f, x, {.points = points, .tries = 1});
    EXPECT_EQ(found.queries, points);
    ASSERT_EQ(static_cast<index_t>(answers.size()), points);
    const double expected = level_by_binomials(answers);
    EXPECT_EQ(found.found, !std::isnan(expected));
    if (found.found) {
      EXPECT_NEAR(found.level / expected, 1, 1e-9);
    }
  }
}

// How many of 200 seeds find the level within a factor of 2.
template <class Find>
int found_of_200(const char* what, const Find& ratio_of) {
  int good = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const double ratio = ratio_of(seed);
    good += ratio >= 0.5 && ratio <= 2 ? 1 : 0;
  }
  std::printf("%s: %d of 200 within a factor of 2\n", what, good);
  EXPECT_GE(good, 190) << what;
  return good;
}

TEST(noise, level_is_right_within_a_factor_of_two) {
  const auto x = ramp<double>(20);
  int good = 0;
  for (const double level : {1e-1, 1e-6, 1e-12}) {
    for (const kind of : {kind::normal, kind::uniform}) {
      good += found_of_200(of == kind::normal ? "normal" : "uniform", [&](std::uint64_t seed) {
        noisy f{smooth_loss<double>, level, of, seed};
        return zo::estimate_noise(zo::seq, f, x, {}, {.seed = seed}).level / level;
      });
    }
  }
  const double unit = 1e-5;
  good += found_of_200("printed with five digits", [&](std::uint64_t seed) {
    auto f = [&](std::span<const double> at) { return std::round(smooth_loss(at) / unit) * unit; };
    return zo::estimate_noise(zo::seq, f, x, {}, {.seed = seed}).level / (unit / std::sqrt(12.0));
  });
  good += found_of_200("rounding of float", [&](std::uint64_t seed) {
    const auto exact = [](std::span<const double> at) {
      double sum = 0;
      for (const double v : at) sum += v * v;
      return sum;
    };
    const auto f = [](std::span<const double> at) {
      float sum = 0;
      for (const double v : at) sum += static_cast<float>(v) * static_cast<float>(v);
      return static_cast<double>(sum);
    };
    const auto found = zo::estimate_noise(zo::seq, f, x, {.spacing = 1e-5}, {.seed = seed});
    double sum = 0, squares = 0;  // of the errors on the same line
    const auto u = direction<double>(zo::gaussian{}, {seed, 0, 0}, 20);
    for (int k = -1000; k < 1000; ++k) {
      std::vector<double> at = x;
      for (std::size_t i = 0; i < at.size(); ++i) at[i] += k * 1e-7 * u[i];
      const double error = f(at) - exact(at);
      sum += error;
      squares += error * error;
    }
    return found.level / std::sqrt(squares / 2000 - sum / 2000 * (sum / 2000));
  });
  // Were the share 95 of 100, 1,538 or more of 1,600 would be seen with a probability of 0.02.
  EXPECT_GE(good, 1538);
}

TEST(noise, constants_have_none) {
  const std::vector<float> x{1e6f, -2};
  std::atomic<index_t> count{0};
  auto f = [&](std::span<const float>) {
    ++count;
    return 3.5;
  };
  const auto found = zo::estimate_noise(zo::seq, f, x);
  EXPECT_TRUE(found.found);
  EXPECT_EQ(found.why, zo::noise_end::none);
  EXPECT_EQ(found.level, 0);
  EXPECT_EQ(found.queries, count);
  EXPECT_LE(found.queries, 6 * 16);
  const auto choice = zo::choose_smoothing(zo::seq, f, x, zo::forward{}, {.largest = 0.25});
  EXPECT_TRUE(choice.ok);
  EXPECT_EQ(choice.why, zo::smoothing_end::largest);
  EXPECT_EQ(choice.smoothing, 0.25);
}

TEST(noise, spacing_is_widened_and_narrowed) {
  const std::vector<double> x{0.3};
  auto rounded = [](std::span<const double> at) { return std::round(at[0] * 1e4) * 1e-4; };
  const auto close = zo::estimate_noise(zo::seq, rounded, x, {.spacing = 1e-6, .tries = 1});
  EXPECT_FALSE(close.found);
  EXPECT_EQ(close.why, zo::noise_end::too_close);
  EXPECT_EQ(close.level, 0);
  const auto third = zo::estimate_noise(zo::seq, rounded, x, {.spacing = 0x1p-15, .tries = 1});
  EXPECT_EQ(third.why, zo::noise_end::too_close);
  const auto wider = zo::estimate_noise(zo::seq, rounded, x, {.spacing = 1e-6});
  EXPECT_TRUE(wider.found);
  EXPECT_EQ(wider.spacing, close.spacing * 128);
  EXPECT_EQ(wider.queries, 32);
  EXPECT_NEAR(std::log2(wider.level / (1e-4 / std::sqrt(12.0))), 0, 1);

  auto smooth = [](std::span<const double> at) { return std::exp(at[0]); };
  const auto wide = zo::estimate_noise(zo::seq, smooth, x, {.spacing = 0.5, .tries = 1});
  EXPECT_FALSE(wide.found);
  EXPECT_EQ(wide.why, zo::noise_end::too_wide);
  const auto narrower = zo::estimate_noise(zo::seq, smooth, x, {.spacing = 0.5});
  EXPECT_TRUE(narrower.found);
  EXPECT_LT(narrower.spacing, 0.5 / 100);
  EXPECT_LT(narrower.level, 1e-15);
}

TEST(noise, the_step_is_that_of_the_formulas) {
  const std::vector<double> x{0.5, -1.25};
  const double noise = 1e-8;
  auto bowl = [](std::span<const double> at) { return 3 * at[0] * at[0] + at[1]; };
  const auto first = zo::choose_smoothing(
      zo::seq, bowl, x, zo::forward{}, {.noise = noise, .coordinates = zo::coordinate_list{{0}}});
  EXPECT_EQ(first.why, zo::smoothing_end::balanced);
  EXPECT_NEAR(first.derivative, 6, 1e-6);
  EXPECT_NEAR(first.smoothing, std::pow(8, 0.25) * std::sqrt(noise / 6), 1e-9);
  EXPECT_NEAR(first.noise_error, std::sqrt(2) * noise / first.smoothing, 1e-12);
  EXPECT_NEAR(first.truncation_error, 3 * first.smoothing, 1e-9);
  EXPECT_NEAR(first.error, std::hypot(first.noise_error, first.truncation_error), 1e-12);
  EXPECT_NEAR(first.gradient_error(50, 2), 5 * first.error, 1e-12);

  auto cube = [](std::span<const double> at) { return at[1] * at[1] * at[1]; };
  const auto second = zo::choose_smoothing(
      zo::seq, cube, x, zo::central{}, {.noise = noise, .coordinates = zo::coordinate_list{{1}}});
  EXPECT_EQ(second.why, zo::smoothing_end::balanced);
  EXPECT_NEAR(second.derivative, 6, 1e-4);
  EXPECT_NEAR(second.smoothing, std::cbrt(3 * noise / 6), 1e-7);
  EXPECT_NEAR(second.noise_error, noise / second.smoothing / std::sqrt(2), 1e-12);
  EXPECT_NEAR(second.truncation_error, second.smoothing * second.smoothing, 1e-9);
}

TEST(noise, the_median_of_the_lines_is_taken) {
  const std::vector<double> x{0.5, -0.25, 0.125};
  auto f = [](std::span<const double> at) {
    return at[0] * at[0] + 100 * at[1] * at[1] + (at[2] < 0.2 ? 1e4 * at[2] * at[2] : not_a_number);
  };
  index_t count = 0, at_x = 0;
  auto counted = [&](std::span<const double> at) {
    ++count;
    at_x += copy_of(at) == x ? 1 : 0;
    return f(at);
  };
  const auto choice =
      zo::choose_smoothing(zo::seq, counted, x, zo::forward{},
                           {.noise = 1e-9, .coordinates = zo::all_coordinates{}, .largest = 0.01});
  EXPECT_TRUE(choice.ok);
  EXPECT_NEAR(choice.derivative, 200, 1);
  EXPECT_EQ(choice.queries, count);
  EXPECT_EQ(at_x, 3);  // once a line
  const auto cut = zo::choose_smoothing(zo::seq, f, x, zo::forward{},
                                        {.noise = 1.0, .coordinates = zo::all_coordinates{}});
  EXPECT_FALSE(cut.ok);
  EXPECT_EQ(cut.why, zo::smoothing_end::query_failed);
  EXPECT_EQ(cut.smoothing, 0);
}

TEST(noise, a_straight_f_gets_the_largest_step_and_is_asked_no_further_than_its_reach) {
  const std::vector<double> x{0.25, 3};
  double far = 0;
  auto line = [&](std::span<const double> at) {
    far = std::max(far, std::abs(at[0] - 0.25));
    return 2 * at[0] + at[1];
  };
  const zo::coordinate_list first{{0}};
  const auto choice =
      zo::choose_smoothing(zo::seq, line, x, zo::forward{}, {.noise = 1e-3, .coordinates = first});
  EXPECT_TRUE(choice.ok);
  EXPECT_EQ(choice.why, zo::smoothing_end::largest);
  EXPECT_EQ(choice.smoothing, 1);
  EXPECT_LE(far, 4);
  const auto third = zo::choose_smoothing(zo::seq, line, x, zo::central{},
                                          {.coordinates = zo::coordinate_list{{1}}});
  EXPECT_EQ(third.smoothing, 3);
  EXPECT_EQ(third.noise_why, zo::noise_end::none);
}

TEST(noise, a_jump_gets_the_smallest_step_and_says_so) {
  const std::vector<double> x{0.0};
  auto jump = [](std::span<const double> at) { return at[0] > 0 ? 1.0 : 0.0; };
  const auto choice = zo::choose_smoothing(
      zo::seq, jump, x, zo::forward{}, {.noise = 1e-6, .coordinates = zo::coordinate_list{{0}}});
  EXPECT_EQ(choice.why, zo::smoothing_end::smallest);
  EXPECT_LT(choice.smoothing, 1e-15);
  EXPECT_TRUE(contains(std::string(zo::to_string(choice.why)), "jump"));
}

TEST(noise, failures_are_said) {
  const std::vector<double> x{1, 1};
  auto root = [](std::span<const double> at) { return std::sqrt(-std::abs(at[0])); };
  const auto noise = zo::estimate_noise(zo::seq, root, x);
  EXPECT_FALSE(noise.found);
  EXPECT_EQ(noise.why, zo::noise_end::query_failed);
  EXPECT_EQ(noise.queries, 16);
  ASSERT_NE(noise.failure, nullptr);
  EXPECT_EQ(noise.failure->point.size(), 2);
  const auto none = zo::choose_smoothing(zo::seq, root, x, zo::central{});
  EXPECT_FALSE(none.ok);
  EXPECT_EQ(none.why, zo::smoothing_end::no_noise);
  EXPECT_EQ(none.noise_why, zo::noise_end::query_failed);
  EXPECT_EQ(none.smoothing, 0);
  EXPECT_TRUE(contains(complaint([&] { zo::rge({.smoothing = none.smoothing}); }), "smoothing"));

  auto edge = [](std::span<const double> at) { return at[0] < 1.5 ? at[0] : not_a_number; };
  const auto beyond = zo::choose_smoothing(
      zo::seq, edge, x, zo::forward{}, {.noise = 1e-3, .coordinates = zo::coordinate_list{{0}}});
  EXPECT_FALSE(beyond.ok);
  EXPECT_EQ(beyond.why, zo::smoothing_end::query_failed);
  EXPECT_NE(beyond.failure, nullptr);
  EXPECT_TRUE(
      zo::choose_smoothing(zo::seq, edge, x, zo::forward{},
                           {.noise = 1e-3, .coordinates = zo::coordinate_list{{0}}, .largest = 0.1})
          .ok);

  auto thrown = [](std::span<const double>) -> double { throw std::runtime_error("no licence"); };
  EXPECT_THROW(zo::estimate_noise(zo::seq, thrown, x), std::runtime_error);
}

TEST(noise, of_sampled_objectives_what_does_not_cancel_is_found) {
  const auto x = ramp<double>(5);
  std::uint64_t count = 0;
  double own = 0;
  auto f = [&](std::span<const double> at, zo::sample_id sample) {
    EXPECT_EQ(sample, 7);
    return smooth_loss(at) + 0.1 * drawn(kind::normal, 1, sample) +
           own * drawn(kind::normal, 2, count++);
  };
  EXPECT_LT(zo::estimate_noise(zo::seq, f, x, {}, {.step = 7}).level, 1e-14);
  own = 1e-4;
  EXPECT_NEAR(std::log2(zo::estimate_noise(zo::seq, f, x, {}, {.sample = 7}).level / own), 0, 1);
}

template <class T>
void expect_same_for_all() {
  const auto x = ramp<T>(3000);
  std::atomic<index_t> count{0};
  const auto ask = [&](const auto& policy, auto&& f, const zo::estimate_options& options) {
    count = 0;
    const auto choice = zo::choose_smoothing(policy, f, x, zo::central{}, {}, options);
    EXPECT_TRUE(choice.ok);
    EXPECT_EQ(choice.queries, count);
    return std::vector<double>{choice.smoothing, choice.noise, choice.derivative, choice.error};
  };
  const auto expected = ask(zo::seq, scalar_form<T>{&count}, {});
  EXPECT_TRUE(same_bits(expected, ask(zo::par.with_threads(3), scalar_form<T>{&count}, {})));
  EXPECT_TRUE(same_bits(expected, ask(zo::par, sampled_form<T>{&count}, {})));
  EXPECT_TRUE(same_bits(expected, ask(zo::seq, batch_form<T>{&count}, {.chunk_bytes = 40'000})));
  EXPECT_FALSE(same_bits(expected, ask(zo::seq, scalar_form<T>{&count}, {.seed = 1})));
}
TEST(noise, every_policy_and_objective_gives_the_same_bits) {
  expect_same_for_all<float>();
  expect_same_for_all<double>();
}

TEST(noise, rounding_of_x_counts_along_directions_and_not_along_coordinates) {
  const index_t d = 400;
  const std::vector<float> x(d, 1.25f);  // between 1 and 2 all numbers are 2^-23 apart
  auto sum = [](std::span<const float> at) {
    double total = 0;
    for (const float v : at) total += static_cast<double>(v);
    return total;
  };
  const double expected = 0x1p-23 / std::sqrt(12.0) * std::sqrt(static_cast<double>(d));
  EXPECT_NEAR(std::log2(zo::estimate_noise(zo::seq, sum, x).level / expected), 0, 1);
  EXPECT_LT(zo::estimate_noise(zo::seq, sum, x, {.coordinate = 3}).level, 1e-12);
  // Half of the points lie where numbers are coarser, and x is none of those.
  const std::vector<float> below{static_cast<float>(1 - 1175 * 0x1p-24)};
  auto bend = [](std::span<const float> at) { return std::exp(static_cast<double>(at[0])); };
  EXPECT_LT(zo::estimate_noise(zo::seq, bend, below, {.coordinate = 0}).level, 1e-15);
}

TEST(noise, a_plant_with_noise_gets_a_gradient) {
  const std::vector<double> x(20, 0.3);
  const std::vector<double> exact = plant::gradient(x);
  const double length =
      std::sqrt(std::inner_product(exact.begin(), exact.end(), exact.begin(), 0.0));
  noisy<plant> f{{}, 1e-2, kind::normal, 5};
  // Root of the mean square of the error over draws, and its relative standard error below.
  constexpr int draws = 400;
  const auto error_of = [&](const auto& how) {
    double squares = 0;
    for (std::uint64_t k = 0; k < draws; ++k) {
      std::vector<double> g(20);
      zo::estimate(zo::seq, f, x, g, how, {.step = k});
      for (std::size_t i = 0; i < 20; ++i) squares += (g[i] - exact[i]) * (g[i] - exact[i]);
    }
    return std::sqrt(squares / draws);
  };
  const auto choice = zo::choose_smoothing(zo::seq, f, x, zo::central{},
                                           {.coordinates = zo::random_coordinates{3}});
  ASSERT_TRUE(choice.ok);
  const double before = error_of(zo::cge()) / length;
  const double after = error_of(zo::cge({.smoothing = choice.smoothing}, zo::central{}));
  std::printf("relative error: %.1f by default, %.3f with mu = %.3f, found by %d queries\n", before,
              after / length, choice.smoothing, static_cast<int>(choice.queries));
  // 2 x 20 normal numbers a draw, forward differences sharing one: a few percent are many errors.
  EXPECT_NEAR(before * length / (std::sqrt(2.0 * 20) * 1e-2 / 1e-3), 1, 0.05);
  EXPECT_GT(before, 50);
  EXPECT_LT(after / length, 0.15);
  EXPECT_NEAR(std::log2(after / choice.gradient_error(20)), 0, 1);
}

// Root of the mean square error of slopes along directions, as zo::rge asks them.
template <class T, class F>
double error_along_directions(F& f, const std::vector<T>& x, const std::vector<double>& exact,
                              double step) {
  double squares = 0;
  constexpr int draws = 200;
  std::vector<T> at(x.size());
  for (std::uint64_t k = 0; k < draws; ++k) {
    const zo::stream from{99, k, 0};
    const auto u = direction<T>(zo::gaussian{}, from, static_cast<index_t>(x.size()));
    const double slope = dot(std::span<const T>(u), exact);
    zo::perturb(zo::seq, zo::gaussian{}, from, x, static_cast<T>(step), at);
    const double rise = f(std::span<const T>(at)) - f(std::span<const T>(x));
    squares += (rise / step - slope) * (rise / step - slope);
  }
  return std::sqrt(squares / draws);
}

// Along directions in float, the rounding of x alone is the noise of an f without any.
template <class T>
void expect_best_along_directions(double noise) {
  const std::vector<T> x(20, T(1.3));
  const std::vector<double> exact = plant::gradient(widened(x));
  const auto plain = [](std::span<const T> at) {
    return plant()(std::vector<double>(at.begin(), at.end()));
  };
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    noisy f{plain, noise, kind::normal, seed};
    const auto choice = zo::choose_smoothing(zo::seq, f, x, zo::forward{}, {}, {.seed = seed});
    ASSERT_TRUE(choice.ok);
    double least = infinity;
    for (double step = 1e-9; step <= 1; step *= 2) {
      least = std::min(least, error_along_directions(f, x, exact, step));
    }
    const double error = error_along_directions(f, x, exact, choice.smoothing);
    EXPECT_LE(error, 3 * least) << "mu " << choice.smoothing << ", noise " << choice.noise;
    EXPECT_NEAR(std::log2(error / choice.error), 0, 2);
  }
}
TEST(noise, the_step_along_directions_is_near_the_best_of_a_grid) {
  expect_best_along_directions<float>(0);
  expect_best_along_directions<float>(1e-3);
  expect_best_along_directions<double>(0);
  expect_best_along_directions<double>(1e-3);
}

TEST(noise, tells_what_an_estimate_by_directions_errs) {
  // A linear f of gradient 0: all that is left is noise.
  const std::vector<double> x(50, 0.0);
  noisy f{[](std::span<const double>) { return 0.0; }, 1e-3, kind::uniform, 3};
  const auto choice =
      zo::choose_smoothing(zo::seq, f, x, zo::central{}, {.noise = 1e-3, .largest = 0.5});
  EXPECT_EQ(choice.smoothing, 0.5);
  double squares = 0;
  for (std::uint64_t k = 0; k < 400; ++k) {
    std::vector<double> g(50);
    zo::estimate(zo::seq, f, x, g,
                 zo::rge({.directions = 8, .smoothing = 0.5}, zo::gaussian{}, zo::central{}),
                 {.step = k});
    for (const double v : g) squares += v * v;
  }
  const double expected = 1e-3 / 0.5 * std::sqrt(0.5) * std::sqrt(50.0 / 8);
  EXPECT_NEAR(std::sqrt(squares / 400) / expected, 1, 0.05);
  EXPECT_LE(expected, choice.gradient_error(50, 8));
  EXPECT_NEAR(choice.noise_error * std::sqrt(50.0 / 8), expected, 1e-12);
}

TEST(noise, bad_options_are_said) {
  const std::vector<double> x{1, 2};
  const auto f = [](std::span<const double> at) { return at[0]; };
  const auto noise = [&](const zo::noise_options& how) {
    return complaint([&] { zo::estimate_noise(zo::seq, f, x, how); });
  };
  const auto smoothing = [&](const zo::smoothing_options& how) {
    return complaint([&] { zo::choose_smoothing(zo::seq, f, x, zo::forward{}, how); });
  };
  EXPECT_TRUE(contains(noise({.points = 5}), "points must be at least 6"));
  EXPECT_TRUE(contains(noise({.spacing = 0.0}), "spacing must be a positive number"));
  EXPECT_TRUE(contains(noise({.tries = 0}), "tries must be at least 1"));
  EXPECT_TRUE(contains(noise({.coordinate = 2}), "one of 0 … 1, got 2"));
  EXPECT_TRUE(contains(smoothing({.noise = -1.0}), "noise must be at least 0"));
  EXPECT_TRUE(contains(smoothing({.directions = 0}), "directions must be at least 1"));
  EXPECT_TRUE(contains(smoothing({.largest = infinity}), "largest must be a positive number"));
  EXPECT_TRUE(contains(smoothing({.points = 2}), "points must be at least 6"));
  EXPECT_TRUE(contains(smoothing({.coordinates = zo::coordinate_list{{2}}}), "coordinate 2"));
  const std::vector<double> infinite{infinity};
  EXPECT_TRUE(contains(complaint([&] { zo::estimate_noise(zo::seq, f, infinite); }), "not finite"));
  const double known = 1;
  EXPECT_TRUE(contains(complaint([&] {
                         zo::estimate_noise(zo::seq, f, x, {}, {.known_values = {&known, 1}});
                       }),
                       "known_values are not used"));
}

}  // namespace
