// Steps in place: the bits of zo::minimize, and weights that always come back.
#include <cfenv>
#include <functional>
#include <numeric>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::forward;
using zo::in_place;
using zo::on_failure;
using zo::rge;

// No multiples of a tile, one number, none.
const std::vector<index_t> odd_sizes{1, 0, 700, 2048, 3, 4099, 1, 0, 1500};

// Parameters in tensors of their own.
template <class T>
struct model {
  std::vector<std::vector<T>> tensors;

  explicit model(const std::vector<index_t>& sizes, const std::function<double(index_t)>& value) {
    index_t i = 0;
    for (const index_t size : sizes) {
      std::vector<T>& one = tensors.emplace_back();
      for (index_t n = 0; n < size; ++n, ++i) one.push_back(static_cast<T>(value(i)));
    }
  }
  std::vector<std::span<T>> spans() {
    std::vector<std::span<T>> all;
    for (std::vector<T>& one : tensors) all.emplace_back(one);
    return all;
  }
  std::vector<T> flat() const {
    std::vector<T> all;
    for (const std::vector<T>& one : tensors) all.insert(all.end(), one.begin(), one.end());
    return all;
  }
  double loss() const { return smooth_loss<T>(flat()); }
};

double gently(index_t i) { return 0.37 * static_cast<double>(i % 11) - 0.7; }

template <class Pair>
struct steps_in_place : testing::Test {
  using scalar = typename Pair::first_type;
  using distribution = typename Pair::second_type;
};
using pairs = testing::Types<std::pair<float, zo::gaussian>, std::pair<double, zo::gaussian>,
                             std::pair<float, zo::rademacher>, std::pair<double, zo::rademacher>,
                             std::pair<float, zo::sphere>, std::pair<double, zo::sphere>>;
TYPED_TEST_SUITE(steps_in_place, pairs);

template <class T, class How, class Rule>
void compare_runs(const How& how, const Rule& rule, const std::vector<index_t>& sizes) {
  const index_t steps = 4;
  model<T> mine(sizes, gently);
  auto x = mine.flat();
  std::vector<double> values;
  zo::minimize(zo::seq, smooth_loss<T>, x, how, rule,
               {.max_queries = 10'000,
                .max_steps = static_cast<std::uint64_t>(steps),
                .seed = 11,
                .first_step = 5,
                .on_step = [&](const zo::step_report& made) {
                  values.push_back(made.value);
                  return zo::verdict::go_on;
                }});
  ASSERT_EQ(values.size(), static_cast<std::size_t>(steps));
  in_place taken(mine.spans(), how, rule);
  EXPECT_EQ(taken.dimension(), static_cast<index_t>(x.size()));
  for (std::uint64_t t = 0; t < values.size(); ++t) {
    const auto policy = zo::par.with_threads(1 + static_cast<int>(t));
    const auto made = taken(policy, [&] { return mine.loss(); }, {.seed = 11, .step = 5 + t});
    EXPECT_TRUE(made.ok);
    EXPECT_EQ(made.value, values[t]);
    EXPECT_EQ(made.queries, how.queries(taken.dimension()));
    EXPECT_EQ(made.failed, 0);
  }
  EXPECT_EQ(taken.optimizer().steps(), values.size());
  EXPECT_TRUE(same_bits(mine.flat(), x));
}

TYPED_TEST(steps_in_place, have_the_bits_of_minimize) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  for (const auto& sizes : {odd_sizes, {1}, {0, 1, 1}, {2048, 2048}, {6000}}) {
    const rge one({.directions = 1, .smoothing = 1e-2}, kind, central{});
    const rge five({.directions = 5, .smoothing = 1e-2}, kind);
    const rge three({.directions = 3, .smoothing = 1e-2}, kind, central{});
    compare_runs<T>(one, zo::sgd({.rate = 1e-5}), sizes);
    compare_runs<T>(five, zo::sgd({.rate = 1e-5, .weight_decay = 0.1}), sizes);
    compare_runs<T>(three, zo::sgd({.rate = 1e-5, .momentum = 0.9, .nesterov = true}), sizes);
    compare_runs<T>(five, zo::sign_sgd({.rate = 1e-3, .weight_decay = 0.1}), sizes);
    compare_runs<T>(three, zo::adam({.rate = zo::cosine({.peak = 0.1, .steps = 4})}), sizes);
  }
}

