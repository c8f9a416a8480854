// An estimator of another namespace that keeps state (open/svrg.hpp): its numbers, its prices, and
// failures in each of its parts, however it is run.
#include "open/svrg.hpp"

#include "reference.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::minimize_options;
using zo::on_failure;
using zo::status;

using long_vector = std::vector<long double>;

constexpr index_t dimension = 7;

long double exact_loss(const long_vector& x) {
  long double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += (1.0L + 0.25L * static_cast<long double>(i % 5)) * x[i] * x[i] +
           x[i] * static_cast<long double>(i + 1) / 3;
  }
  return sum;
}
double loss(std::span<const double> x) {
  return static_cast<double>(exact_loss(long_vector(x.begin(), x.end())));
}

// Everything stored, plain loops, nothing kept between the parts but the kept point and its mean.
class naive_svrg {
 public:
  naive_svrg(reference::distribution law, std::uint32_t few, std::uint32_t many, double mu,
             std::uint64_t every, std::uint64_t seed)
      : law_(law), few_(few), many_(many), mu_(mu), every_(every), seed_(seed) {}

  long_vector operator()(const long_vector& x, std::uint64_t step) {
    if (step % every_ == 0) {
      kept_ = x;
      mean_ = forward(x, many_, step);
    }
    const long_vector here = forward(x, few_, step), there = forward(kept_, few_, step);
    long_vector g(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) g[i] = here[i] - there[i] + mean_[i];
    return g;
  }

 private:
  long_vector forward(const long_vector& x, std::uint32_t count, std::uint64_t step) const {
    long_vector g(x.size());
    for (std::uint32_t k = 0; k < count; ++k) {
      const auto u = reference::direction(law_, {seed_, step, k}, x.size());
      long_vector moved = x;
      for (std::size_t i = 0; i < x.size(); ++i) moved[i] += static_cast<long double>(mu_) * u[i];
      const long double slope = (exact_loss(moved) - exact_loss(x)) / mu_;
      for (std::size_t i = 0; i < x.size(); ++i) {
        g[i] += static_cast<long double>(reference::scale(law_, x.size())) * slope * u[i] / count;
      }
    }
    return g;
  }

  reference::distribution law_;
  std::uint32_t few_, many_;
  double mu_;
  std::uint64_t every_, seed_;
  long_vector kept_, mean_;
};

template <class D>
void check_against_naive(D law) {
  const elsewhere::svrg how{zo::rge({.directions = 2, .smoothing = 1e-2}, law),
                            zo::rge({.directions = 9, .smoothing = 1e-2}, law), 4};
  constexpr double rate = 0.03;
  auto x = ramp<double>(dimension);
  long_vector y(x.begin(), x.end());
  naive_svrg naive(kind_of(law), 2, 9, 1e-2, 4, 21);
  std::vector<std::vector<double>> points;
  const auto r = zo::minimize(zo::seq, loss, x, how, zo::sgd({.rate = rate}),
                              {.max_queries = 100000,
                               .max_steps = 11,
                               .seed = 21,
                               .on_step = [&](const zo::step_report& at) {
                                 points.push_back(copy_of(at.x.as<double>()));
                                 return zo::verdict::go_on;
                               }});
  EXPECT_EQ(r.steps, 11u);
  EXPECT_EQ(r.queries, 11 * 6 + 3 * 10 + 1);
  ASSERT_EQ(points.size(), 11u);
  for (std::uint64_t step = 0; step < 11; ++step) {
    const long_vector g = naive(y, step);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] -= rate * g[i];
    for (std::size_t i = 0; i < y.size(); ++i) {
      // Float directions: their rounding, magnified by nothing.
      EXPECT_NEAR(points[step][i], static_cast<double>(y[i]),
                  1e-5 * (1 + std::abs(points[step][i])))
          << step;
    }
  }
}

