// Failed queries: NaN, infinities and exceptions under both policies, for every kind of objective.
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <numeric>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::forward;
using zo::index_t;
using zo::on_failure;
using zo::rge;

constexpr index_t dimension = 6;

enum class fault { not_a_number, infinite, minus_infinite, exception };
const fault all_faults[] = {fault::not_a_number, fault::infinite, fault::minus_infinite,
                            fault::exception};

double fail(fault how) {
  if (how == fault::exception) throw std::runtime_error("query " + std::string("failed"));
  return how == fault::not_a_number ? not_a_number : how == fault::infinite ? infinity : -infinity;
}

/// Fails on the candidates whose number is in `bad` (asked in order: seq).
struct failing {
  std::vector<index_t> bad;
  fault how;
  index_t asked = 0;
  double operator()(std::span<const double> x) {
    if (std::ranges::count(bad, asked++) > 0) return fail(how);
    return smooth_loss(x);
  }
};

template <class How>
std::pair<zo::estimate_result, std::vector<double>> run(failing f, const How& how) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size(), 77);
  const auto r = zo::estimate(zo::seq, f, x, g, how, {.seed = 2, .step = 5});
  EXPECT_EQ(r.queries, f.asked == 0 ? r.queries : f.asked);
  return {r, g};
}

double loss(const std::vector<double>& x) { return smooth_loss(std::span<const double>(x)); }

// The mean over the directions that are left, from the reference formula.
template <class D>
std::vector<double> expected_mean(D d, std::vector<std::uint32_t> numbers, bool both) {
  std::vector<std::vector<double>> us;
  for (const auto k : numbers) us.push_back(direction<double>(d, {2, 5, k}, dimension));
  return reference::rge(loss, ramp<double>(dimension), us, D::scale(dimension), 1e-3, both);
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-9 * (1 + std::abs(expected[i])));
  }
}

TEST(drop, leaves_the_mean_over_the_good_directions) {
  const rge how({.directions = 4, .failures = on_failure::drop});
  for (const fault what : all_faults) {
    const auto [r, g] = run({{2, 4}, what}, how);  // query 0 is f(x): directions 1 and 3 fail
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.queries, 5);
    EXPECT_EQ(r.failed, 2);
    expect_near(g, expected_mean(zo::gaussian{}, {0, 2}, false));
  }
}

TEST(drop, a_direction_fails_when_either_side_does) {
  const rge how({.directions = 4, .failures = on_failure::drop}, zo::sphere{}, central{});
  for (const fault what : all_faults) {
    const auto [r, g] = run({{0, 5}, what}, how);  // the upper side of 0, the lower of 2
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.queries, 8);
    EXPECT_EQ(r.failed, 2);
    expect_near(g, expected_mean(zo::sphere{}, {1, 3}, true));
    EXPECT_TRUE(std::isfinite(r.value)) << "the mean of the good answers";
  }
}

TEST(drop, leaves_failed_coordinates_at_zero) {
  const auto x = ramp<double>(dimension);
  const auto ahead = reference::cge(loss, x, 1e-3, false);
  const auto both = reference::cge(loss, x, 1e-3, true);
  for (const fault what : all_faults) {
    const auto [r, g] = run({{1, 4}, what}, cge({.failures = on_failure::drop}));
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.failed, 2);
    for (std::size_t i = 0; i < g.size(); ++i) {
      EXPECT_NEAR(g[i], i == 0 || i == 3 ? 0.0 : ahead[i], 1e-9);
    }
    const auto [rc, gc] = run({{1, 4}, what}, cge({.failures = on_failure::drop}, central{}));
    EXPECT_TRUE(rc.ok);
    for (std::size_t i = 0; i < gc.size(); ++i) {
      EXPECT_NEAR(gc[i], i == 0 || i == 2 ? 0.0 : both[i], 1e-9);
    }
  }
}

TEST(drop, a_failed_base_point_or_no_survivor_gives_no_estimate) {
  const std::vector<double> zeros(dimension, 0.0);
  for (const fault what : all_faults) {
    for (const auto& [r, g] :
         {run({{0}, what}, rge({.directions = 3, .failures = on_failure::drop})),
          run({{0}, what}, cge({.failures = on_failure::drop})),
          run({{1, 2, 3}, what}, rge({.directions = 3, .failures = on_failure::drop})),
          run({{0, 3}, what},
              rge({.directions = 2, .failures = on_failure::drop}, zo::gaussian{}, central{}))}) {
      EXPECT_FALSE(r.ok);
      EXPECT_TRUE(same_bits(g, zeros));
    }
  }
}

