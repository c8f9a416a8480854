// Parameters with names, bounds and scales: what x means, and what f is asked.
#include "zo/space.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::parameter;
using zo::scale;
using zo::space;
using numbers = std::vector<double>;

// Every kind: two bounds, a logarithm, fixed, whole, one bound, none, and whole numbers along a
// logarithm.
space every_kind() {
  return space({{.name = "camber", .lower = -0.3, .upper = 0.7, .start = 0.2},
                {.name = "rate", .lower = 1e-6, .upper = 1e-2, .start = 1e-4, .scale = scale::log},
                {.name = "chord", .lower = 2, .upper = 2},
                {.name = "flaps", .lower = 0.5, .upper = 4.5, .start = 2, .whole = true},
                {.name = "above", .lower = 0.1, .start = 0.1},
                {.name = "below", .upper = 0.1, .start = -2.9, .unit = 3},
                {.name = "angle", .start = 40, .unit = 20},
                {.name = "width", .lower = 1, .upper = 1024, .scale = scale::log, .whole = true}});
}

TEST(space, maps_its_start_and_its_bounds) {
  const space all = every_kind();
  EXPECT_EQ(all.size(), 8);
  EXPECT_EQ(all.dimension(), 7);
  EXPECT_EQ(all.names()[6], "angle");
  EXPECT_EQ(all.parameters()[3].lower, 1);  // whole numbers
  EXPECT_EQ(all.parameters()[3].upper, 4);
  const numbers x = all.start();
  const numbers expected{0.5, 0.5, 1.0 / 3, 0, -1, 2, 0.5};
  ASSERT_EQ(x.size(), expected.size());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], expected[i], 1e-12) << i;
  const numbers values = all.values(x);
  const numbers start{0.2, 1e-4, 2, 2, 0.1, -2.9, 40, 32};
  for (std::size_t i = 0; i < start.size(); ++i) {
    EXPECT_NEAR(values[i], start[i], 1e-12 * std::abs(start[i])) << i;
  }
  const zo::box bounds = all.bounds();
  const auto element = bounds.element_of<double>(nullptr);
  EXPECT_EQ(element.low(5), -infinity);
  EXPECT_EQ(element.high(5), infinity);
  EXPECT_EQ(element.low(3), 0);
  EXPECT_EQ(element.high(3), infinity);
  EXPECT_EQ(element.high(4), 0);
}

// A factor of ten everywhere along a logarithm, a difference everywhere along a line.
TEST(space, goes_evenly_along_each_scale) {
  const space all({{.name = "a", .lower = 1e-3, .upper = 1e3, .scale = scale::log},
                   {.name = "b", .lower = -3, .upper = 3}});
  EXPECT_EQ(all.start(), (numbers{0.5, 0.5}));
  for (int k = 0; k <= 6; ++k) {
    const numbers values = all.values(numbers{k / 6.0, k / 6.0});
    EXPECT_NEAR(values[0] / std::pow(10, k - 3), 1, 1e-12);
    EXPECT_NEAR(values[1], k - 3, 1e-12);
    const numbers back = all.x_of(values);
    EXPECT_NEAR(back[0], k / 6.0, 1e-12);
    EXPECT_NEAR(back[1], k / 6.0, 1e-12);
  }
}

template <class T>
void is_exact_at_the_ends() {
  // Ends that no product of rounded numbers gives back.
  const space all({{.name = "a", .lower = 0.1, .upper = 0.7},
                   {.name = "b", .lower = 1.1e-7, .upper = 0.3, .scale = scale::log},
                   {.name = "c", .lower = -0.7, .upper = 1e9, .start = 0, .unit = 0.3},
                   {.name = "d", .lower = -1.1e300, .upper = 0.9e-300, .start = 0}});
  const auto bounds = all.bounds();
  const auto element = bounds.template element_of<T>(nullptr);
  std::vector<T> low, high;
  for (index_t i = 0; i < all.dimension(); ++i) {
    low.push_back(element.low(i));
    high.push_back(element.high(i));
  }
  const numbers lower{0.1, 1.1e-7, -0.7, -1.1e300}, upper{0.7, 0.3, 1e9, 0.9e-300};
  EXPECT_EQ(all.values(low), lower);
  EXPECT_EQ(all.values(high), upper);
  EXPECT_EQ(all.template x_of<T>(lower), low);
  EXPECT_EQ(all.template x_of<T>(upper), high);
  // What is outside is the end; the last number before it is not beyond it.
  for (std::size_t i = 0; i < high.size(); ++i) {
    low[i] -= 1;
    high[i] *= 2;
  }
  EXPECT_EQ(all.values(low), lower);
  EXPECT_EQ(all.values(high), upper);
  for (std::size_t i = 0; i < high.size(); ++i) {
    high[i] = std::nextafter(element.high(static_cast<index_t>(i)), T(0));
    low[i] = std::nextafter(T(0), T(1));
  }
  for (const auto& x : {low, high}) {
    const numbers values = all.values(x);
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_GE(values[i], lower[i]);
      EXPECT_LE(values[i], upper[i]);
    }
  }
}

