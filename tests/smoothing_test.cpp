// zo::automatic: runs that choose their smoothing.
#include "zo/smoothing.hpp"

#include <cstdio>
#include <numeric>
#include <sstream>

#include "noisy.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::automatic_smoothing;
using zo::on_failure;

double length_of(const std::vector<double>& v) {
  return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

// Answers with five digits: noise that is a function of x.
template <class T>
double rounded_loss(std::span<const T> x) {
  return std::round(smooth_loss(x) * 1e5) * 1e-5;
}

// What is found by hand is what an estimate finds, and takes.
template <class T, class Make>
void expect_as_by_hand(const Make& make, const zo::smoothing_options& by_hand) {
  const auto x = ramp<T>(30);
  std::atomic<index_t> count{0};
  auto f = [&](std::span<const T> at) {
    ++count;
    return rounded_loss(at);
  };
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const auto how = make(zo::automatic);
    using S = typename std::remove_const_t<decltype(how)>::scheme_type;
    const auto found = zo::choose_smoothing(zo::seq, f, x, S{}, by_hand, {.seed = seed});
    ASSERT_TRUE(found.ok);
    count = 0;
    std::vector<T> g(30), expected(30);
    const auto r = zo::estimate(zo::par.with_threads(3), f, x, g, how, {.seed = seed});
    EXPECT_EQ(r.queries, count);
    ASSERT_NE(r.automatic, nullptr);
    EXPECT_EQ(r.automatic->smoothing, static_cast<double>(static_cast<T>(found.smoothing)));
    EXPECT_EQ(r.automatic->error, static_cast<double>(static_cast<T>(found.error)));
    EXPECT_EQ(r.automatic->queries, found.queries);
    EXPECT_EQ(r.automatic->why, found.why);
    EXPECT_TRUE(r.automatic->ok);
    const auto number = make(r.automatic->smoothing);
    const auto plain = zo::estimate(zo::seq, f, x, expected, number, {.seed = seed});
    EXPECT_TRUE(same_bits(g, expected));
    EXPECT_EQ(r.queries, plain.queries + found.queries);
    EXPECT_EQ(r.value, plain.value);
    EXPECT_EQ(plain.automatic, nullptr);
    EXPECT_EQ(how.queries(30), number.queries(30) + 150);
    EXPECT_EQ(how.queries(30, 7), number.queries(30));
    EXPECT_LE(r.queries, how.queries(30));
  }
}
TEST(smoothing, an_estimate_chooses_what_is_found_by_hand) {
  const auto random = [](auto scheme) {
    return [=](const zo::smoothing_parameter& mu) {
      return zo::rge({.directions = 5, .smoothing = mu}, zo::gaussian{}, scheme);
    };
  };
  expect_as_by_hand<double>(random(zo::forward{}), {});
  expect_as_by_hand<double>(random(zo::central{}), {});
  expect_as_by_hand<float>(random(zo::central{}), {});
  const auto coordinates = [](auto scheme) {
    return [=](const zo::smoothing_parameter& mu) { return zo::cge({.smoothing = mu}, scheme); };
  };
  const zo::smoothing_options three{.coordinates = zo::random_coordinates{3}};
  expect_as_by_hand<double>(coordinates(zo::forward{}), three);
  expect_as_by_hand<float>(coordinates(zo::forward{}), three);
  expect_as_by_hand<double>(coordinates(zo::central{}), three);
}