TEST(stop, an_infinite_or_nan_answer_fails_the_estimate) {
  const std::vector<double> zeros(dimension, 0.0);
  for (const fault what : {fault::not_a_number, fault::infinite, fault::minus_infinite}) {
    for (const index_t bad : {0, 1, 2}) {
      for (const auto& [r, g] :
           {run({{bad}, what}, rge({.directions = 3})),
            run({{bad}, what}, rge({.directions = 3}, zo::rademacher{}, central{})),
            run({{bad}, what}, cge()), run({{bad}, what}, cge({}, central{}))}) {
        EXPECT_FALSE(r.ok);
        EXPECT_EQ(r.failed, 1);
        EXPECT_TRUE(same_bits(g, zeros));
      }
    }
  }
}

TEST(stop, an_exception_reaches_the_caller) {
  for (const index_t bad : {0, 1, 2}) {
    EXPECT_THROW(run({{bad}, fault::exception}, rge({.directions = 3})), std::runtime_error);
    EXPECT_THROW(run({{bad}, fault::exception}, cge({}, central{})), std::runtime_error);
  }
}

// A finite answer can still give a slope that no number holds; "stop" must not drop it in silence.
TEST(stop, an_overflowing_slope_fails_the_estimate) {
  const std::vector<double> x{1.0, 2.0};
  std::vector<double> g(2);
  auto huge = [](std::span<const double> v) { return v[1] != 2.0 ? 1e308 : 0.0; };
  EXPECT_FALSE(zo::estimate(zo::seq, huge, x, g, cge({.smoothing = 1e-6})).ok);
  EXPECT_FALSE(zo::estimate(zo::seq, huge, x, g, rge({.directions = 2, .smoothing = 1e-6})).ok);
  const auto dropped =
      zo::estimate(zo::seq, huge, x, g, cge({.smoothing = 1e-6, .failures = on_failure::drop}));
  EXPECT_TRUE(dropped.ok);
  EXPECT_EQ(g, (std::vector<double>{0, 0}));
}

TEST(drop, does_not_swallow_what_is_not_a_std_exception) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  auto f = [](std::span<const double>) -> double { throw 42; };
  for (const int threads : {1, 3}) {
    EXPECT_THROW(
        zo::estimate(zo::par.with_threads(threads), f, x, g, rge({.failures = on_failure::drop})),
        int);
  }
}

// ---- batches

TEST(batch, a_forgotten_answer_is_a_failed_query) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  auto forgets = [](zo::points<double> at, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) {
      if (k == 3) continue;  // f(x) is 0: direction 2
      losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
    }
  };
  const auto r =
      zo::estimate(zo::seq, forgets, x, g, rge({.directions = 4, .failures = on_failure::drop}),
                   {.seed = 2, .step = 5});
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.failed, 1);
  expect_near(g, expected_mean(zo::gaussian{}, {0, 1, 3}, false));
  EXPECT_FALSE(zo::estimate(zo::seq, forgets, x, g, rge({.directions = 4})).ok);
}

TEST(batch, an_exception_drops_its_chunk_only) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  index_t calls = 0;
  auto throws_once = [&](zo::points<double> at, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
    // f(x) and direction 0, then 1 and 2, then 3 and 4
    if (++calls == 3) throw std::runtime_error("chunk lost");
  };
  const index_t two_candidates = 2 * dimension * index_t{sizeof(double)};
  const auto r =
      zo::estimate(zo::seq, throws_once, x, g, rge({.directions = 6, .failures = on_failure::drop}),
                   {.seed = 2, .step = 5, .chunk_bytes = two_candidates});
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.queries, 7);
  EXPECT_EQ(r.failed, 2);
  expect_near(g, expected_mean(zo::gaussian{}, {0, 1, 2, 5}, false));
}

// ---- probes

