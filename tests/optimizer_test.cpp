// Optimizers against textbook loops and closed forms; schedules against the library functions.
#include "zo/optimizer.hpp"

#include <numbers>

#include "support.hpp"
#include "zo/schedule.hpp"

namespace {

using namespace testing_zo;
using zo::adam;
using zo::index_t;
using zo::sgd;
using zo::sign_sgd;

// A gradient that depends on x and on the step, so that an error in one step shows in the next.
std::vector<double> slope(const std::vector<double>& x, int step) {
  std::vector<double> g;
  for (std::size_t i = 0; i < x.size(); ++i) {
    g.push_back(2 * x[i] - 0.3 * static_cast<double>(i) + 0.1 * step);
  }
  return g;
}

template <class T, class Optimizer, class Reference>
void check_steps(const Optimizer& optimizer, Reference expected, int steps, double tolerance) {
  auto x = ramp<T>(5);
  auto y = widened(x);
  auto updater = optimizer.template start<T>(5);
  for (int step = 0; step < steps; ++step) {
    const auto wide = slope(widened(x), step);
    const std::vector<T> g(wide.begin(), wide.end());
    updater.step(zo::seq, std::span<T>(x), std::span<const T>(g));
    expected.step(y, slope(y, step));
    for (std::size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(x[i]), y[i], tolerance) << "step " << step;
    }
  }
  EXPECT_EQ(updater.steps(), static_cast<std::uint64_t>(steps));
}

TEST(sgd, agrees_with_the_textbook) {
  check_steps<double>(sgd({.rate = 0.1}), reference::sgd{0.1}, 6, 1e-14);
  check_steps<double>(sgd({.rate = 0.1, .weight_decay = 0.3}), reference::sgd{0.1, 0, 0.3}, 6,
                      1e-14);
  check_steps<double>(sgd({.rate = 0.1, .momentum = 0.9}), reference::sgd{0.1, 0.9}, 6, 1e-13);
  check_steps<double>(sgd({.rate = 0.1, .momentum = 0.9, .weight_decay = 0.2, .nesterov = true}),
                      reference::sgd{0.1, 0.9, 0.2, true}, 6, 1e-13);
  check_steps<float>(sgd({.rate = 0.1, .momentum = 0.5}), reference::sgd{0.1, 0.5}, 6, 1e-5);
}

TEST(adam, agrees_with_the_textbook) {
  check_steps<double>(adam({.rate = 0.1}), reference::adam{0.1}, 10, 1e-13);
  check_steps<double>(
      adam({.rate = 0.01, .beta1 = 0.5, .beta2 = 0.7, .epsilon = 1e-3, .weight_decay = 0.4}),
      reference::adam{0.01, 0.5, 0.7, 1e-3, 0.4}, 10, 1e-13);
  check_steps<double>(adam({.rate = 0.01, .beta1 = 0, .beta2 = 0}), reference::adam{0.01, 0, 0}, 5,
                      1e-13);
  check_steps<float>(adam({.rate = 0.1}), reference::adam{0.1}, 10, 1e-5);
}

// Under a constant gradient g: the first Adam step is rate g / (|g| + epsilon), and so is each next
// one, because the bias corrections undo the start from zero. Momentum: v_n = g (1 - m^n) / (1 -
// m).
TEST(optimizers, meet_closed_forms_under_a_constant_gradient) {
  const std::vector<double> g{3, -0.5};
  std::vector<double> x{1, 1};
  auto updater = adam({.rate = 0.1, .epsilon = 1e-2}).start<double>(2);
  for (int n = 1; n <= 4; ++n) {
    updater.step(zo::seq, std::span(x), std::span(g));
    EXPECT_NEAR(x[0], 1 - n * 0.1 * 3 / 3.01, 1e-14);
    EXPECT_NEAR(x[1], 1 + n * 0.1 * 0.5 / 0.51, 1e-14);
  }
  x = {1, 1};
  auto heavy = sgd({.rate = 0.1, .momentum = 0.5}).start<double>(2);
  double expected = 1;
  for (int n = 1; n <= 4; ++n) {
    heavy.step(zo::seq, std::span(x), std::span(g));
    expected -= 0.1 * 3 * (1 - std::pow(0.5, n)) / 0.5;
    EXPECT_NEAR(x[0], expected, 1e-14);
  }
}