TEST(smoothing, directions_and_coordinates_are_those_of_the_estimator) {
  // Of f = curvature |x|^2 / 2 the best mu along u is 8^(1/4) sqrt(noise / (curvature |u|^2)).
  const double noise = 1e-8, curvature = 3;
  const index_t d = 40;
  const std::vector<double> x(d, 0.25);
  auto bowl = [&](std::span<const double> at) {
    double sum = 0;
    for (const double v : at) sum += v * v;
    return curvature / 2 * sum;
  };
  std::vector<double> g(d);
  const automatic_smoothing how{.noise = noise};
  const auto mu_of = [&](const auto& estimator) {
    const auto r = zo::estimate(zo::seq, bowl, x, g, estimator);
    EXPECT_TRUE(r.ok && r.automatic->ok);
    return r.automatic->smoothing;
  };
  const double best = std::pow(8, 0.25) * std::sqrt(noise / curvature);
  const zo::rge_options random{.directions = 2, .smoothing = how};
  EXPECT_NEAR(mu_of(zo::rge(random, zo::sphere{})) / best, 1, 1e-4);
  EXPECT_NEAR(mu_of(zo::rge(random, zo::rademacher{})) / best * std::sqrt(40.0), 1, 1e-4);
  EXPECT_NEAR(mu_of(zo::cge({.smoothing = how})) / best, 1, 1e-4);

  const std::vector<double> far(d, -250.0);
  auto flat = [&](std::span<const double> at) {
    std::vector<double> scaled;
    for (const double v : at) scaled.push_back(v / 250);
    return bowl(scaled);
  };
  const zo::cge relative({.smoothing = how, .relative = true});
  const auto r = zo::estimate(zo::seq, flat, far, g, relative);
  EXPECT_NEAR(r.automatic->smoothing / best, 1, 1e-4);

  // Along coordinates that are asked, and no others.
  auto two = [&](std::span<const double> at) {
    return curvature / 2 * (at[7] * at[7] + at[9] * at[9]);
  };
  const auto some = [&](const zo::coordinate_selection& which) {
    return zo::cge({.smoothing = how, .coordinates = which});
  };
  const std::vector<double> ones(d, 1);
  const auto asked = zo::estimate(zo::seq, two, ones, g, some(zo::coordinate_list{{7, 9}}));
  EXPECT_EQ(asked.automatic->why, zo::smoothing_end::balanced);
  const auto straight = zo::estimate(zo::seq, two, ones, g, some(zo::coordinate_list{{1, 2, 3}}));
  EXPECT_EQ(straight.automatic->why, zo::smoothing_end::largest);
  EXPECT_EQ(straight.automatic->smoothing, 1);
}

TEST(smoothing, answers_with_noise_get_a_gradient) {
  const std::vector<double> x(20, 0.3);
  const std::vector<double> exact = plant::gradient(x);
  noisy<plant> f{{}, 1e-2, kind::normal, 8};
  constexpr int draws = 200;
  // Root of the mean square of the relative error over draws, and what was said of it.
  const auto error_of = [&](const auto& how, double& said) {
    double squares = 0;
    said = 0;
    for (std::uint64_t k = 0; k < draws; ++k) {
      std::vector<double> g(20);
      const auto r = zo::estimate(zo::seq, f, x, g, how, {.seed = k});
      if (r.automatic) said += r.automatic->gradient_error(20) / draws / length_of(exact);
      for (std::size_t i = 0; i < 20; ++i) squares += (g[i] - exact[i]) * (g[i] - exact[i]);
    }
    return std::sqrt(squares / draws) / length_of(exact);
  };
  double said = 0;
  const double before = error_of(zo::cge(), said);
  const double forward = error_of(zo::cge({.smoothing = zo::automatic}), said);
  const double forward_said = said;
  const double central = error_of(zo::cge({.smoothing = zo::automatic}, zo::central{}), said);
  std::printf("relative error of a gradient: default %.1f, automatic forward %.2f, central %.2f\n",
              before, forward, central);
  EXPECT_GT(before, 50);
  EXPECT_LT(forward, 0.8);
  EXPECT_LT(central, 0.2);
  EXPECT_NEAR(std::log2(forward / forward_said), 0, 1);
  EXPECT_NEAR(std::log2(central / said), 0, 1);
}

TEST(smoothing, the_error_of_random_directions_is_said) {
  // A linear f of gradient 0: all that is left is noise.
  const std::vector<double> x(50, 0.0);
  const auto zero = [](std::span<const double>) { return 0.0; };
  const auto check = [&](auto law) {
    noisy<decltype(zero)> f{zero, 1e-3, kind::uniform, 3};
    const zo::rge how(
        {.directions = 8, .smoothing = automatic_smoothing{.noise = 1e-3, .largest = 0.5}}, law,
        zo::central{});
    double squares = 0, said = 0;
    for (std::uint64_t k = 0; k < 400; ++k) {
      std::vector<double> g(50);
      const auto r = zo::estimate(zo::seq, f, x, g, how, {.seed = k});
      EXPECT_EQ(r.automatic->smoothing, 0.5);
      said = r.automatic->noise_error * std::sqrt(50.0 / 8);
      for (const double v : g) squares += v * v;
    }
    // 400 x 8 noisy slopes: a relative standard error of the root of 1/sqrt(2 x 3200) and less.
    EXPECT_NEAR(std::sqrt(squares / 400) / said, 1, 0.05);
  };
  check(zo::gaussian{});
  check(zo::rademacher{});
  check(zo::sphere{});
}

