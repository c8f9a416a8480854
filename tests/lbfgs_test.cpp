// L-BFGS: the direction against dense BFGS, the search against its rules, whole runs on every way
// through zo: bits, budgets, bounds, noise, failures, saved runs.
#include "zo/lbfgs.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <sstream>
#include <vector>

#include "support.hpp"

namespace {

using namespace testing_zo;
using vector = std::vector<double>;

double rosenbrock(std::span<const double> x) {
  double sum = 0;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
    sum += a * a + 100 * b * b;
  }
  return sum;
}

// A quadratic whose curvatures are 1, 2, … in directions that no coordinate is.
struct quadratic {
  vector gradient(const vector& x) const {
    vector g(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double before = i > 0 ? x[i - 1] : 0, after = i + 1 < x.size() ? x[i + 1] : 0;
      g[i] = (static_cast<double>(i) + 3) * x[i] - before - after - 1;
    }
    return g;
  }
  double operator()(std::span<const double> x) const {
    const vector at(x.begin(), x.end()), g = gradient(at);
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i) sum += at[i] * (g[i] - 1) / 2;
    return sum;
  }
};

// The inverse of BFGS written out, from H = (s'y / y'y) of the newest pair.
vector dense_direction(const std::vector<vector>& s, const std::vector<vector>& y,
                       const vector& g) {
  const std::size_t d = g.size();
  const auto times = [](const vector& a, const vector& b) {
    return dot(std::span<const double>(a), b);
  };
  std::vector<vector> h(d, vector(d, 0.0));
  for (std::size_t i = 0; i < d; ++i) {
    h[i][i] = s.empty() ? 1 : times(s.back(), y.back()) / times(y.back(), y.back());
  }
  for (std::size_t k = 0; k < s.size(); ++k) {
    const double rho = 1 / times(s[k], y[k]);
    std::vector<vector> left(d, vector(d)), next(d, vector(d, 0.0));
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < d; ++j) left[i][j] = (i == j ? 1 : 0) - rho * s[k][i] * y[k][j];
    }
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < d; ++j) {
        for (std::size_t a = 0; a < d; ++a) {
          for (std::size_t b = 0; b < d; ++b) next[i][j] += left[i][a] * h[a][b] * left[j][b];
        }
        next[i][j] += rho * s[k][i] * s[k][j];
      }
    }
    h = next;
  }
  vector p(d);
  for (std::size_t i = 0; i < d; ++i) p[i] = -times(h[i], g);
  return p;
}

TEST(lbfgs, goes_where_dense_bfgs_of_the_last_pairs_goes) {
  const quadratic f;
  constexpr std::size_t d = 7;
  constexpr int memory = 3;
  using next = zo::line_search<double>::next;
  zo::lbfgs_search<double> search({.memory = memory}, d);
  vector x = ramp<double>(d), last_x, last_g;
  std::vector<vector> s, y;
  for (int step = 0; step < 8; ++step) {
    const vector g = f.gradient(x);
    if (!last_x.empty()) {
      vector ds(d), dy(d);
      for (std::size_t i = 0; i < d; ++i) {
        ds[i] = x[i] - last_x[i];
        dy[i] = g[i] - last_g[i];
      }
      s.push_back(ds);
      y.push_back(dy);
      if (s.size() > memory) {
        s.erase(s.begin());
        y.erase(y.begin());
      }
    }
    ASSERT_EQ(search.begin({x, g, f(x)}), next::ask);
    vector first(d);
    search.write(0, 0, d, first.data());
    vector p = dense_direction(s, y, g);
    const double length = std::sqrt(dot(std::span<const double>(p), p));
    const double share = s.empty() ? std::min(1.0, 1 / length) : 1;
    for (std::size_t i = 0; i < d; ++i) {
      EXPECT_NEAR(first[i], x[i] + share * p[i], 1e-12 * (1 + length)) << step;
    }
    for (;;) {
      vector point(d);
      search.write(0, 0, d, point.data());
      const double answer = f(point);
      const next how = search.take(std::span(&answer, 1));
      if (how == next::step) break;
      ASSERT_EQ(how, next::ask);
    }
    EXPECT_EQ(search.value(), f(search.accepted()));
    last_x = x;
    last_g = g;
    x = copy_of(search.accepted());
    search.accept();
  }
  EXPECT_LT(f(x), f(ramp<double>(d)));
}