// Numbers of every size below `most`, both zeros and denormal ones among them.
template <class T>
model<T> wild_model(double most, std::uint64_t seed) {
  const auto value = [most, seed](index_t i) -> double {
    const auto words = zo::stream{.seed = seed}.words(static_cast<std::uint32_t>(i));
    const double sign = words.w0 % 2 == 0 ? 1 : -1;
    if (words.w1 % 16 == 0) return sign * 0.0;
    constexpr int exponents = std::numeric_limits<T>::max_exponent;
    const double fraction = 1 + static_cast<double>(words.w2) * 0x1p-32;
    // Half of them within some powers of two below `most`, half anywhere.
    const int below = static_cast<int>(words.w3 % (words.w1 % 2 == 0 ? 2 * exponents : 24));
    return sign * std::ldexp(fraction, std::ilogb(most) - 1 - below);
  };
  return model<T>(odd_sizes, value);
}

enum class ending { nan, infinite, exception, no_exception };

double end_by(ending how) {
  if (how == ending::exception) throw std::runtime_error("asked once too often");
  if (how == ending::no_exception) throw 5;
  return how == ending::nan ? not_a_number : infinity;
}

// Each candidate is the one of the flat vector, and after each failure the weights are what they
// were.
template <class T, class D>
void fail_everywhere(D kind, double mu, model<T> mine) {
  const rge how({.directions = 2, .smoothing = mu}, kind, central{});
  in_place steps(mine.spans(), how, zo::sgd({.rate = 0.5}));
  const auto before = mine.flat();
  std::vector<T> expected(before.size());
  for (const ending by : {ending::nan, ending::infinite, ending::exception, ending::no_exception}) {
    for (int last = 0; last < 4; ++last) {
      int asked = 0;
      const auto f = [&]() -> double {
        const zo::stream from{
            .seed = 3, .step = 9, .number = static_cast<std::uint32_t>(asked / 2)};
        const T h = static_cast<T>(asked % 2 == 0 ? mu : -mu);
        zo::perturb(zo::seq, kind, from, before, h, expected);
        EXPECT_TRUE(same_bits(mine.flat(), expected)) << mu;
        return asked++ == last ? end_by(by) : 0.0;
      };
      zo::estimate_result made{.ok = false, .why = zo::flaw::query_failed};
      try {
        made = steps(zo::par.with_threads(2), f, {.seed = 3, .step = 9});
        EXPECT_EQ(made.queries, last + 1);
        EXPECT_EQ(made.failed, 1);
        EXPECT_TRUE(by == ending::nan || by == ending::infinite);
      } catch (const std::runtime_error&) {
        EXPECT_EQ(by, ending::exception);
      } catch (int) {
        EXPECT_EQ(by, ending::no_exception);
      }
      EXPECT_EQ(asked, last + 1);
      EXPECT_FALSE(made.ok);
      EXPECT_EQ(made.why, zo::flaw::query_failed);
      EXPECT_TRUE(same_bits(mine.flat(), before)) << mu;
    }
  }
  EXPECT_EQ(steps.optimizer().steps(), 0u);
}