template <class S>
void try_functions(S scheme, int& cases, index_t& most) {
  constexpr bool central = S::points == 2;
  for (const function& of : smooth_functions()) {
    const auto plain = [&](std::span<const double> at) { return of.f(at); };
    for (const int digits : {1, 3, 6, 9, 12}) {
      if (is_drowned(of, central, digits)) continue;
      const double level = std::pow(10.0, -digits);
      noisy<decltype(plain)> f{plain, level, kind::normal, static_cast<std::uint64_t>(digits)};
      const zo::cge how({.smoothing = automatic_smoothing{.largest = 1.0},
                         .coordinates = zo::coordinate_list{{0}}},
                        scheme);
      std::vector<double> g(of.x.size());
      const auto r = zo::estimate(zo::seq, f, of.x, g, how);
      ASSERT_TRUE(r.ok && r.automatic->ok) << of.name;
      const double mu = r.automatic->smoothing;
      EXPECT_LE(slope_error(of, central, mu, level),
                3 * least_error(of, central, level, 1e-9, false))
          << of.name << ", noise 1e-" << digits << ", mu " << mu;
      most = std::max(most, r.automatic->queries);
      ++cases;
    }
  }
}
TEST(smoothing, is_near_the_best_of_a_grid) {
  int cases = 0;
  index_t most = 0;
  try_functions(zo::forward{}, cases, most);
  try_functions(zo::central{}, cases, most);
  EXPECT_EQ(cases, 2 * 20 * 5 - 1);
  std::printf("at most %d queries on one line\n", static_cast<int>(most));
}

template <class T>
struct ended {
  std::vector<T> x;
  zo::minimize_result r;
  std::vector<double> chosen;  // after each step
};
template <class T>
zo::minimize_options watched(ended<T>& end, index_t max_queries) {
  return {.max_queries = max_queries, .seed = 3, .on_step = [&end](const zo::step_report& now) {
            end.chosen.push_back(now.automatic ? now.automatic->smoothing : 0);
            return zo::verdict::go_on;
          }};
}
template <class T>
void expect_same(const ended<T>& a, const ended<T>& b) {
  EXPECT_TRUE(same_bits(a.x, b.x));
  EXPECT_TRUE(same_bits(a.chosen, b.chosen));
  EXPECT_EQ(a.r.why, b.r.why);
  EXPECT_EQ(a.r.queries, b.r.queries);
  EXPECT_EQ(a.r.steps, b.r.steps);
  EXPECT_EQ(a.r.failed, b.r.failed);
  ASSERT_EQ(a.r.automatic == nullptr, b.r.automatic == nullptr);
  if (a.r.automatic == nullptr) return;
  const auto numbers = [](const zo::smoothing_choice& of) {
    return std::vector{of.smoothing,      of.noise,       of.derivative,
                       of.error,          of.noise_error, of.truncation_error,
                       double(of.ok),     double(of.why), double(of.noise_why),
                       double(of.queries)};
  };
  EXPECT_TRUE(same_bits(numbers(*a.r.automatic), numbers(*b.r.automatic)));
}

const zo::adam adam({.rate = 0.02});

template <class T>
std::vector<zo::any_estimator<T>> estimators(const automatic_smoothing& smoothing,
                                             const zo::failure_policy& failures = {}) {
  std::vector<zo::any_estimator<T>> all;
  for (const char* const scheme : {"forward", "central"}) {
    for (const char* const law : {"gaussian", "sphere"}) {
      all.emplace_back(zo::estimator_options{.distribution = law,
                                             .scheme = scheme,
                                             .directions = 3,
                                             .smoothing = smoothing,
                                             .failures = failures});
    }
    all.emplace_back(zo::estimator_options{
        .estimator = "cge", .scheme = scheme, .smoothing = smoothing, .failures = failures});
  }
  return all;
}

template <class T, class Policy, class How>
ended<T> called(const Policy& policy, const How& how, index_t max_queries = 900) {
  ended<T> end{ramp<T>(9), {}, {}};
  end.r = zo::minimize(policy, rounded_loss<T>, end.x, how, adam, watched(end, max_queries));
  return end;
}