TEST(own_estimator, has_the_numbers_of_a_naive_one) {
  check_against_naive(zo::gaussian{});
  check_against_naive(zo::rademacher{});
  check_against_naive(zo::sphere{});
}

template <class Run>
void expect_same_everywhere(const Run& run) {
  const auto [x, r] = run(zo::seq);
  for (const int threads : {1, 2, 5}) {
    const auto [y, other] = run(zo::par.with_threads(threads));
    EXPECT_TRUE(same_bits(x, y));
    EXPECT_EQ(r.queries, other.queries);
    EXPECT_EQ(r.why, other.why);
    EXPECT_TRUE(same_bits(std::vector{r.value}, std::vector{other.value}));
  }
}

TEST(own_estimator, has_the_same_bits_under_every_policy_and_by_any_estimator) {
  const elsewhere::svrg how{zo::rge({.directions = 3}, zo::sphere{}, zo::central{}),
                            zo::rge({.directions = 5000}, zo::rademacher{}), 3};
  const zo::any_estimator<double> any(how);
  const auto run = [&](const auto& policy, const auto& estimator) {
    auto x = ramp<double>(dimension);
    const auto r = zo::minimize(policy, loss, x, estimator, zo::adam(), {.max_queries = 21'000});
    return std::pair(x, r);
  };
  expect_same_everywhere([&](const auto& policy) { return run(policy, how); });
  expect_same_everywhere([&](const auto& policy) { return run(policy, any); });
  EXPECT_TRUE(same_bits(run(zo::seq, how).first, run(zo::seq, any).first));
  EXPECT_EQ(run(zo::seq, how).second.steps, 12u);
}

TEST(own_estimator, steps_of_different_prices_keep_a_budget) {
  const elsewhere::svrg how{zo::rge({.directions = 2}), zo::rge({.directions = 6}), 3};
  EXPECT_EQ(how.queries(4, 0), 13);
  EXPECT_EQ(how.queries(4, 1), 6);
  for (index_t budget = 1; budget < 60; ++budget) {
    std::atomic<index_t> counted{0};
    auto x = ramp<double>(4);
    const auto r = zo::minimize(zo::seq, scalar_form<double>{&counted}, x, how, zo::sgd(),
                                {.max_queries = budget});
    EXPECT_EQ(r.queries, counted);
    EXPECT_LE(r.queries, budget);
    EXPECT_EQ(r.why, status::budget_spent);
    index_t paid = 0;
    std::uint64_t steps = 0;
    while (paid + how.queries(4, steps) < budget) paid += how.queries(4, steps++);
    EXPECT_EQ(r.steps, steps);
    EXPECT_EQ(r.queries, paid + 1);
  }
}

template <class How>
void make_steps(std::vector<double>& x, const How& how, const std::vector<std::uint64_t>& steps) {
  std::vector<double> kept, mean(x.size()), here(x.size()), there(x.size());
  auto updater = zo::sgd().start<double>(dimension);
  for (const std::uint64_t step : steps) {
    const zo::estimate_options place{3, step};
    if (step % how.every == 0 || kept.empty()) {
      kept = x;
      zo::estimate(zo::seq, loss, kept, mean, how.many, place);
    }
    zo::estimate(zo::seq, loss, x, here, how.few, place);
    zo::estimate(zo::seq, loss, kept, there, how.few, place);
    for (std::size_t i = 0; i < x.size(); ++i) here[i] = here[i] - there[i] + mean[i];
    updater.step(zo::seq, std::span(x), std::span<const double>(here));
  }
}

// Each query of two estimates fails in turn.
TEST(own_estimator, a_failed_query_in_any_part_is_known) {
  const elsewhere::svrg stops{zo::rge({.directions = 2}), zo::rge({.directions = 3}), 2};
  const zo::rge_options one{.directions = 1, .failures = on_failure::drop};
  const elsewhere::svrg drops{zo::rge(one), zo::rge(one), 2};
  for (index_t bad = 0; bad < 10; ++bad) {
    const auto f = [bad](index_t& asked) {
      return [bad, &asked](std::span<const double> x) {
        return asked++ == bad ? not_a_number : loss(x);
      };
    };
    const auto x = ramp<double>(dimension);
    std::vector<double> g(x.size(), 7);
    index_t asked = 0;
    auto estimated = zo::estimate(zo::seq, f(asked), x, g, stops, {.seed = 3});
    EXPECT_FALSE(estimated.ok);
    EXPECT_EQ(estimated.why, zo::flaw::query_failed);
    EXPECT_EQ(estimated.failed, 1);
    EXPECT_EQ(estimated.queries, asked);
    EXPECT_EQ(g, std::vector<double>(x.size(), 0.0)) << bad;
    ASSERT_NE(estimated.failure, nullptr);
    EXPECT_EQ(estimated.failure->why, "the answer is nan");

    // Six queries an estimate that keeps its point, and four one that does not.
    asked = 0;
    auto y = x, z = x;
    const auto r = zo::minimize(zo::seq, f(asked), y, drops, zo::sgd(),
                                {.max_queries = 1000, .max_steps = 3, .seed = 3});
    EXPECT_EQ(r.why, status::steps_done);
    EXPECT_EQ(r.skipped, 1);
    EXPECT_EQ(r.failed, 1);
    EXPECT_EQ(r.queries, asked);
    EXPECT_EQ(r.steps, 3u);
    // A failed estimate that should have kept its point leaves that to the next one; after any
    // other one, whose step led there is undone.
    bad < 6 ? make_steps(z, drops, {1, 2, 3}) : make_steps(z, drops, {2, 3, 4});
    EXPECT_TRUE(same_bits(y, z)) << bad;
  }
}

// Values that are known are those of x, not of the kept point.
TEST(own_estimator, asks_the_kept_point_itself_where_f_of_x_is_known) {
  const elsewhere::svrg how{zo::rge({.directions = 2}), zo::rge({.directions = 3}), 4};
  const auto x = ramp<double>(dimension);
  std::vector<double> known, asked(x.size()), told(x.size());
  const auto estimates = [&](std::vector<double>& g, bool tell) {
    zo::workspace<double> memory;
    index_t queries = 0;
    auto f = [&](std::span<const double> v) { return ++queries, loss(v); };
    zo::detail::local_black_box<double, decltype(f), zo::sequential_policy> answers(
        zo::seq, f, memory.buffers().candidates, memory.buffers().rows);
    zo::machine<double> here(&answers, nullptr, memory);
    auto run = how.start(here);
    auto at = x;
    for (const std::uint64_t step : {0, 1}) {
      known = {loss(at)};
      zo::estimate_options place{3, step};
      if (tell) place.known_values = known;
      zo::detail::make_estimate(here, run, {at.data(), 1, dimension, g.data(), nullptr}, place);
      EXPECT_TRUE(here.result().ok);
      for (std::size_t i = 0; i < at.size(); ++i) at[i] -= 0.1 * g[i];
    }
    return queries;
  };
  EXPECT_EQ(estimates(asked, false), 10 + 6);
  EXPECT_EQ(estimates(told, true), 8 + 5) << "f(x) is not asked, that of the kept point is";
  EXPECT_TRUE(same_bits(asked, told));
}

TEST(own_estimator, says_what_it_cannot_do) {
  const elsewhere::svrg how{zo::rge(), zo::rge(), 4};
  auto x = ramp<double>(dimension);
  EXPECT_TRUE(contains(complaint([&] {
                         zo::minimize(zo::seq, loss, x, how, zo::sgd(),
                                      {.max_queries = 99, .first_step = 3});
                       }),
                       "elsewhere::svrg: the first step must be a multiple of 4, got 3"));
  EXPECT_EQ(
      zo::minimize(zo::seq, loss, x, how, zo::sgd(), {.max_queries = 99, .first_step = 8}).why,
      status::budget_spent);
}

}  // namespace