struct failing_probe {
  fault how = fault::not_a_number;
  bool in_prepare = false;
  index_t bad = -1;  // coordinate whose difference fails
  double prepare(std::span<const double>, zo::sample_id) { return in_prepare ? fail(how) : 1.0; }
  void probe(std::span<const index_t> coordinates, std::span<const double> steps,
             std::span<double> differences) {
    for (std::size_t k = 0; k < steps.size(); ++k) {
      differences[k] = coordinates[k] == bad ? fail(how) : 2 * steps[k];
    }
  }
};

TEST(probes, failures_follow_the_policy) {
  const std::vector<double> x(4, 1.0);
  std::vector<double> g(4, 77);
  const auto ask = [&](failing_probe f, on_failure failures) {
    g.assign(4, 77);
    return zo::estimate(zo::seq, f, x, g, cge({.smoothing = 0.125, .failures = failures}));
  };
  for (const fault what : {fault::not_a_number, fault::infinite}) {
    auto r = ask({what, false, 2}, on_failure::drop);
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.failed, 1);
    EXPECT_EQ(g, (std::vector<double>{2, 2, 0, 2}));
    r = ask({what, false, 2}, on_failure::stop);
    EXPECT_FALSE(r.ok);
    EXPECT_EQ(g, (std::vector<double>{0, 0, 0, 0}));
    r = ask({what, true, -1}, on_failure::drop);
    EXPECT_FALSE(r.ok);
    EXPECT_EQ(r.queries, 1);
  }
  EXPECT_THROW(ask({fault::exception, false, 2}, on_failure::stop), std::runtime_error);
  EXPECT_THROW(ask({fault::exception, true, -1}, on_failure::stop), std::runtime_error);
  const auto r = ask({fault::exception, false, 2}, on_failure::drop);  // the call's probes are lost
  EXPECT_FALSE(r.ok);
  EXPECT_EQ(r.failed, 4);
  EXPECT_FALSE(ask({fault::exception, true, -1}, on_failure::drop).ok);
}

// ---- threads

// Known fault elsewhere: "NOMAD …: in parallel, with failures": the candidates that fail are known
// by their values, so that the result must not depend on which thread asks them.
TEST(drop, gives_the_same_bits_for_every_number_of_threads) {
  const auto x = ramp<double>(dimension);
  std::atomic<index_t> asked{0};
  auto f = [&](std::span<const double> v) {
    ++asked;
    if (v[0] > x[0] && v[1] > x[1]) throw std::runtime_error("no answer there");
    return smooth_loss(v);
  };
  const rge how({.directions = 64, .failures = on_failure::drop});
  std::vector<double> expected(x.size()), g(x.size());
  const auto first = zo::estimate(zo::seq, f, x, expected, how);
  EXPECT_GT(first.failed, 0);
  for (const int threads : {1, 2, 4, 7}) {
    asked = 0;
    const auto r = zo::estimate(zo::par.with_threads(threads), f, x, g, how);
    EXPECT_EQ(r.queries, asked);
    EXPECT_EQ(r.failed, first.failed);
    EXPECT_TRUE(same_bits(g, expected));
  }
}

// ---- reports

// ---- more than to stop or to drop

using zo::failure_options;

/// Fails the first `times` calls at each point, in whatever order and from whatever thread.
struct failing_at_first {
  int times;
  fault how;
  std::map<std::vector<double>, int> seen{};
  index_t made = 0;
  std::mutex mutex{};

  double operator()(std::span<const double> x) {
    const std::lock_guard lock(mutex);
    ++made;
    if (seen[{x.begin(), x.end()}]++ < times) return fail(how);
    return smooth_loss(x);
  }
  void operator()(zo::points<double> at, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = (*this)(at[k]);
  }
};
struct batch_failing_at_first {
  failing_at_first& f;
  void operator()(zo::points<double> at, std::span<double> losses) { f(at, losses); }
};
struct scalar_failing_at_first {
  failing_at_first& f;
  double operator()(std::span<const double> x) { return f(x); }
};