template <class T>
void expect_same_bits() {
  const automatic_smoothing often{.every = 4};
  for (const auto& how : estimators<T>(often)) {
    const ended<T> expected = called<T>(zo::seq, how);
    EXPECT_GE(expected.r.steps, 9);
    ASSERT_NE(expected.r.automatic, nullptr);
    // Chosen anew at steps 0, 4, 8, …, and kept between them.
    for (std::size_t step = 1; step < expected.chosen.size(); ++step) {
      EXPECT_EQ(expected.chosen[step] == expected.chosen[step - 1], step % 4 != 0) << step;
    }
    expect_same(called<T>(zo::par.with_threads(4), how), expected);

    ended<T> asked{ramp<T>(9), {}, {}};
    zo::ask<T> run(asked.x, how, adam, watched(asked, 900));
    while (auto questions = run.ask(7)) {
      for (const auto& q : questions) run.tell(q.id, q.point, rounded_loss(q.point));
    }
    asked.x = copy_of(run.x());
    asked.r = run.result();
    expect_same(asked, expected);

    ended<T> shared{ramp<T>(9), {}, {}};
    shared.r = zo::minimize_async(rounded_loss<T>, shared.x, how, adam, watched(shared, 900),
                                  {.workers = 3});
    expect_same(shared, expected);
  }
  const zo::rge typed({.directions = 3, .smoothing = often}, zo::sphere{}, zo::central{});
  expect_same(called<T>(zo::par, typed), called<T>(zo::seq, estimators<T>(often)[4]));
}
TEST(smoothing, every_way_to_run_has_the_same_bits) {
  expect_same_bits<float>();
  expect_same_bits<double>();
}

// Saved and loaded into a new run before every so many answers, in the middle of searches too.
template <class T>
void expect_saved(const zo::failure_policy& failures) {
  const auto f = [](std::span<const T> x) {
    const double loss = rounded_loss(x);
    return std::fmod(std::abs(loss) * 1e5, 17) < 1.5 ? not_a_number : loss;
  };
  for (const auto& how : estimators<T>({.every = 3}, failures)) {
    ended<T> expected{ramp<T>(9), {}, {}};
    expected.r = zo::minimize(zo::seq, f, expected.x, how, adam, {.max_queries = 700, .seed = 3});
    EXPECT_GT(expected.r.failed, 0);
    EXPECT_GE(expected.r.steps, 4);
    const auto made = [&] {
      return std::make_unique<zo::ask<T>>(ramp<T>(9), how, adam,
                                          zo::minimize_options{.max_queries = 700, .seed = 3});
    };
    auto run = made();
    index_t told = 0;
    while (!run->over()) {
      run->ask_again();
      const auto questions = run->ask(5);
      for (const auto& q : questions) {
        const double loss = f(q.point);
        if (std::isnan(loss))
          run->tell_failed(q.id);
        else
          run->tell(q.id, loss);
        if (++told % 11 != 0) continue;
        std::stringstream saved;
        run->save(saved);
        auto next = made();
        if (told % 2 == 0) next->tell(next->ask(1)[0].id, 0.5);  // of another life
        next->load(saved);
        run = std::move(next);
        break;
      }
    }
    ended<T> got{copy_of(run->x()), run->result(), {}};
    expect_same(got, expected);
  }
}
TEST(smoothing, a_search_is_saved_and_loaded) {
  expect_saved<float>(on_failure::drop);
  expect_saved<double>(on_failure::drop);
  expect_saved<double>(on_failure::replace);
}