TEST(lbfgs, shortens_and_lengthens_as_the_answers_say) {
  using next = zo::line_search<double>::next;
  const vector x{0}, g{-1};
  const auto tried = [&](std::vector<double> answers, next end, double at) {
    zo::lbfgs_search<double> search({}, 1);
    ASSERT_EQ(search.begin({x, g, 0.0}), next::ask);
    std::vector<double> points;
    for (std::size_t k = 0; k < answers.size(); ++k) {
      vector point(1);
      search.write(0, 0, 1, point.data());
      points.push_back(point[0]);
      const next how = search.take(std::span(&answers[k], 1));
      EXPECT_EQ(how, k + 1 < answers.size() ? next::ask : end);
    }
    if (end == next::step) {
      EXPECT_DOUBLE_EQ(search.accepted()[0], at);
    }
    EXPECT_DOUBLE_EQ(points[0], 1);
  };
  tried({-0.5}, next::step, 1);         // half of the straight line
  tried({-0.97, -1}, next::step, 10);   // straight: ten times as far; lower, and bent there
  tried({-0.97, -0.5}, next::step, 1);  // longer was worse
  tried({0, -0.25}, next::step, 0.5);   // the parabola through 0, slope -1 and f(1) = 0
  tried({9, -0.05}, next::step, 0.1);   // its minimum is at .05: not below a tenth
  tried({std::nan(""), -0.05}, next::step, 0.1);
  tried(std::vector<double>(20, 1.0), next::stuck, 0);
}

TEST(lbfgs, finds_minima_with_few_queries_and_says_when_nothing_is_left) {
  for (const index_t d : {2, 10}) {
    vector x(static_cast<std::size_t>(d), -1.2);
    const auto r = zo::minimize(zo::seq, rosenbrock, x, zo::cge({.smoothing = 1e-7}), zo::lbfgs(),
                                {.max_queries = 3000});
    EXPECT_EQ(r.why, zo::status::converged);
    EXPECT_LT(r.value, 1e-7);
    EXPECT_EQ(r.value, rosenbrock(x));
    EXPECT_LT(r.queries, 100 * d);
    vector y(static_cast<std::size_t>(d), -1.2);
    const auto far =
        zo::minimize(zo::seq, rosenbrock, y, zo::cge({.smoothing = 1e-5}, zo::central{}),
                     zo::lbfgs(), {.max_queries = 6000});
    EXPECT_EQ(far.why, zo::status::converged);
    EXPECT_LT(far.value, 1e-13);
  }
}

TEST(lbfgs, never_ends_above_its_start) {
  const auto steep = [](std::span<const double> x) { return std::exp(5 * x[0]) - x[0] * x[1]; };
  const auto kinks = [](std::span<const double> x) {
    return std::fabs(x[0] - 2 * x[1]) + std::fabs(x[1] + 1);
  };
  const auto waves = [](std::span<const double> x) {
    return std::sin(9 * x[0]) * std::cos(7 * x[1]);
  };
  const auto check = [](const auto& f, std::uint64_t seed) {
    vector x(2);
    zo::fill_direction(zo::gaussian{}, {seed, 0, 0, zo::purpose::direction}, std::span<double>(x));
    const double before = f(x);
    const auto r = zo::minimize(zo::seq, f, x, zo::cge(), zo::lbfgs(), {.max_queries = 60});
    EXPECT_LE(r.value, before);
    EXPECT_EQ(r.value, f(x));
  };
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    check(steep, seed);
    check(kinks, seed);
    check(waves, seed);
  }
}

