// Logs of runs: whoever begins again with one, cut at any byte, ends where an uninterrupted run
// ends, and asks only what was not answered.
#include "zo/journal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>

#include "logs.hpp"

namespace {

using namespace testing_zo;

// Fails in a third of the points: by an exception, or by NaN.
struct fragile_bowl {
  std::atomic<index_t>& asked;
  double operator()(std::span<const double> x) const {
    ++asked;
    double sum = 0;
    for (const double one : x) sum += (one - 1) * (one - 1);
    const auto kind = static_cast<int>(std::fabs(x[0]) * 1e6) % 6;
    if (kind == 0) throw std::runtime_error("no licence\n at \"" + std::to_string(x[0]) + "\"");
    if (kind == 1) return std::nan("");
    return sum;
  }
};

const zo::failure_options drops{.then = zo::on_failure::drop};

template <class How, class Run>
void expect_to_go_on_from(const How& how, const Run& run, std::size_t every) {
  log_file kept;
  std::atomic<index_t> asked{0};
  auto x = ramp<double>(3);
  const auto whole = [&] {
    zo::journal log(kept.name());
    return run(fragile_bowl{asked}, x, how, &log);
  }();
  EXPECT_EQ(whole.queries, asked);
  const std::string text = kept.text();
  ASSERT_GT(whole.steps, 1u);

  for (std::size_t cut = 0; cut <= text.size(); cut += every) {
    kept.write(text.substr(0, cut));
    asked = 0;
    auto again = ramp<double>(3);
    zo::journal log(kept.name());
    const auto result = run(fragile_bowl{asked}, again, how, &log);
    ASSERT_EQ(x, again) << "cut at " << cut;
    expect_same(whole, result);
    index_t answered = 0;
    const auto entries = zo::read_journal(kept.name()).entries;
    for (const auto& entry : entries) answered += entry.queries;
    ASSERT_EQ(answered, whole.queries);
    index_t unknown = 0;
    for (std::size_t k = entries.size();
         k > entries.size() - static_cast<std::size_t>(log.recorded());) {
      unknown += entries[--k].queries;
    }
    ASSERT_EQ(asked, unknown) << "cut at " << cut;
  }
}

TEST(journal, goes_on_from_any_byte) {
  const auto run = [](auto f, auto& x, const auto& how, zo::journal* log) {
    return zo::minimize(zo::seq, f, x, how, zo::adam({.rate = 0.1}),
                        {.max_queries = 24, .seed = 3, .log = log});
  };
  expect_to_go_on_from(zo::rge({.directions = 4, .failures = drops}), run, 1);
}

TEST(journal, goes_on_under_every_estimator_policy_and_failure_policy) {
  const auto run = [](auto f, auto& x, const auto& how, zo::journal* log) {
    return zo::minimize(zo::par.with_threads(3), f, x, how, zo::adam({.rate = 0.1}),
                        {.max_queries = 60, .seed = 3, .return_best = true, .log = log});
  };
  const auto with = [](zo::on_failure then) {
    return zo::failure_options{.then = then, .retries = 1, .penalty = 50, .replacements = 2};
  };
  for (const auto then :
       {zo::on_failure::drop, zo::on_failure::replace, zo::on_failure::penalise}) {
    expect_to_go_on_from(zo::rge({.directions = 5, .failures = with(then)}), run, 97);
    expect_to_go_on_from(zo::cge({.smoothing = 1e-3, .failures = with(then)}, zo::central{}), run,
                         97);
  }
}

TEST(journal, goes_on_with_workers) {
  const auto run = [](auto f, auto& x, const auto& how, zo::journal* log) {
    return zo::minimize_async(f, x, how, zo::adam({.rate = 0.1}),
                              {.max_queries = 60, .seed = 3, .log = log}, {.workers = 3});
  };
  expect_to_go_on_from(zo::rge({.directions = 5, .failures = drops}), run, 61);
  const zo::failure_options again{.then = zo::on_failure::drop, .retries = 2};
  expect_to_go_on_from(zo::rge({.directions = 5, .failures = again}), run, 61);
}

TEST(journal, goes_on_with_batches_and_samples_and_floats) {
  struct batch {
    std::atomic<index_t>& asked;
    void operator()(zo::points<float> points, std::span<double> losses, zo::sample_id s) const {
      for (index_t k = 0; k < points.count; ++k) {
        ++asked;
        const double first = static_cast<double>(points[k][0]);
        losses[static_cast<std::size_t>(k)] =
            static_cast<int>(std::fabs(first) * 1e5) % 5 == 0
                ? std::nan("")
                : (first - 1) * (first - 1) + static_cast<double>(s % 3);
      }
    }
  };
  log_file kept;
  std::atomic<index_t> asked{0};
  const auto run = [&](std::vector<float>& x, zo::journal* log) {
    return zo::minimize(
        zo::par, batch{asked}, x,
        zo::rge({.directions = 6,
                 .failures = zo::failure_options{.then = zo::on_failure::drop, .retries = 2}}),
        zo::sgd({.rate = 0.05}), {.max_queries = 90, .seed = 3, .chunk_bytes = 40, .log = log});
  };
  std::vector<float> x(4, 0.5F);
  const auto whole = [&] {
    zo::journal log(kept.name());
    return run(x, &log);
  }();
  EXPECT_EQ(whole.queries, asked);
  EXPECT_GT(whole.failed, 0);
  const std::string text = kept.text();
  for (std::size_t cut = 0; cut <= text.size(); cut += 131) {
    kept.write(text.substr(0, cut));
    std::vector<float> again(4, 0.5F);
    zo::journal log(kept.name());
    expect_same(whole, run(again, &log));
    ASSERT_EQ(x, again);
  }
}

TEST(journal, says_whether_a_step_was_made_before) {
  log_file kept;
  std::vector<bool> recalled;
  const auto run = [&](index_t budget) {
    recalled.clear();
    std::vector<double> x(2, 0.0);
    zo::journal log(kept.name());
    const auto f = [](std::span<const double> at) { return at[0] * at[0] + at[1]; };
    zo::minimize(zo::seq, f, x, zo::cge(), zo::sgd(),
                 {.max_queries = budget,
                  .on_step =
                      [&](const zo::step_report& report) {
                        recalled.push_back(report.recalled);
                        return zo::verdict::go_on;
                      },
                  .log = &log});
  };
  run(7);
  EXPECT_EQ(recalled, (std::vector<bool>{false, false}));
  run(13);  // f at the end of the run before is the first answer of the third step
  EXPECT_EQ(recalled, (std::vector<bool>{true, true, false, false}));
}

TEST(journal, keeps_what_was_asked_and_answered) {
  log_file kept;
  std::vector<double> x(2, 0.1);
  const auto f = [](std::span<const double> at) {
    if (at[1] > 0.2) throw std::runtime_error("hot \xff");
    return at[0] / 3 + at[1];
  };
  {
    zo::journal log(kept.name(), {.settings = R"({ "unit" : "mm" })"});
    EXPECT_FALSE(log.goes_on());
    zo::minimize(zo::seq, f, x, zo::cge({.smoothing = 0.25, .failures = drops}), zo::sgd(),
                 {.max_queries = 4, .seed = 9, .log = &log});
    EXPECT_EQ(log.recorded(), 4);
  }
  const auto all = zo::read_journal(kept.name());
  EXPECT_EQ(all.settings, R"({"unit":"mm"})");
  EXPECT_EQ(all.seed, 9u);
  EXPECT_EQ(all.start, (std::vector<double>{0.1, 0.1}));
  ASSERT_EQ(all.entries.size(), 4u);
  EXPECT_EQ(all.entries[0].answer, 0.1 / 3 + 0.1);
  EXPECT_EQ(all.entries[1].point, (std::vector<double>{0.35, 0.1}));
  EXPECT_EQ(all.entries[2].failure, "hot \xEF\xBF\xBD");  // what is no UTF-8 is marked
  EXPECT_TRUE(std::isnan(all.entries[2].answer));
  EXPECT_EQ(all.entries[3].step, 1u);
  EXPECT_GE(all.entries[3].seconds, 0);
  EXPECT_GT(all.entries[3].at, 1.7e9);
  zo::journal log(kept.name(), {.settings = R"({"unit":"inch"})"});
  EXPECT_TRUE(log.goes_on());
  EXPECT_EQ(log.settings(), R"({"unit":"mm"})");
}

TEST(journal, keeps_values_as_a_space_says_them) {
  const zo::space wing(
      {{.name = "rate", .lower = 1e-4, .upper = 1, .start = 1e-2, .scale = zo::scale::log},
       {.name = "flaps", .lower = 0, .upper = 4, .start = 3, .whole = true}});
  log_file kept;
  std::vector<std::vector<double>> asked;
  const auto f = wing.objective([&](std::span<const double> values) {
    asked.push_back(copy_of(values));
    return values[0] + values[1];
  });
  std::vector<double> x = wing.start();
  {
    zo::journal log(kept.name(), {.values = [&](std::span<const double> point, std::uint64_t step) {
                      return wing.values(point, step);
                    }});
    zo::minimize(zo::seq, f, x, zo::inside(wing.bounds(), zo::cge({.smoothing = 0.13})),
                 zo::projected(zo::sgd({.rate = 0.01}), wing.bounds()),
                 {.max_queries = 20, .log = &log});
  }
  const auto entries = zo::read_journal(kept.name()).entries;
  ASSERT_EQ(entries.size(), asked.size());
  for (std::size_t k = 0; k < asked.size(); ++k) EXPECT_EQ(entries[k].values, asked[k]);
}

TEST(journal, knows_long_points_by_their_sum) {
  log_file kept;
  const auto run = [&](double start) {
    std::vector<double> x(100, start);
    zo::journal log(kept.name());
    const auto f = [](std::span<const double> at) { return at[0]; };
    zo::minimize(zo::seq, f, x, zo::rge({.directions = 3}), zo::sgd(),
                 {.max_queries = 20, .log = &log});
    return log.recorded();
  };
  EXPECT_EQ(run(0.5), 17);
  EXPECT_TRUE(zo::read_journal(kept.name()).entries[0].point.empty());
  EXPECT_EQ(run(0.5), 0);
}

TEST(journal, takes_answers_that_were_told_in_any_order) {
  const auto how = zo::rge({.directions = 4, .failures = drops});
  const zo::adam rule({.rate = 0.1});
  std::atomic<index_t> asked{0};
  const fragile_bowl f{asked};
  auto x = ramp<double>(3);
  const auto whole = zo::minimize(zo::seq, f, x, how, rule, {.max_queries = 40, .seed = 1});

  log_file kept;
  std::mt19937 random(5);
  zo::minimize_result result;
  std::vector<double> last;
  for (bool over = false; !over;) {  // a program that tells a few answers and ends
    zo::journal log(kept.name());
    zo::ask<double> run(ramp<double>(3), how, rule, {.max_queries = 40, .seed = 1, .log = &log});
    const auto questions = run.ask(100);
    std::vector<index_t> order;
    for (index_t k = 0; k < questions.size(); ++k) order.push_back(k);
    std::ranges::shuffle(order, random);
    order.resize(std::min<std::size_t>(order.size(), 2));
    for (const index_t k : order) {
      try {
        run.tell(questions[k].id, f(questions[k].point));
      } catch (const std::runtime_error& error) {
        run.tell_failed(questions[k].id, error.what());
      }
    }
    over = run.over();
    result = run.result();
    last = copy_of(run.x());
  }
  EXPECT_EQ(x, last);
  EXPECT_EQ(whole.queries, result.queries);
  EXPECT_EQ(whole.value, result.value);
  EXPECT_EQ(asked, 2 * whole.queries);

  const auto again = zo::replay<double>(kept.name(), how, rule, {.max_queries = 40});
  EXPECT_EQ(again.x, x);
  EXPECT_TRUE(again.over);
  expect_same(again.result, result);
}

// Which answers were in time depends on the clock; the log knows.
TEST(journal, goes_on_after_estimates_that_were_closed_early) {
  log_file kept;
  const auto how = zo::rge({.directions = 8});
  const auto f = [](std::span<const double> at) {
    if (static_cast<int>(std::fabs(at[0]) * 1e6) % 3 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return at[0] * at[0] + at[1] * at[1];
  };
  std::vector<double> x(2, 1.0);
  zo::minimize_result result;
  {
    zo::journal log(kept.name());
    result = zo::minimize_async(f, x, how, zo::sgd({.rate = 0.05}),
                                {.max_queries = 200, .log = &log}, {.workers = 4, .answers = 6});
  }
  EXPECT_NE(kept.text().find("\"late\""), std::string::npos);
  const auto again =
      zo::replay<double>(kept.name(), how, zo::sgd({.rate = 0.05}), {.max_queries = 200});
  EXPECT_EQ(again.x, x);
  expect_same(again.result, result);
}

TEST(journal, rebuilds_x_from_part_of_a_log) {
  log_file kept;
  const auto how = zo::cge();
  std::vector<std::vector<double>> path;
  const auto f = [](std::span<const double> at) { return at[0] * at[0] + at[1] * at[1]; };
  std::vector<double> x{1, 2};
  {
    zo::journal log(kept.name());
    zo::minimize(zo::seq, f, x, how, zo::sgd({.rate = 0.1}),
                 {.max_queries = 31,
                  .on_step =
                      [&](const zo::step_report& report) {
                        path.push_back(copy_of(report.x.as<double>()));
                        return zo::verdict::go_on;
                      },
                  .log = &log});
  }
  const auto lines = lines_of(kept.text());
  std::string part = lines[0];
  for (std::size_t k = 1; k < lines.size(); ++k) {
    part += lines[k];
    if (k % 3 != 0) continue;
    kept.write(part);
    const auto so_far =
        zo::replay<double>(kept.name(), how, zo::sgd({.rate = 0.1}), {.max_queries = 31});
    EXPECT_EQ(so_far.x, path[k / 3 - 1]);
    EXPECT_FALSE(so_far.over);
    EXPECT_EQ(kept.text(), part);
  }
}

}  // namespace