TEST(retries, ask_a_failed_point_again_and_change_no_bit) {
  const auto x = ramp<double>(dimension);
  std::vector<double> expected(x.size()), g(x.size());
  const auto place = zo::estimate_options{.seed = 2, .step = 5};
  for (const auto then : {on_failure::stop, on_failure::drop}) {
    const rge how({.directions = 4, .failures = failure_options{.then = then, .retries = 2}});
    zo::estimate(
        zo::seq, [](std::span<const double> at) { return smooth_loss(at); }, x, expected, how,
        place);
    for (const fault kind : all_faults) {
      for (const int threads : {1, 3}) {
        failing_at_first f{2, kind};
        const auto r = zo::estimate(zo::par.with_threads(threads), scalar_failing_at_first{f}, x, g,
                                    how, place);
        EXPECT_TRUE(r.ok);
        EXPECT_EQ(r.failed, 0);
        EXPECT_EQ(r.queries, 15);
        EXPECT_EQ(f.made, 15);
        EXPECT_EQ(g, expected);
      }
      // A batch that throws is asked again point by point: all of them have failed once.
      const bool throws = kind == fault::exception;
      failing_at_first f{throws ? 1 : 2, kind};
      const auto r = zo::estimate(zo::seq, batch_failing_at_first{f}, x, g, how, place);
      EXPECT_TRUE(r.ok);
      EXPECT_EQ(r.failed, 0);
      EXPECT_EQ(g, expected);
      EXPECT_EQ(r.queries, throws ? 5 + 5 + 4 : 15);
      EXPECT_EQ(f.made, throws ? 1 + 5 + 4 : 15);
    }
  }
}

TEST(retries, end_as_the_policy_says) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  const auto ask = [&](on_failure then, fault kind) {
    failing_at_first f{9, kind};
    const auto r = zo::estimate(
        zo::seq, scalar_failing_at_first{f}, x, g,
        rge({.directions = 4, .failures = failure_options{.then = then, .retries = 3}}), {});
    EXPECT_EQ(f.made, r.queries);
    return r;
  };
  EXPECT_EQ(ask(on_failure::stop, fault::infinite).queries, 20);
  EXPECT_EQ(ask(on_failure::drop, fault::exception).failed, 5);
  EXPECT_THROW(ask(on_failure::stop, fault::exception), std::runtime_error);
}

TEST(retries, take_no_more_than_is_spare) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  for (const int threads : {1, 3}) {
    failing_at_first f{1, fault::exception};
    const auto r = zo::estimate(
        zo::par.with_threads(threads), scalar_failing_at_first{f}, x, g,
        rge({.directions = 9, .failures = failure_options{.then = on_failure::drop, .retries = 5}}),
        {.spare_queries = 4});
    EXPECT_EQ(r.queries, 14);
    EXPECT_EQ(f.made, 14);
    EXPECT_EQ(r.failed, 6);
  }
}

TEST(replacements, are_the_directions_that_follow) {
  const auto [r, g] =
      run({{2, 4}, fault::not_a_number}, rge({.directions = 4, .failures = on_failure::replace}));
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.failed, 2);
  EXPECT_EQ(r.queries, 7);
  expect_near(g, expected_mean(zo::gaussian{}, {0, 2, 4, 5}, false));
  // The first replacement fails too.
  const auto [again, h] =
      run({{2, 8}, fault::exception},
          rge({.directions = 4, .failures = on_failure::replace}, zo::sphere{}, zo::central{}));
  EXPECT_EQ(again.queries, 12);
  EXPECT_EQ(again.failed, 2);
  expect_near(h, expected_mean(zo::sphere{}, {0, 2, 3, 5}, true));
}

TEST(replacements, are_limited) {
  std::vector<index_t> all(100);
  std::iota(all.begin(), all.end(), index_t{1});
  const auto ask = [&](const failure_options& failures) {
    return run({all, fault::infinite}, rge({.directions = 4, .failures = failures})).first;
  };
  EXPECT_EQ(ask({.then = on_failure::replace}).queries, 9);
  EXPECT_EQ(ask({.then = on_failure::replace, .replacements = 3}).queries, 17);
  EXPECT_FALSE(ask({.then = on_failure::replace}).ok);
}