TEST(sign_sgd, moves_by_the_rate_and_not_at_a_zero_gradient) {
  std::vector<double> x{1, 1, 1, 1};
  const std::vector<double> g{1e-300, -5, 0, -0.0};
  auto updater = sign_sgd({.rate = 0.25}).start<double>(4);
  updater.step(zo::seq, std::span(x), std::span(g));
  EXPECT_EQ(x, (std::vector<double>{0.75, 1.25, 1, 1}));
  auto decaying = sign_sgd({.rate = 0.25, .weight_decay = 0.5}).start<double>(4);
  x = {1, 1, 1, -2};
  decaying.step(zo::seq, std::span(x), std::span(g));
  EXPECT_EQ(x, (std::vector<double>{0.625, 1.125, 0.875, -1.75}));
}

TEST(optimizers, state_and_resume_continue_bit_for_bit) {
  const auto check = [](const auto& optimizer, std::size_t vectors) {
    auto x = ramp<double>(5), y = x;
    auto one = optimizer.template start<double>(5);
    for (int step = 0; step < 7; ++step) {
      const auto g = slope(x, step);
      one.step(zo::seq, std::span(x), std::span(g));
    }
    auto first = optimizer.template start<double>(5);
    for (int step = 0; step < 3; ++step) {
      const auto g = slope(y, step);
      first.step(zo::seq, std::span(y), std::span(g));
    }
    auto second = optimizer.template start<double>(5);  // as if read from a checkpoint
    second.resume_at(first.steps());
    ASSERT_EQ(first.state().size(), vectors);
    for (std::size_t k = 0; k < vectors; ++k) {
      EXPECT_EQ(first.state()[k].size(), 5u);
      std::ranges::copy(first.state()[k], second.state()[k].begin());
    }
    for (int step = 3; step < 7; ++step) {
      const auto g = slope(y, step);
      second.step(zo::seq, std::span(y), std::span(g));
    }
    EXPECT_TRUE(same_bits(x, y));
  };
  check(sgd({.rate = zo::step_decay({.start = 0.1, .factor = 0.5, .every = 2})}), 0);
  check(sgd({.rate = 0.1, .momentum = 0.9, .nesterov = true}), 1);
  check(sign_sgd({.rate = zo::cosine({.peak = 0.1, .steps = 9})}), 0);
  check(adam({.rate = 0.1}), 2);
}

// Element loops run in chunks of 16384: sizes around them, and every policy, give the same bits.
TEST(optimizers, chunks_and_threads_change_no_bit) {
  for (const index_t d : {1, 16383, 16384, 16385, 40000}) {
    const auto g = ramp<float>(d, -1, 0.3);
    const auto check = [&](const auto& optimizer) {
      auto whole = ramp<float>(d);
      auto updater = optimizer.template start<float>(d);
      for (int k = 0; k < 2; ++k) updater.step(zo::seq, std::span(whole), std::span(g));
      for (const int threads : {1, 2, 4}) {
        auto x = ramp<float>(d);
        auto other = optimizer.template start<float>(d);
        for (int k = 0; k < 2; ++k) {
          other.step(zo::par.with_threads(threads), std::span(x), std::span(g));
        }
        EXPECT_TRUE(same_bits(x, whole)) << d;
      }
      auto alone = ramp<float>(d);  // the last coordinate by itself
      const auto last = static_cast<std::size_t>(d - 1);
      std::vector<float> y{alone[last]}, slope_of_y{g[last]};
      auto single = optimizer.template start<float>(1);
      for (int k = 0; k < 2; ++k)
        single.step(zo::seq, std::span(y), std::span<const float>(slope_of_y));
      EXPECT_EQ(y[0], whole[last]) << d;
    };
    check(sgd({.momentum = 0.9}));
    check(sign_sgd());
    check(adam());
  }
}

TEST(optimizers, refuse_bad_options_and_sizes_with_a_sentence) {
  const auto said = [](const auto& make) { return complaint(make); };
  EXPECT_TRUE(contains(said([] { sgd({.momentum = 1}); }), "momentum must be in [0, 1), got 1"));
  EXPECT_TRUE(contains(said([] { sgd({.momentum = -0.1}); }), "momentum"));
  EXPECT_TRUE(contains(said([] { sgd({.momentum = not_a_number}); }), "momentum"));
  EXPECT_TRUE(contains(said([] { sgd({.weight_decay = -1}); }), "weight_decay"));
  EXPECT_TRUE(contains(said([] { sgd({.nesterov = true}); }), "nesterov needs a momentum"));
  EXPECT_TRUE(contains(said([] { sign_sgd({.weight_decay = -1}); }), "weight_decay"));
  EXPECT_TRUE(contains(said([] { adam({.beta1 = 1}); }), "beta1"));
  EXPECT_TRUE(contains(said([] { adam({.beta2 = 1.5}); }), "beta2"));
  EXPECT_TRUE(contains(said([] { adam({.epsilon = 0}); }), "epsilon"));
  EXPECT_TRUE(contains(said([] { adam({.weight_decay = not_a_number}); }), "weight_decay"));
  EXPECT_TRUE(contains(said([] { sgd({.rate = -0.1}); }), "rate"));
  EXPECT_TRUE(contains(said([] { adam({.rate = not_a_number}); }), "rate"));
  auto updater = sgd().start<double>(3);
  std::vector<double> three(3), two(2);
  EXPECT_TRUE(
      contains(said([&] { updater.step(zo::seq, std::span(two), std::span<const double>(two)); }),
               "must have 3 coordinates, got 2"));
  EXPECT_TRUE(
      contains(said([&] { updater.step(zo::seq, std::span(three), std::span<const double>(two)); }),
               "zo::updater"));
}