TEST(space, is_exact_at_the_ends) {
  is_exact_at_the_ends<double>();
  is_exact_at_the_ends<float>();
}

// Of many bounds a rounded logarithm, or product, would be beyond one.
TEST(space, stays_between_bounds_whatever_rounding_does) {
  for (std::uint32_t k = 0; k < 500; ++k) {
    const auto words = zo::stream{.seed = 8, .number = k}.words(0);
    const double lower = 1e-3 + words.w0 * 0x1p-32, upper = lower + 1e-3 + words.w1 * 0x1p-20;
    const space all({{.name = "a", .lower = lower, .upper = upper},
                     {.name = "b", .lower = lower, .upper = upper, .scale = scale::log}});
    for (const double x : {std::nextafter(0.0, 1.0), 1e-17, 1 - 0x1p-53, 1 - 0x1p-52}) {
      for (const double value : all.values(numbers{x, x})) {
        ASSERT_GE(value, lower);
        ASSERT_LE(value, upper);
      }
    }
  }
}

// Checks what f may be asked, and that whole numbers are.
struct careful {
  double operator()(std::span<const double> v) const {
    EXPECT_EQ(v.size(), 8u);
    EXPECT_TRUE(v[0] >= -0.3 && v[0] <= 0.7) << v[0];
    EXPECT_TRUE(v[1] >= 1e-6 && v[1] <= 1e-2) << v[1];
    EXPECT_EQ(v[2], 2);
    EXPECT_TRUE(v[3] == 1 || v[3] == 2 || v[3] == 3 || v[3] == 4) << v[3];
    EXPECT_GE(v[4], 0.1);
    EXPECT_LE(v[5], 0.1);
    EXPECT_TRUE(v[7] >= 1 && v[7] <= 1024 && v[7] == std::round(v[7])) << v[7];
    return std::abs(v[0] + 0.3) + std::abs(std::log(v[1] / 1e-5)) + std::abs(v[3] - 4) +
           std::abs(v[4] - 1) + std::abs(v[5] - 9) + std::abs(v[6] - 50) / 20 +
           std::abs(std::log2(v[7]) - 3);
  }
};

template <class T, class How>
void asks_values_only(const How& how) {
  const space all = every_kind();
  std::vector<T> x = all.start<T>();
  const auto f = all.objective(careful{});
  const auto rule = zo::projected(zo::sgd({.rate = 0.01}), all.bounds());
  // Also where candidates leave the bounds of x.
  zo::minimize(zo::seq, f, x, how, rule, {.max_queries = 2000});
  x = all.start<T>();
  const auto r = zo::minimize(zo::par.with_threads(3), f, x, zo::inside(all.bounds(), how), rule,
                              {.max_queries = 2000});
  EXPECT_EQ(r.failed, 0);
}

TEST(space, never_asks_what_is_no_value) {
  asks_values_only<double>(zo::cge({.smoothing = 0.1}));
  asks_values_only<double>(zo::cge({.smoothing = 0.1}, zo::central{}));
  asks_values_only<double>(zo::rge({.directions = 3, .smoothing = 0.1}));
  asks_values_only<float>(
      zo::rge({.directions = 3, .smoothing = 0.1}, zo::sphere{}, zo::central{}));
}