TYPED_TEST(steps_in_place, give_the_weights_back_whatever_they_are) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  constexpr bool wide = sizeof(T) == 8;
  for (const double mu : {1e-3, 1.0, 1e30, wide ? 1e-290 : 1e-30}) {
    fail_everywhere<T>(kind, mu, wild_model<T>(16 * mu, 1));
    fail_everywhere<T>(kind, mu, wild_model<T>(mu / 1e4, 2));
    for (const double same : {0.0, -0.0, mu / 1e6, mu, 5 * mu}) {
      fail_everywhere<T>(kind, mu, model<T>(odd_sizes, [&](index_t) { return same; }));
    }
    const double least = static_cast<double>(std::numeric_limits<T>::denorm_min());
    fail_everywhere<T>(kind, mu, model<T>(odd_sizes, [&](index_t i) {
                         return (i % 2 == 0 ? least : -least) * static_cast<double>(i % 7);
                       }));
  }
}

TYPED_TEST(steps_in_place, give_the_weights_back_under_other_arithmetic) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  model<T> mine = wild_model<T>(0.02, 4);
  const auto before = mine.flat();
  in_place steps(mine.spans(), rge({.directions = 3}, kind, central{}), zo::sgd());
  for (const int before_it : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    for (const int within : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      int asked = 0;
      const auto f = [&] {
        std::fesetround(asked % 2 == 0 ? within : before_it);
        return asked++ == 2 ? not_a_number : 1.0;
      };
      std::fesetround(before_it);
      EXPECT_FALSE(steps(zo::par.with_threads(2), f).ok);
      EXPECT_EQ(std::fegetround(), within);  // what f does to its own thread is its own affair
      std::fesetround(FE_TONEAREST);
      EXPECT_EQ(asked, 3);
      EXPECT_TRUE(same_bits(mine.flat(), before));
    }
  }
}