TEST(penalties, are_the_answers_of_failed_queries) {
  const auto penalised = [](std::span<const double> at) {
    const double value = smooth_loss(at);
    return at[0] > ramp<double>(dimension)[0] ? 50.0 : value;
  };
  const auto fails = [&](std::span<const double> at) {
    return at[0] > ramp<double>(dimension)[0] ? fail(fault::exception) : smooth_loss(at);
  };
  const auto x = ramp<double>(dimension);
  std::vector<double> expected(x.size()), g(x.size());
  const rge how(
      {.directions = 8, .failures = failure_options{.then = on_failure::penalise, .penalty = 50}});
  zo::estimate(zo::seq, penalised, x, expected, how);
  const auto r = zo::estimate(zo::seq, fails, x, g, how);
  EXPECT_TRUE(r.ok);
  EXPECT_GT(r.failed, 0);
  EXPECT_EQ(g, expected);
}

TEST(most_failed, ends_a_run) {
  index_t made = 0;
  const auto fails = [&](std::span<const double> at) {
    return made++ % 4 == 1 ? not_a_number : smooth_loss(at);
  };
  auto x = ramp<double>(dimension);
  const auto r =
      zo::minimize(zo::seq, fails, x,
                   rge({.directions = 3,
                        .failures = failure_options{.then = on_failure::drop, .most_failed = 10}}),
                   zo::sgd({.rate = 1e-3}), {.max_queries = 1000});
  EXPECT_EQ(r.why, zo::status::too_many_failed);
  EXPECT_EQ(r.failed, 11);
  EXPECT_EQ(r.queries, made);
}

TEST(failure_options, refuse_what_is_none) {
  const auto said = [](const failure_options& options) {
    return complaint([&] {
      std::vector<double> x(2), g(2);
      zo::estimate(
          zo::seq, [](std::span<const double>) { return 0.0; }, x, g, rge({.failures = options}));
    });
  };
  EXPECT_TRUE(contains(said({.retries = -1}), "retries must be at least 0, got -1"));
  EXPECT_TRUE(contains(said({.wait = std::chrono::milliseconds(-5)}), "wait"));
  EXPECT_TRUE(contains(said({.penalty = infinity}), "penalty must be a number"));
  EXPECT_TRUE(contains(said({.replacements = -1}), "replacements must be"));
  EXPECT_TRUE(contains(said({.most_failed = -1}), "most_failed"));
  const std::vector<double> z(4, 0.5);
  const auto rows = [](std::span<const double>, index_t) { return 0.0; };
  EXPECT_TRUE(contains(complaint([&] {
                         zo::boundary(zo::seq, rows, zo::points<double>{z, 2, 2},
                                      rge({.failures = on_failure::replace}), {});
                       }),
                       "one row at a time"));
  const auto map = [](std::span<const double> at, std::span<double> y) { y[0] = at[0]; };
  EXPECT_TRUE(contains(
      complaint([&] { zo::jacobian(zo::seq, map, z, 1, cge({.failures = on_failure::penalise})); }),
      "zo::jacobian: here failures are stopped at or dropped"));
}

TEST(reports, name_the_first_failed_query_and_its_point) {
  const auto x = ramp<double>(dimension);
  const auto report = [&](const auto& how, auto f, const auto& policy) {
    std::vector<double> g(x.size());
    const auto r = zo::estimate(policy, f, x, g, how, {.seed = 2, .step = 5});
    EXPECT_GT(r.failed, 0);
    EXPECT_NE(r.failure, nullptr);
    return *r.failure;
  };
  // Two points fail: the text and the place are those of the lower query.
  const auto throws = [&](std::span<const double> v) {
    if (v[2] != x[2]) throw std::runtime_error("disk full");
    if (v[4] != x[4]) throw std::runtime_error("no licence");
    return smooth_loss(v);
  };
  for (const int threads : {1, 4}) {
    const auto found =
        report(cge({.failures = on_failure::drop}), throws, zo::par.with_threads(threads));
    EXPECT_EQ(found.why, "disk full");
    EXPECT_EQ(found.step, 5u);
    EXPECT_EQ(found.row, 0);
    auto where = x;
    where[2] += 1e-3;
    EXPECT_EQ(found.point, where);
  }
  const auto answers = [&](double what) {
    return [what](std::span<const double>) { return what; };
  };
  EXPECT_EQ(report(rge(), answers(not_a_number), zo::seq).why, "the answer is nan");
  EXPECT_EQ(report(rge(), answers(-infinity), zo::seq).why, "the answer is -inf");
  EXPECT_EQ(report(rge(), answers(infinity), zo::seq).point, x) << "f(x) itself";
  const auto lower = report(rge({}, zo::gaussian{}, central{}), answers(infinity), zo::seq);
  const auto u = direction<double>(zo::gaussian{}, {2, 5, 0}, dimension);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(lower.point[i], x[i] + 1e-3 * u[i], 1e-15);
}