TEST(lbfgs, has_the_same_bits_on_every_way) {
  const zo::minimize_options options{.max_queries = 300, .target = 1e-9};
  const auto compare = [&]<class T>(T, const auto& how) {
    const auto f = [](std::span<const T> x) {
      const vector wide(x.begin(), x.end());
      return rosenbrock(wide);
    };
    std::vector<T> x(6, T(-0.5)), y = x, z = x;
    const auto expected = zo::minimize(zo::seq, f, x, how, zo::lbfgs(), options);
    const auto threads = zo::minimize(zo::par.with_threads(3), f, y, how, zo::lbfgs(), options);
    EXPECT_TRUE(same_bits(x, y));
    EXPECT_EQ(threads.queries, expected.queries);
    const auto workers = zo::minimize_async(f, z, how, zo::lbfgs(), options, {.workers = 3});
    EXPECT_TRUE(same_bits(x, z));
    EXPECT_EQ(workers.queries, expected.queries);
    EXPECT_EQ(workers.value, expected.value);
    EXPECT_EQ(workers.why, expected.why);

    // Saved and loaded before every answer.
    auto run = std::make_unique<zo::ask<T>>(std::vector<T>(6, T(-0.5)), how, zo::lbfgs(), options);
    while (const auto questions = run->ask(1)) {
      std::stringstream saved;
      run->save(saved);
      run = std::make_unique<zo::ask<T>>(std::vector<T>(6, T(2)), how, zo::lbfgs(), options);
      run->load(saved);
      const auto again = run->ask(1);
      ASSERT_TRUE(std::ranges::equal(again[0].point, questions[0].point));
      run->tell(again[0].id, f(again[0].point));
    }
    EXPECT_TRUE(same_bits(x, copy_of(run->x())));
    EXPECT_EQ(run->result().queries, expected.queries);
    EXPECT_EQ(run->result().why, expected.why);
  };
  compare(0.0, zo::cge({.smoothing = 1e-6}));
  compare(0.0, zo::cge({.smoothing = 1e-5}, zo::central{}));
  compare(0.0F, zo::cge({.smoothing = 1e-2}, zo::central{}));
  compare(0.0, zo::any_estimator<double>({.estimator = "cge", .smoothing = 1e-6}));
}