// ---- schedules

TEST(schedules, cosine_is_std_cos_to_1e_15) {
  for (const std::uint64_t steps : {1u, 2u, 7u, 100u, 1000u}) {
    const auto at = zo::cosine({.peak = 1, .steps = steps, .last = 0});
    for (std::uint64_t step = 0; step < steps; ++step) {
      const double t = static_cast<double>(step) / static_cast<double>(steps);
      EXPECT_NEAR(at(step), 0.5 * (1 + std::cos(std::numbers::pi * t)), 1e-15) << step;
    }
  }
}

TEST(schedules, cosine_warms_up_and_ends) {
  const auto at = zo::cosine({.peak = 0.8, .steps = 12, .warmup = 4, .last = 0.1});
  const double warm[] = {0.2, 0.4, 0.6, 0.8};
  for (std::uint64_t w = 0; w < 4; ++w) EXPECT_NEAR(at(w), warm[w], 1e-15);
  EXPECT_EQ(at(4), 0.8);
  EXPECT_NEAR(at(8), 0.45, 1e-15);
  for (std::uint64_t w = 5; w < 12; ++w) EXPECT_LT(at(w), at(w - 1));
  for (const std::uint64_t w : {12u, 13u, 1000000u}) EXPECT_EQ(at(w), 0.1);
}

TEST(schedules, step_decay_multiplies_after_every_so_many_steps) {
  const auto at = zo::step_decay({.start = 0.8, .factor = 0.5, .every = 3});
  for (std::uint64_t step = 0; step < 40; ++step) {
    EXPECT_NEAR(at(step), 0.8 * std::pow(0.5, static_cast<double>(step / 3)), 1e-15);
  }
}

TEST(schedules, may_be_numbers_or_any_callable) {
  EXPECT_EQ(zo::schedule(0.3)(7), 0.3);
  EXPECT_EQ(zo::schedule([](std::uint64_t step) { return 1.0 / static_cast<double>(step + 1); })(3),
            0.25);
  std::vector<double> x{1};
  const std::vector<double> g{1};
  auto updater =
      sgd({.rate = [](std::uint64_t step) { return step == 1 ? 0.5 : 0.0; }}).start<double>(1);
  updater.step(zo::seq, std::span(x), std::span(g));
  EXPECT_EQ(x[0], 1);
  updater.step(zo::seq, std::span(x), std::span(g));
  EXPECT_EQ(x[0], 0.5);
}

TEST(schedules, refuse_what_is_no_rate) {
  EXPECT_TRUE(
      contains(complaint([] { zo::cosine({.steps = 3, .warmup = 3}); }), "steps must exceed"));
  EXPECT_TRUE(contains(complaint([] { zo::cosine({.steps = 0}); }), "steps must exceed"));
  EXPECT_TRUE(
      contains(complaint([] { zo::step_decay({.every = 0}); }), "every must be at least 1"));
  const zo::schedule negative([](std::uint64_t step) { return 1.0 - static_cast<double>(step); });
  EXPECT_EQ(negative(1), 0);
  EXPECT_TRUE(contains(complaint([&] { negative(2); }), "the rate at step 2"));
}

// ---- numbers that the scalar type does not hold

template <class T, class Optimizer>
std::string start_says(const Optimizer& optimizer, index_t dimension = 2) {
  return complaint([&] { optimizer.template start<T>(dimension); });
}