TEST(reports, of_good_estimates_are_none_and_of_long_points_short) {
  std::vector<double> x(4096, 1.0), g(x.size());
  const auto report = [&](auto f) {
    return zo::estimate(zo::seq, f, x, g, rge({.failures = on_failure::drop})).failure;
  };
  EXPECT_EQ(report([](std::span<const double> v) { return v[0]; }), nullptr);
  EXPECT_EQ(report([](std::span<const double>) { return not_a_number; })->point.size(), 4096u);
  x.resize(4097);
  g.resize(4097);
  const auto found = report([](std::span<const double>) { return not_a_number; });
  EXPECT_TRUE(found->point.empty());
  EXPECT_EQ(found->why, "the answer is nan");
}

TEST(reports, of_probes_name_the_coordinate_by_its_step) {
  const std::vector<double> x(4, 1.0);
  std::vector<double> g(4);
  failing_probe f{fault::infinite, false, 2};
  const auto r = zo::estimate(zo::seq, f, x, g,
                              cge({.smoothing = 0.125, .failures = on_failure::drop}, central{}));
  EXPECT_EQ(r.failed, 2);
  ASSERT_NE(r.failure, nullptr);
  EXPECT_EQ(r.failure->why, "the answer is inf");
  EXPECT_EQ(r.failure->point, (std::vector<double>{1, 1, 1.125, 1}));
  failing_probe throws{fault::exception, true, -1};
  const auto prepared = zo::estimate(zo::seq, throws, x, g, cge({.failures = on_failure::drop}));
  ASSERT_NE(prepared.failure, nullptr);
  EXPECT_EQ(prepared.failure->why, "query failed");
  EXPECT_EQ(prepared.failure->point, x);
}

TEST(reports, of_a_chunk_that_threw_are_those_of_its_first_point) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  index_t calls = 0;
  auto f = [&](zo::points<double> at, std::span<double> losses) {
    if (++calls == 2) throw std::runtime_error("timeout");
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
  };
  const auto r = zo::estimate(zo::seq, f, x, g, cge({.failures = on_failure::drop}),
                              {.chunk_bytes = 3 * dimension * index_t{sizeof(double)}});
  ASSERT_NE(r.failure, nullptr);
  EXPECT_EQ(r.failure->why, "timeout");
  auto where = x;
  where[2] += 1e-3;  // f(x), 0 and 1 were the first call
  EXPECT_EQ(r.failure->point, where);
}

// ---- interrupts

TEST(interrupts, pass_every_policy_from_every_kind_of_objective) {
  const auto x = ramp<double>(dimension);
  std::vector<double> g(x.size());
  const zo::interrupted enough("ctrl-c");
  const auto point = [&](std::span<const double>) -> double { throw enough; };
  const auto batch = [&](zo::points<double>, std::span<double>) { throw enough; };
  struct {
    bool early;
    double prepare(std::span<const double>, zo::sample_id) {
      if (early) throw zo::interrupted("ctrl-c");
      return 1;
    }
    void probe(std::span<const index_t>, std::span<const double>, std::span<double>) {
      throw zo::interrupted("ctrl-c");
    }
  } early{true}, late{false};
  for (const auto failures : {on_failure::stop, on_failure::drop}) {
    const rge how({.directions = 3, .failures = failures});
    EXPECT_THROW(zo::estimate(zo::seq, point, x, g, how), zo::interrupted);
    EXPECT_THROW(zo::estimate(zo::par.with_threads(3), point, x, g, how), zo::interrupted);
    EXPECT_THROW(zo::estimate(zo::seq, batch, x, g, how), zo::interrupted);
    EXPECT_THROW(zo::estimate(zo::seq, early, x, g, cge({.failures = failures})), zo::interrupted);
    EXPECT_THROW(zo::estimate(zo::seq, late, x, g, cge({.failures = failures})), zo::interrupted);
  }
}

}  // namespace