TEST(smoothing, a_run_that_goes_on_is_told_what_was_chosen) {
  const auto how = [](const automatic_smoothing& smoothing) {
    return zo::rge({.directions = 3, .smoothing = smoothing}, zo::gaussian{}, zo::central{});
  };
  const auto run = [&](const automatic_smoothing& smoothing, std::vector<double>& x,
                       zo::updater<zo::adam, double>& kept, std::uint64_t first,
                       std::uint64_t steps) {
    return zo::minimize(zo::seq, rounded_loss<double>, x, how(smoothing), kept,
                        {.max_queries = 2000, .max_steps = steps, .seed = 3, .first_step = first});
  };
  for (const std::uint64_t every : {0, 3}) {
    const automatic_smoothing smoothing{.every = every};
    auto whole = ramp<double>(9), parts = whole, again = whole;
    zo::updater<zo::adam, double> at_once(adam, 9), kept(adam, 9);
    const auto expected = run(smoothing, whole, at_once, 0, 8);
    const auto before = run(smoothing, parts, kept, 0, 5);
    ASSERT_EQ(before.next_step, 5);
    EXPECT_TRUE(contains(complaint([&] { run(smoothing, parts, kept, 5, 3); }),
                         "zo::rge: no smoothing is known at step 5"));
    const auto after =
        run({.every = every, .start = before.automatic->smoothing}, parts, kept, 5, 3);
    EXPECT_TRUE(same_bits(parts, whole));
    EXPECT_EQ(after.automatic == nullptr, every == 0);  // no search, no choice
    if (every > 0) {
      EXPECT_EQ(after.automatic->smoothing, expected.automatic->smoothing);
    }
  }
  // An estimate that stands alone is a run.
  const auto x = ramp<double>(9);
  std::vector<double> g(9);
  const zo::estimate_options later{.step = 7};
  EXPECT_TRUE(contains(
      complaint([&] { zo::estimate(zo::seq, rounded_loss<double>, x, g, how({}), later); }),
      ".start"));
  EXPECT_NE(zo::estimate(zo::seq, rounded_loss<double>, x, g, how({.every = 1}), later).automatic,
            nullptr);
  EXPECT_TRUE(zo::estimate(zo::seq, rounded_loss<double>, x, g, how({.start = 0.1}), later).ok);
}

TEST(smoothing, budgets_are_kept) {
  for (index_t budget = 0; budget <= 340; budget += 17) {
    for (const auto& how : estimators<double>({.every = 2, .max_queries = 70})) {
      index_t count = 0;
      auto f = [&](std::span<const double> x) {
        ++count;
        return rounded_loss(x);
      };
      auto x = ramp<double>(9);
      const auto r = zo::minimize(zo::seq, f, x, how, adam, {.max_queries = budget});
      EXPECT_EQ(r.why, zo::status::budget_spent);
      EXPECT_EQ(r.queries, count);
      EXPECT_LE(r.queries, budget);
      // No search is begun that might not be paid.
      EXPECT_EQ(r.steps > 0, budget > how.queries(9)) << budget;
      if (r.steps == 0) {
        EXPECT_LE(r.queries, 1);
      }
    }
  }
}

TEST(smoothing, budgets_are_kept_by_points_that_are_asked_again) {
  // A search that takes all it may, and fails as often as its estimate: both share what is spare.
  for (index_t budget = 20; budget <= 40; ++budget) {
    index_t count = 0;
    auto f = [&](std::span<const double> x) {
      return ++count % 2 == 1 ? not_a_number : rounded_loss(x);
    };
    const zo::rge how({.directions = 3,
                       .smoothing = automatic_smoothing{.max_queries = 16},
                       .failures = zo::failure_options{.retries = 2}});
    auto x = ramp<double>(9);
    const auto r = zo::minimize(zo::seq, f, x, how, adam, {.max_queries = budget});
    EXPECT_EQ(r.queries, count);
    EXPECT_LE(count, budget);
  }
}

TEST(smoothing, a_search_that_may_not_ask_enough_says_so) {
  const auto x = ramp<double>(9);
  std::vector<double> g(9), expected(9);
  const auto tried = [&](const automatic_smoothing& smoothing) {
    const auto r = zo::estimate(zo::seq, rounded_loss<double>, x, g,
                                zo::rge({.directions = 3, .smoothing = smoothing}));
    EXPECT_LE(r.queries, 1 + 3 + smoothing.max_queries);
    EXPECT_EQ(r.queries, 1 + 3 + r.automatic->queries);
    return *r.automatic;
  };
  for (const index_t few : {1, 15, 16, 20}) {
    const auto cut = tried({.max_queries = few});
    EXPECT_FALSE(cut.ok);
    EXPECT_EQ(cut.why, zo::smoothing_end::unfinished) << few;
    EXPECT_EQ(cut.smoothing, 1e-3);
    EXPECT_EQ(cut.queries, few < 16 ? 0 : few < 20 ? 16 : 16);
  }
  EXPECT_EQ(tried({.start = 0.25, .max_queries = 1}).smoothing, 0.25);
  zo::estimate(zo::seq, rounded_loss<double>, x, expected,
               zo::rge({.directions = 3, .smoothing = 0.25}));
  EXPECT_TRUE(same_bits(g, expected));
}