// Failed questions, by their number in the run.
template <class T, class How>
void compare_dropping_runs(const How& how, const std::vector<int>& failing, bool by_throwing) {
  model<T> mine(odd_sizes, gently);
  auto x = mine.flat();
  int asked = 0;
  const auto answered = [&](std::span<const T> at) -> double {
    if (std::ranges::count(failing, asked++) == 0) return smooth_loss(at);
    if (by_throwing) throw std::runtime_error("no answer");
    return not_a_number;
  };
  const zo::sgd rule({.rate = 1e-5});
  const auto run = zo::minimize(zo::seq, answered, x, how, rule,
                                {.max_queries = 10'000, .max_steps = 3, .seed = 2});
  asked = 0;
  in_place steps(mine.spans(), how, rule);
  index_t failed = 0, made = 0;
  for (std::uint64_t t = 0; made < 3; ++t) {
    const auto one = steps(zo::par, [&] { return answered(mine.flat()); }, {.seed = 2, .step = t});
    failed += one.failed;
    made += one.ok ? 1 : 0;
    if (!one.ok) {
      EXPECT_EQ(one.why, zo::flaw::query_failed);
      EXPECT_EQ(one.failure->step, t);
      EXPECT_EQ(one.failure->why, by_throwing ? "no answer" : "the answer is nan");
    }
  }
  EXPECT_TRUE(same_bits(mine.flat(), x));
  EXPECT_EQ(run.steps, 3u);
  EXPECT_EQ(failed, run.failed);
}

TYPED_TEST(steps_in_place, drop_what_minimize_drops) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  const zo::rge_options options{.directions = 3, .smoothing = 1e-2, .failures = on_failure::drop};
  for (const bool by_throwing : {false, true}) {
    for (const auto& failing : std::vector<std::vector<int>>{{2, 9, 14}, {1, 2, 7}, {0, 3, 5}}) {
      compare_dropping_runs<T>(rge(options, kind, central{}), failing, by_throwing);
    }
    // f(x) cannot be left out.
    compare_dropping_runs<T>(rge(options, kind), {1, 6, 7}, by_throwing);
    compare_dropping_runs<T>(rge(options, kind), {1, 2, 3}, by_throwing);
  }
}

TEST(in_place_drop, lets_through_what_is_no_answer) {
  model<float> mine(odd_sizes, gently);
  const auto before = mine.flat();
  in_place steps(mine.spans(), rge({.failures = on_failure::drop}, zo::gaussian{}, central{}),
                 zo::sgd());
  EXPECT_THROW(steps(zo::seq, []() -> double { throw 5; }), int);
  EXPECT_TRUE(same_bits(mine.flat(), before));
  EXPECT_THROW(steps(zo::seq, []() -> double { throw zo::interrupted("stop"); }), zo::interrupted);
  EXPECT_TRUE(same_bits(mine.flat(), before));
}

TEST(in_place_ends, a_step_beyond_the_finite_numbers_is_not_made) {
  model<float> mine(odd_sizes, gently);
  const auto before = mine.flat();
  const rge how({.directions = 2}, zo::gaussian{}, central{});
  const auto refused = [&](auto rule, double answer) {
    in_place steps(mine.spans(), how, rule);
    const auto made = steps(zo::seq, [&] { return answer = -answer; });
    EXPECT_FALSE(made.ok);
    EXPECT_EQ(made.why, zo::flaw::out_of_range);
    EXPECT_EQ(made.queries, 4);
    EXPECT_TRUE(same_bits(mine.flat(), before));
    EXPECT_EQ(steps.optimizer().steps(), 0u);
    for (const std::span<float> state : steps.optimizer().state()) {
      for (const float value : state) EXPECT_EQ(value, 0.0f);
    }
  };
  refused(zo::sgd({.rate = 1e30}), 1e10);   // x
  refused(zo::adam({.rate = 1e-3}), 1e20);  // the second moment
  refused(zo::sgd({.rate = 1e-30, .momentum = 0.5, .weight_decay = 3e38}), 1.0);  // the velocity
  refused(zo::sgd({.rate = 1e-30}), 2e35);                                        // the gradient
  refused(zo::sgd({.rate = 1e-30}), 1e300);                                       // a weight
}

TEST(in_place_ends, what_cannot_be_moved_is_not_asked) {
  const auto untouched = [](double value, zo::flaw why) {
    model<float> mine(odd_sizes, gently);
    mine.tensors[5][4000] = static_cast<float>(value);
    const auto before = mine.flat();
    in_place steps(mine.spans(), rge({.smoothing = 1e-3}), zo::sgd());
    int asked = 0;
    const auto made = steps(zo::par, [&] { return ++asked; });
    EXPECT_EQ(asked, 0);
    EXPECT_EQ(made.queries, 0);
    EXPECT_FALSE(made.ok);
    EXPECT_EQ(made.why, why);
    EXPECT_TRUE(same_bits(mine.flat(), before));
  };
  untouched(not_a_number, zo::flaw::out_of_range);
  untouched(-infinity, zo::flaw::out_of_range);
  untouched(1e9, zo::flaw::smoothing_lost);
}

TEST(in_place_ends, a_kept_optimizer_goes_on) {
  const rge how({.directions = 2}, zo::gaussian{}, central{});
  const zo::adam rule({.rate = 0.01});
  model<double> whole(odd_sizes, gently), parted(odd_sizes, gently);
  const auto make = [](auto& steps, model<double>& at, std::uint64_t from, std::uint64_t to) {
    for (; from < to; ++from) steps(zo::seq, [&] { return at.loss(); }, {.seed = 1, .step = from});
  };
  in_place all(whole.spans(), how, rule);
  make(all, whole, 0, 5);
  in_place first(parted.spans(), how, rule), second(parted.spans(), how, rule);
  make(first, parted, 0, 2);
  for (std::size_t k = 0; k < 2; ++k) {
    std::ranges::copy(first.optimizer().state()[k], second.optimizer().state()[k].begin());
  }
  second.optimizer().resume_at(2);
  make(second, parted, 2, 5);
  EXPECT_TRUE(same_bits(whole.flat(), parted.flat()));
}

TEST(in_place_objectives, get_the_sample_of_the_estimate) {
  model<float> mine(odd_sizes, gently);
  std::vector<zo::sample_id> samples;
  const auto f = [&](zo::sample_id sample) {
    samples.push_back(sample);
    return mine.loss();
  };
  in_place steps(mine.spans(), rge({.directions = 2}), zo::sgd({.rate = 1e-6}));
  steps(zo::seq, f, {.step = 4});
  EXPECT_EQ(samples, std::vector<zo::sample_id>(3, 4));
  samples.clear();
  steps(zo::seq, f, {.step = 4, .sample = 9});
  EXPECT_EQ(samples, std::vector<zo::sample_id>(3, 9));
}

TEST(in_place_objectives, are_not_asked_what_is_known) {
  model<double> told(odd_sizes, gently), asked(odd_sizes, gently);
  const rge how({.directions = 2});
  in_place by_told(told.spans(), how, zo::sgd({.rate = 1e-6}));
  in_place by_asked(asked.spans(), how, zo::sgd({.rate = 1e-6}));
  const double known = told.loss();
  EXPECT_EQ(by_told(zo::seq, [&] { return told.loss(); }, {.known_values = {&known, 1}}).queries,
            2);
  EXPECT_EQ(by_asked(zo::seq, [&] { return asked.loss(); }).queries, 3);
  EXPECT_TRUE(same_bits(told.flat(), asked.flat()));
}

TEST(in_place_errors, are_sentences) {
  std::vector<float> a(10), b(5);
  using view = std::span<float>;
  const auto refused = [](std::vector<view> tensors, double mu = 1e-3) {
    return complaint([&] { in_place(tensors, rge({.smoothing = mu}), zo::sgd()); });
  };
  EXPECT_EQ(refused({}), "zo::in_place: x has no coordinates; give at least 1");
  EXPECT_EQ(refused({view(), view(a).first(0)}),
            "zo::in_place: x has no coordinates; give at least 1");
  EXPECT_EQ(refused({view(a), view(b), view(a).last(3)}),
            "zo::in_place: tensors 0 and 2 share memory; give each number once");
  EXPECT_EQ(refused({view(b), view(b)}),
            "zo::in_place: tensors 0 and 1 share memory; give each number once");
  EXPECT_EQ(refused({view(a).last(5), view(a).first(5), view(a).first(0), view(b)}), "");
  EXPECT_EQ(refused({view(static_cast<float*>(nullptr), 3)}),
            "zo::in_place: a tensor is a null pointer");
  EXPECT_EQ(refused({view(a)}, 1e-50),
            "zo::rge: smoothing 1e-50 is zero or infinite in this scalar type");

  in_place steps({view(a), view(b)}, rge(), zo::sgd({.rate = 1e300}));
  EXPECT_TRUE(contains(complaint([&] { steps(zo::seq, [] { return 0.0; }); }),
                       "zo::updater: the rate at step 0 is 1e+300"));
  EXPECT_EQ(
      complaint([&] { steps(zo::seq, [] { return 0.0; }, {.step = std::uint64_t{1} << 56}); }),
      "zo::in_place: step must be below 2^56, got 72057594037927936");
}

TEST(in_place_errors, a_step_within_a_step_is_refused_and_leaves_everything_as_it_was) {
  model<double> mine(odd_sizes, gently);
  const auto before = mine.flat();
  in_place steps(mine.spans(), rge(), zo::sgd());
  const auto nested = [&] { return steps(zo::seq, [] { return 0.0; }).value; };
  EXPECT_EQ(complaint([&] { steps(zo::seq, nested); }),
            "zo::in_place: a step of the same tensors is being made; f must not make another");
  EXPECT_TRUE(same_bits(mine.flat(), before));
  EXPECT_TRUE(steps(zo::seq, [&] { return mine.loss(); }).ok);
}

}  // namespace