TEST(optimizers, refuse_numbers_that_the_scalar_type_does_not_hold) {
  EXPECT_TRUE(
      contains(start_says<float>(adam({.epsilon = 1e-46})), "epsilon 1e-46 is zero or infinite"));
  EXPECT_TRUE(
      contains(start_says<float>(adam({.epsilon = 1e39})), "epsilon 1e+39 is zero or infinite"));
  EXPECT_TRUE(contains(start_says<float>(adam({.beta2 = 1 - 1e-9})), "is 1 in this scalar type"));
  EXPECT_TRUE(contains(start_says<float>(adam({.beta1 = 1 - 1e-9})), "is 1 in this scalar type"));
  EXPECT_TRUE(contains(start_says<float>(sgd({.momentum = 1 - 1e-9})), "is 1 in this scalar type"));
  EXPECT_TRUE(contains(start_says<float>(sgd({.weight_decay = 1e39})), "weight_decay 1e+39"));
  EXPECT_TRUE(contains(start_says<float>(adam({.weight_decay = 1e39})), "weight_decay 1e+39"));
  EXPECT_TRUE(contains(start_says<float>(sign_sgd({.weight_decay = 1e39})), "weight_decay 1e+39"));
  EXPECT_EQ(start_says<double>(adam({.beta2 = 1 - 1e-9, .epsilon = 1e-46, .weight_decay = 1e39})),
            "");
  for (const double bad : {infinity, not_a_number, -1.0}) {
    EXPECT_FALSE(complaint([&] { sgd({.weight_decay = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { sign_sgd({.weight_decay = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { adam({.weight_decay = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { adam({.epsilon = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { zo::cosine({.peak = bad, .steps = 3}); }).empty());
    EXPECT_FALSE(complaint([&] { zo::cosine({.steps = 3, .last = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { zo::step_decay({.start = bad}); }).empty());
    EXPECT_FALSE(complaint([&] { zo::step_decay({.factor = bad}); }).empty());
  }
}

TEST(optimizers, refuse_a_rate_that_the_scalar_type_does_not_hold) {
  const auto check_rate = [](const auto& optimizer) {
    std::vector<float> x{0, 0};
    const std::vector<float> g{0, 1};
    auto updater = optimizer.template start<float>(2);
    EXPECT_TRUE(contains(complaint([&] { updater.step(zo::seq, std::span(x), std::span(g)); }),
                         "which is infinite in this scalar type"));
    EXPECT_EQ(x, (std::vector<float>{0, 0}));
    EXPECT_EQ(updater.steps(), 0u);
  };
  check_rate(sgd({.rate = 1e39}));
  check_rate(sign_sgd({.rate = 1e39}));
  check_rate(adam({.rate = 1e39}));
  check_rate(adam({.rate = 1e38, .beta1 = 0.99}));  // divided by 1 - beta1 at first
}

TEST(optimizers, refuse_sizes_and_steps_that_cannot_be) {
  for (const index_t bad : {index_t{-1}, index_t{0}, std::numeric_limits<index_t>::max()}) {
    EXPECT_FALSE(start_says<float>(adam(), bad).empty()) << bad;
    EXPECT_FALSE(start_says<float>(sign_sgd(), bad).empty()) << bad;
  }
  auto updater = adam().start<double>(1);
  EXPECT_TRUE(contains(complaint([&] { updater.resume_at(~std::uint64_t{0}); }), "below 2^56"));
  updater.resume_at((std::uint64_t{1} << 56) - 1);
  std::vector<double> x{1};
  const std::vector<double> g{1};
  EXPECT_TRUE(updater.step(zo::seq, std::span(x), std::span(g)));
  EXPECT_TRUE(std::isfinite(x[0]));
}

TEST(optimizers, say_when_a_step_leaves_the_numbers) {
  const auto step = [](const auto& optimizer, float slope) {
    std::vector<float> x(40000, 1.0f), g(x.size(), 0.5f);
    g[30000] = slope;
    auto updater = optimizer.template start<float>(40000);
    const bool finite = updater.step(zo::seq, std::span(x), std::span<const float>(g));
    auto other = optimizer.template start<float>(40000);
    std::vector<float> y(40000, 1.0f);
    EXPECT_EQ(other.step(zo::par.with_threads(3), std::span(y), std::span<const float>(g)), finite);
    return finite;
  };
  for (const float huge : {1e20f, 3e38f}) EXPECT_FALSE(step(adam(), huge));  // v is infinite
  EXPECT_TRUE(step(adam(), 1e18f));
  EXPECT_TRUE(step(sgd(), 1e20f));
  EXPECT_FALSE(step(sgd({.rate = 1e20}), 1e20f));
  EXPECT_FALSE(step(sgd({.momentum = 0.5, .weight_decay = 1e38}), 3.4e38f));
  EXPECT_TRUE(step(sign_sgd(), 3e38f));
}

}  // namespace