// Fails in the first `fails` queries, or from x[0] above `edge` on.
struct failing {
  index_t fails = 0;
  double edge = infinity;
  bool throws = false;
  index_t count = 0;
  double operator()(std::span<const double> x) {
    if (count++ >= fails && x[0] <= edge) return rounded_loss(x);
    if (throws) throw std::runtime_error("no licence");
    return not_a_number;
  }
};

TEST(smoothing, failures_in_a_search_follow_the_policy) {
  const auto x = ramp<double>(9, -0.6, 0.31);
  std::vector<double> g(9, 1.0);
  const auto asked = [&](failing f, const zo::failure_policy& policy,
                         const automatic_smoothing& smoothing = zo::automatic) {
    const zo::rge how({.directions = 3, .smoothing = smoothing, .failures = policy}, zo::gaussian{},
                      zo::central{});
    const auto r = zo::estimate(zo::seq, f, x, g, how);
    return r;
  };
  // Stop: there is no estimate.
  const auto stopped = asked({.fails = 1}, on_failure::stop);
  EXPECT_FALSE(stopped.ok);
  EXPECT_EQ(stopped.why, zo::flaw::query_failed);
  EXPECT_EQ(stopped.queries, 16);
  EXPECT_EQ(stopped.failed, 1);
  ASSERT_NE(stopped.failure, nullptr);
  EXPECT_TRUE(same_bits(g, std::vector<double>(9)));
  EXPECT_EQ(stopped.automatic, nullptr);
  EXPECT_THROW(asked({.fails = 1, .throws = true}, on_failure::stop), std::runtime_error);
  // Go on: the noise is looked for on the next line.
  for (const zo::failure_policy policy :
       {zo::failure_policy(on_failure::drop), zo::failure_policy(on_failure::replace),
        zo::failure_policy({.then = on_failure::penalise, .penalty = 1e6})}) {
    const auto next = asked({.fails = 1, .throws = true}, policy);
    EXPECT_TRUE(next.ok && next.automatic->ok);
    EXPECT_EQ(next.failed, 1);
    EXPECT_NEAR(std::log2(next.automatic->noise / (1e-5 / std::sqrt(12.0))), 0, 1.5);
    // On no line: mu stays what it was.
    const auto none = asked({.fails = 48}, policy);
    EXPECT_TRUE(none.ok);
    EXPECT_FALSE(none.automatic->ok);
    EXPECT_EQ(none.automatic->why, zo::smoothing_end::no_noise);
    EXPECT_EQ(none.automatic->noise_why, zo::noise_end::query_failed);
    EXPECT_EQ(none.automatic->smoothing, 1e-3);
    EXPECT_EQ(none.automatic->queries, 48);
    EXPECT_EQ(none.queries, 48 + 6);
    EXPECT_EQ(none.failed, 48);
    EXPECT_EQ(asked({.fails = 48}, policy, {.start = 0.5}).automatic->smoothing, 0.5);
  }
  // Where a line leaves what f answers, the others say mu.
  const zo::cge three({.smoothing = automatic_smoothing{.noise = 1e-4},
                       .coordinates = zo::coordinate_list{{0, 1, 2}},
                       .failures = on_failure::drop});
  failing beyond{.edge = x[0] + 1e-9};
  const auto beside = zo::estimate(zo::seq, beyond, x, g, three);
  EXPECT_TRUE(beside.ok && beside.automatic->ok);
  EXPECT_EQ(beside.failed, 2 + 1);  // both points of the search, and that of the estimate
  // Asked again, and counted.
  const auto again = asked({.fails = 2}, zo::failure_options{.retries = 2});
  EXPECT_TRUE(again.ok && again.automatic->ok);
  const auto plain = asked({}, on_failure::stop);
  EXPECT_EQ(again.queries, plain.queries + 2);
  EXPECT_EQ(again.automatic->smoothing, plain.automatic->smoothing);
}

TEST(smoothing, a_search_that_fails_later_keeps_what_was_found) {
  // From the fourth step on every answer is the same.
  index_t steps = 0;
  auto f = [&](std::span<const double> x) { return steps < 4 ? rounded_loss(x) : not_a_number; };
  std::vector<double> mu;
  auto x = ramp<double>(9);
  const zo::rge how(
      {.directions = 3, .smoothing = automatic_smoothing{.every = 4}, .failures = on_failure::drop},
      zo::gaussian{}, zo::central{});
  const auto r = zo::minimize(
      zo::seq, f, x, how, zo::sgd({.rate = 1e-3}),
      {.max_queries = 3000, .max_failed_steps = 3, .on_step = [&](const zo::step_report& now) {
         ++steps;
         mu.push_back(now.automatic->smoothing);
         EXPECT_TRUE(now.automatic->ok);
         return zo::verdict::go_on;
       }});
  EXPECT_EQ(r.why, zo::status::query_failed);
  EXPECT_EQ(r.steps, 3);  // one led to where nothing is answered
  ASSERT_NE(r.automatic, nullptr);
  EXPECT_FALSE(r.automatic->ok);
  EXPECT_EQ(r.automatic->smoothing, mu.front());
}