TEST(lbfgs, a_kept_search_goes_on) {
  const zo::cge how({.smoothing = 1e-6});
  vector x(5, -0.5), y = x;
  auto whole = zo::lbfgs().start<double>(5), parts = zo::lbfgs().start<double>(5);
  zo::minimize(zo::seq, rosenbrock, x, how, whole, {.max_queries = 10'000, .max_steps = 20});
  std::uint64_t next = 0;
  for (int part = 0; part < 4; ++part) {
    const auto r = zo::minimize(zo::seq, rosenbrock, y, how, parts,
                                {.max_queries = 10'000, .max_steps = 5, .first_step = next});
    next = r.next_step;
  }
  EXPECT_EQ(x, y);
  EXPECT_EQ(parts.steps(), 20u);
}

TEST(lbfgs, keeps_every_budget) {
  for (index_t budget = 0; budget < 90; ++budget) {
    for (const bool central : {false, true}) {
      index_t made = 0;
      const auto f = [&](std::span<const double> x) {
        ++made;
        return rosenbrock(x);
      };
      vector x(3, -1.2);
      zo::minimize_result r;
      if (central) {
        r = zo::minimize(zo::seq, f, x, zo::cge({}, zo::central{}), zo::lbfgs(),
                         {.max_queries = budget});
      } else {
        r = zo::minimize(zo::seq, f, x, zo::cge(), zo::lbfgs(), {.max_queries = budget});
      }
      EXPECT_LE(made, budget);
      EXPECT_EQ(r.queries, made);
      if (budget > 0) {
        EXPECT_EQ(r.value, rosenbrock(x));
      }
    }
  }
}

TEST(lbfgs, stays_between_bounds_and_finds_corners_and_faces) {
  const zo::box bounds({-1, 0.2, -5}, {0.5, 3, 5});
  const auto f = [](std::span<const double> x) {
    for (const double one : {x[0] + 1, 0.5 - x[0], x[1] - 0.2, 3 - x[1], x[2] + 5, 5 - x[2]}) {
      EXPECT_GE(one, 0);
    }
    return (x[0] - 2) * (x[0] - 2) + (x[1] + x[0]) * (x[1] + x[0]) + (x[2] - x[0]) * (x[2] - x[0]);
  };
  // On the face x0 = .5, x1 = .2 the rest is free: x2 = x0.
  vector x{-0.5, 2, 3};
  const auto r = zo::minimize(zo::seq, f, x, zo::inside(bounds, zo::cge({.smoothing = 1e-6})),
                              zo::lbfgs({.bounds = bounds}), {.max_queries = 400});
  EXPECT_EQ(x[0], 0.5);
  EXPECT_EQ(x[1], 0.2);
  EXPECT_NEAR(x[2], 0.5, 1e-4);
  EXPECT_EQ(r.why, zo::status::converged);
}

// Answers with noise that no repetition shows again. Standard deviation: sigma.
struct noisy_bowl {
  double sigma;
  mutable std::atomic<std::uint64_t> asked{0};
  explicit noisy_bowl(double of) : sigma(of) {}
  static double exact(std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += (1 + static_cast<double>(i)) * (x[i] - 1) * (x[i] - 1);
    }
    return sum;
  }
  double operator()(std::span<const double> x) const {
    vector one(1);
    zo::fill_direction(zo::gaussian{}, {9, ++asked, 0, zo::purpose::direction},
                       std::span<double>(one));
    return exact(x) + sigma * one[0];
  }
};

TEST(lbfgs, allows_for_noise_that_the_estimator_finds) {
  const noisy_bowl f(1e-3);
  vector x(8, -2);
  const double before = noisy_bowl::exact(x);
  zo::minimize(zo::seq, f, x, zo::cge({.smoothing = zo::automatic}, zo::central{}), zo::lbfgs(),
               {.max_queries = 800});
  EXPECT_LT(noisy_bowl::exact(x), 1e-5 * before);
}

TEST(lbfgs, takes_answers_that_are_none_for_steps_too_long) {
  const auto f = [](std::span<const double> x) {
    return x[0] < 0.1 ? std::nan("") : x[0] - std::log(x[0] - 0.1);
  };
  vector x{4};
  const auto r = zo::minimize(zo::seq, f, x, zo::cge({.smoothing = 1e-6}),
                              zo::lbfgs({.first_length = 9}), {.max_queries = 200});
  EXPECT_NEAR(x[0], 1.1, 1e-5);
  EXPECT_EQ(r.why, zo::status::converged);
  EXPECT_GT(r.failed, 0);
}

TEST(lbfgs, does_not_take_a_gradient_with_holes_for_a_minimum) {
  const auto how = [](zo::on_failure then) {
    return zo::cge({.smoothing = 1e-4, .failures = then}, zo::central{});
  };
  // One coordinate fails now and then: the run goes on.
  index_t asked = 0;
  const auto now_and_then = [&](std::span<const double> x) {
    return ++asked % 7 == 3 ? std::nan("") : (x[0] - 1) * (x[0] - 1) + 9 * x[1] * x[1];
  };
  vector x{4, 3};
  auto r = zo::minimize(zo::seq, now_and_then, x, how(zo::on_failure::drop), zo::lbfgs(),
                        {.max_queries = 500});
  EXPECT_NEAR(x[0], 1, 1e-6);
  EXPECT_NEAR(x[1], 0, 1e-6);
  EXPECT_EQ(r.why, zo::status::converged);
  // It fails always: the other is at its minimum, and the run says why it ended.
  const auto always = [](std::span<const double> at) {
    return at[0] != 4 ? std::nan("") : at[1] * at[1];
  };
  vector y{4, 3};
  r = zo::minimize(zo::seq, always, y, how(zo::on_failure::drop), zo::lbfgs(),
                   {.max_queries = 500, .max_failed_steps = 3});
  EXPECT_NEAR(y[1], 0, 1e-6);
  EXPECT_EQ(r.why, zo::status::query_failed);
  EXPECT_EQ(r.skipped, 3);
  EXPECT_EQ(r.value, always(y));
}

TEST(lbfgs, refuses_what_it_cannot_do) {
  const auto said = [](const auto& call) { return complaint(call); };
  EXPECT_TRUE(contains(said([] { zo::lbfgs({.memory = 0}); }), "memory must be 1"));
  EXPECT_TRUE(contains(said([] { zo::lbfgs({.noise = -1.0}); }), "noise must be"));
  EXPECT_TRUE(contains(said([] { zo::lbfgs({.first_length = 0}); }), "first_length must be"));
  EXPECT_TRUE(contains(said([] { zo::lbfgs({.trials = 0}); }), "trials must be"));
  vector x(40, 1.0);
  EXPECT_TRUE(contains(said([&] {
                         zo::minimize(zo::seq, rosenbrock, x, zo::rge({.directions = 4}),
                                      zo::lbfgs(), {.max_queries = 100});
                       }),
                       "take zo::cge of all coordinates"));
  EXPECT_TRUE(contains(said([&] {
                         zo::minimize(zo::seq, rosenbrock, x, zo::cge(),
                                      zo::lbfgs({.bounds = zo::box({0, 1}, {1, 1})}),
                                      {.max_queries = 100});
                       }),
                       "zo::box: there must be bounds"));
}

}  // namespace