TEST(space, of_every_kind_is_searched) {
  const space all = every_kind();
  numbers x = all.start();
  const zo::cge how({.smoothing = 0.05}, zo::central{});
  zo::minimize(
      zo::seq, all.objective(careful{}), x, zo::inside(all.bounds(), how),
      zo::projected(zo::sgd({.rate = zo::cosine({.peak = 0.02, .steps = 2000})}), all.bounds()),
      {.max_queries = 30'000});
  const numbers found = all.values(x);
  EXPECT_EQ(found[0], -0.3);
  EXPECT_NEAR(found[1], 1e-5, 1e-6);
  EXPECT_EQ(found[3], 4);
  EXPECT_NEAR(found[4], 1, 0.05);
  EXPECT_EQ(found[5], 0.1);
  EXPECT_NEAR(found[6], 50, 1);
  EXPECT_EQ(found[7], 8);
}

// The rounding is that of zo::integers: the same numbers, where a unit of x is one of the value.
TEST(space, rounds_whole_numbers_as_integers_do) {
  const auto f = [](std::span<const double> v) { return v[1] + 100 * v[2] + 1e4 * v[3]; };
  const space all({{.name = "fixed", .lower = 1, .upper = 1},
                   {.name = "a", .start = 0, .whole = true},
                   {.name = "b", .start = 0},
                   {.name = "c", .lower = 0, .upper = 9, .whole = true, .unit = 1}},
                  77);
  const zo::integers other(f, {1, 3}, 77);
  const auto rounded = all.objective(f);
  const numbers x{2.3, 0.7, 4.6}, same{1, 2.3, 0.7, 4.6};
  std::set<double> seen;
  for (zo::sample_id sample = 0; sample < 200; ++sample) {
    EXPECT_EQ(rounded(x, sample), other(same, sample));
    EXPECT_EQ(f(all.values(x, sample)), other(same, sample));
    seen.insert(rounded(x, sample));
  }
  EXPECT_EQ(seen.size(), 4u);  // up and down, each by itself
  EXPECT_EQ(all.values(x), (numbers{1, 2, 0.7, 5}));
  EXPECT_EQ(rounded(x), f(all.values(x)));
}

// ---- kinds of objectives

const space two({{.name = "n", .lower = 0, .upper = 10, .start = 3, .whole = true},
                 {.name = "fixed", .lower = 7, .upper = 7},
                 {.name = "y", .lower = 0.01, .upper = 100, .scale = scale::log}});
double bowl(std::span<const double> v) {
  EXPECT_EQ(v[1], 7);
  return (v[0] - 5) * (v[0] - 5) + std::log(v[2]) * v[2] / 10;
}

TEST(space, takes_every_kind_of_objective_and_gives_the_same_bits) {
  const auto sampled = [](std::span<const double> v, zo::sample_id) { return bowl(v); };
  const auto batch = [](zo::points<double> at, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = bowl(at[k]);
  };
  const auto sampled_batch = [&](zo::points<double> at, std::span<double> losses, zo::sample_id) {
    batch(at, losses);
  };
  const auto run = [&](const auto& policy, const auto& f) {
    numbers x = two.start();
    const auto r = zo::minimize(
        policy, f, x, zo::rge({.directions = 4, .smoothing = 0.05}, zo::gaussian{}, zo::central{}),
        zo::projected(zo::sgd({.rate = 1e-3}), two.bounds()), {.max_queries = 500, .seed = 4});
    EXPECT_LT(r.value, 7);
    return x;
  };
  const numbers expected = run(zo::seq, two.objective(bowl));
  EXPECT_EQ(run(zo::par.with_threads(3), two.objective(bowl)), expected);
  EXPECT_EQ(run(zo::seq, two.objective(sampled)), expected);
  EXPECT_EQ(run(zo::seq, two.objective(batch)), expected);
  EXPECT_EQ(run(zo::seq, two.objective(sampled_batch)), expected);
}

TEST(space, is_told_the_sample_of_the_query) {
  zo::sample_id got = 0;
  const auto f = [&](std::span<const double> v, zo::sample_id sample) {
    got = sample;
    return v[0];
  };
  numbers x = two.start(), g(2);
  zo::estimate(zo::seq, two.objective(f), x, g, zo::cge(), {.sample = 42});
  EXPECT_EQ(got, 42u);
}

// Whole numbers are rounded alike on all ways, by the sample of the estimate.
TEST(space, is_asked_told_and_answered_by_workers) {
  const zo::cge how({.smoothing = 0.05}, zo::central{});
  const zo::minimize_options options{.max_queries = 2000};
  const auto rule = zo::projected(zo::sgd({.rate = 2e-3}), two.bounds());
  const auto bounded = zo::inside(two.bounds(), how);
  zo::ask<double> run(two.start(), bounded, rule, options);
  while (auto questions = run.ask(3)) {
    for (const auto& q : questions) run.tell(q.id, bowl(two.values(q.point, q.sample)));
  }
  const numbers asked(run.x().begin(), run.x().end());
  EXPECT_EQ(two.values(asked)[0], 5);
  EXPECT_NEAR(two.values(asked)[2], std::exp(-1), 0.02);
  numbers x = two.start();
  zo::minimize_async(two.objective(bowl), x, bounded, rule, options, {.workers = 3});
  EXPECT_EQ(x, asked);
}

TEST(space, is_described_by_what_x_means) {
  const auto print_of = [](const parameter& one) {
    zo::detail::fingerprint print;
    space({one}).describe(print);
    return print.value();
  };
  const parameter base{.name = "a", .lower = 1, .upper = 9, .start = 2};
  std::set<std::uint64_t> seen{print_of(base)};
  const auto changed = [&](const auto& change) {
    parameter one = base;
    change(one);
    seen.insert(print_of(one));
  };
  changed([](parameter& one) { one.name = "b"; });
  changed([](parameter& one) { one.lower = 0; });
  changed([](parameter& one) { one.upper = 8; });
  changed([](parameter& one) { one.scale = scale::log; });
  changed([](parameter& one) { one.whole = true; });
  changed([](parameter& one) { one.unit = 2; });
  EXPECT_EQ(seen.size(), 7u);
  changed([](parameter& one) { one.start = 3; });
  EXPECT_EQ(seen.size(), 7u);  // where x begins
}

TEST(space, refuses_in_sentences) {
  const auto refused = [](std::vector<parameter> all, const std::string& why) {
    const std::string said = complaint([&] { space{std::move(all)}; });
    EXPECT_TRUE(contains(said, why)) << said;
  };
  refused({}, "nothing to find");
  refused({{.name = "a", .lower = 1, .upper = 1}}, "nothing to find");
  refused({{.start = 0}}, "parameter 0 needs a name");
  refused({{.name = "a", .start = 0}, {.name = "a", .start = 0}}, "two parameters are named \"a\"");
  refused({{.name = "a", .lower = 2, .upper = 1}},
          "parameter \"a\": lower must be at most upper, got 2 and 1");
  refused({{.name = "a", .lower = not_a_number, .upper = 1}}, "lower must be at most upper");
  refused({{.name = "a", .lower = 0, .upper = 1, .scale = scale::log}},
          "a log scale needs bounds above 0 and below infinity, got 0 and 1");
  refused({{.name = "a", .lower = 1, .start = 2, .scale = scale::log}}, "below infinity");
  refused({{.name = "a", .lower = 1, .upper = 2, .scale = scale::log, .unit = 1}},
          "a unit is for a linear scale");
  refused({{.name = "a", .start = 0, .unit = 0}}, "unit must be a number above 0, got 0");
  refused({{.name = "a", .lower = 0.2, .upper = 0.8, .whole = true}},
          "there is no whole number between 0.2 and 0.8");
  refused({{.name = "a", .lower = 0, .upper = 1, .start = 2}},
          "start must be between 0 and 1, got 2");
  refused({{.name = "a", .start = infinity}}, "start must be between");
  refused({{.name = "a", .lower = 0, .upper = 3, .start = 1.5, .whole = true}},
          "start must be a whole number, got 1.5");
  refused({{.name = "a", .lower = 0}}, "\"a\" needs a start");
  refused({{.name = "a", .lower = infinity, .upper = infinity}}, "both bounds are inf");
  refused({{.name = "a", .lower = -1e308, .upper = 1e308}}, "set its unit");
  EXPECT_TRUE(contains(complaint([] { two.values(numbers{1}); }),
                       "2 parameters are free, got x of 1 numbers"));
  EXPECT_TRUE(contains(complaint([] {
                         two.values(numbers{not_a_number, 1});
                       }),
                       "parameter \"n\" has no value where x is NaN"));
  EXPECT_TRUE(contains(complaint([] { two.x_of(numbers{1, 7}); }), "3 parameters, got 2 values"));
  EXPECT_TRUE(contains(complaint([] {
                         two.x_of(numbers{1, 8, 1});
                       }),
                       "parameter \"fixed\" must be between 7 and 7, got 8"));
}

}  // namespace