TEST(smoothing, bounds_are_kept_by_the_search) {
  const double reach = 0.01;
  for (const char* const name : {"rge", "cge"}) {
    for (const char* const scheme : {"forward", "central"}) {
      const zo::any_estimator<double> inner(
          zo::estimator_options{.estimator = name,
                                .distribution = "rademacher",
                                .scheme = scheme,
                                .directions = 4,
                                .smoothing = automatic_smoothing{.every = 3, .largest = reach}});
      EXPECT_EQ(inner.reach(), reach * (std::string(scheme) == "central" ? 3 : 4));
      bool inside = true;
      auto f = [&](std::span<const double> x) {
        for (const double v : x) inside = inside && v >= 0 && v <= 1;
        return rounded_loss(x);
      };
      std::vector<double> x(9, 0.0);
      const auto r = zo::minimize(zo::seq, f, x, zo::inside(zo::box(0, 1), inner),
                                  zo::projected(adam, zo::box(0, 1)), {.max_queries = 1500});
      EXPECT_TRUE(inside);
      EXPECT_GT(r.steps, 3);
      ASSERT_NE(r.automatic, nullptr);
      EXPECT_LE(r.automatic->smoothing, reach);
    }
  }
  EXPECT_TRUE(
      contains(complaint([] { zo::inside(zo::box(0, 1), zo::cge({.smoothing = zo::automatic})); }),
               "largest"));
}

TEST(smoothing, rows_share_what_is_found_at_the_first) {
  const index_t rows = 4, d = 6;
  const auto z = ramp<double>(rows * d);
  const zo::points<double> at{z, rows, d};
  std::atomic<index_t> count{0};
  bool first = true;
  auto f = [&](std::span<const double> x, index_t row) {
    ++count;
    first = first && (row == 0 || count > 16);
    return rounded_loss(x) * (1 + static_cast<double>(row));
  };
  const std::vector<double> known(rows, 0.5);
  const zo::cge how({.smoothing = zo::automatic}, zo::central{});
  const auto got = zo::boundary(zo::seq, f, at, how);
  EXPECT_TRUE(got.ok && first);
  EXPECT_EQ(got.queries, count);
  EXPECT_LE(got.queries, rows * how.queries(d));
  ASSERT_NE(got.automatic, nullptr);
  const auto plain =
      zo::boundary(zo::seq, f, at, zo::cge({.smoothing = got.automatic->smoothing}, zo::central{}));
  EXPECT_TRUE(same_bits(got.gradients, plain.gradients));
  EXPECT_TRUE(same_bits(got.losses, plain.losses));
  EXPECT_TRUE(
      zo::boundary(zo::seq, f, at, zo::cge({.smoothing = zo::automatic}), {.known_values = known})
          .ok);

  zo::ask_rows<double> run(at, how);
  while (auto questions = run.ask(9)) {
    for (const auto& q : questions) run.tell(q.id, f(q.point, q.row));
  }
  EXPECT_TRUE(same_bits(run.result().gradients, got.gradients));
  EXPECT_EQ(run.result().automatic->smoothing, got.automatic->smoothing);

  auto none = [&](std::span<const double>, index_t) { return not_a_number; };
  const auto failed = zo::boundary(zo::seq, none, at, how);
  EXPECT_FALSE(failed.ok);
  EXPECT_EQ(failed.why, zo::flaw::query_failed);
  EXPECT_TRUE(same_bits(failed.gradients, std::vector<double>(rows * d)));
  for (const double loss : failed.losses) EXPECT_TRUE(std::isnan(loss));

  // Vector answers.
  auto map = [&](std::span<const double> x, std::span<double> y) {
    y[0] = rounded_loss(x);
    y[1] = x[0] * x[1];
  };
  const std::vector<double> x = ramp<double>(d), v{1, 0.5};
  const auto pulled = zo::pullback(zo::seq, map, x, v, how);
  EXPECT_TRUE(pulled.ok);
}

TEST(smoothing, a_search_is_not_closed) {
  const auto x = ramp<double>(9);
  const zo::rge how({.directions = 8, .smoothing = zo::automatic});
  zo::ask<double> run(x, how, adam, {.max_queries = 400});
  {
    const auto questions = run.ask(16);
    for (index_t k = 0; k < 15; ++k) run.tell(questions[k].id, rounded_loss(questions[k].point));
    EXPECT_TRUE(contains(complaint([&] { run.close(); }), "choose the smoothing"));
    EXPECT_FALSE(run.close_after(3));
    run.tell(questions[15].id, rounded_loss(questions[15].point));
  }
  // Steps with the first answers wait for those of the search.
  auto y = x;
  const auto r = zo::minimize_async(rounded_loss<double>, y, how, adam,
                                    {.max_queries = 400, .seed = 2}, {.workers = 3, .answers = 3});
  EXPECT_GT(r.steps, 10);
  ASSERT_NE(r.automatic, nullptr);
  EXPECT_TRUE(r.automatic->ok);
}

TEST(smoothing, an_x_that_is_not_finite_is_not_searched_around) {
  const std::vector<double> x{1, infinity};
  std::vector<double> g(2);
  const auto r = zo::estimate(zo::seq, rounded_loss<double>, x, g,
                              zo::rge({.directions = 2, .smoothing = zo::automatic}));
  EXPECT_FALSE(r.ok);
  EXPECT_EQ(r.why, zo::flaw::out_of_range);
  EXPECT_EQ(r.queries, 0);
}

TEST(smoothing, what_takes_a_number_says_so) {
  const zo::smoothing_parameter chosen = zo::automatic, number = 0.5;
  EXPECT_TRUE(chosen.is_automatic());
  EXPECT_EQ(number, 0.5);
  EXPECT_EQ(zo::rge_options().smoothing, 1e-3);
  EXPECT_TRUE(contains(complaint([&] { static_cast<double>(chosen); }), "zo::choose_smoothing"));
  auto x = ramp<double>(4);
  EXPECT_TRUE(contains(complaint([&] {
                         zo::in_place steps({std::span<double>(x)},
                                            zo::rge({.smoothing = zo::automatic}), zo::sgd());
                       }),
                       "zo::in_place: here the smoothing is a number"));
  auto map = [](std::span<const double> at, std::span<double> y) { y[0] = at[0]; };
  EXPECT_TRUE(contains(
      complaint([&] { zo::jacobian(zo::seq, map, x, 1, zo::cge({.smoothing = zo::automatic})); }),
      "zo::jacobian: here the smoothing is a number"));
  EXPECT_TRUE(
      contains(complaint([&] {
                 zo::quadrature({.directions = {1, 0}, .weights = {1}, .smoothing = zo::automatic});
               }),
               "zo::quadrature: here the smoothing is a number"));
  std::atomic<index_t> count{0};
  std::vector<double> g(4);
  EXPECT_TRUE(contains(complaint([&] {
                         zo::estimate(zo::seq, coordinate_form<double>{&count}, x, g,
                                      zo::cge({.smoothing = zo::automatic}));
                       }),
                       "zo::cge: zo::automatic asks whole points"));
  EXPECT_EQ(count, 0);
}

TEST(smoothing, bad_options_are_said) {
  const auto said = [](const automatic_smoothing& how) {
    return complaint([&] { zo::rge({.smoothing = how}); });
  };
  EXPECT_TRUE(contains(said({.start = 0.0}), "zo::rge: start of zo::automatic must be a positive"));
  EXPECT_TRUE(contains(said({.noise = -1.0}), "noise of zo::automatic must be at least 0"));
  EXPECT_TRUE(contains(said({.largest = infinity}), "largest of zo::automatic"));
  EXPECT_TRUE(
      contains(said({.max_queries = 0}), "max_queries of zo::automatic must be at least 1"));
  EXPECT_TRUE(contains(complaint([] { zo::cge({.smoothing = 0}); }),
                       "zo::cge: smoothing must be a positive number, got 0"));
  for (const auto why : {zo::smoothing_end::balanced, zo::smoothing_end::unfinished}) {
    EXPECT_NE(zo::to_string(why), "unknown");
  }
}

}  // namespace
