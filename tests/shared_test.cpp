// A machine alone and machines of a team: the same answers, whoever asks. The team here is threads.
#include "zo/shared.hpp"

#include <barrier>
#include <mutex>
#include <thread>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::on_failure;
using namespace zo::detail;

// What the ranks have in common.
struct table {
  explicit table(int count) : ranks(count), together(count), thrown(std::size_t(count)) {}
  int ranks;
  std::barrier<> together;
  std::vector<double> values;
  std::vector<std::exception_ptr> thrown;
  std::mutex mutex;
  index_t agreed = 0;
};

class seat final : public team {
 public:
  seat(table& at, int rank) : at_(at), rank_(rank) {}
  int rank() const override { return rank_; }
  int ranks() const override { return at_.ranks; }
  void agree(const joint_call& call) override {
    std::vector<double> own{static_cast<double>(call.arguments >> 12)};
    const double mine = own[0];
    compare(mine, call.step, {});
    const std::lock_guard lock(at_.mutex);
    ++at_.agreed;
  }
  void exchange(std::span<double> values, std::span<const index_t> ends,
                const std::exception_ptr& thrown) override {
    if (rank_ == 0) at_.values.resize(values.size());
    at_.together.arrive_and_wait();
    const share_range mine = share_of(ends, rank_);
    std::copy_n(values.begin() + mine.first, mine.count(), at_.values.begin() + mine.first);
    at_.thrown[static_cast<std::size_t>(rank_)] = thrown;
    at_.together.arrive_and_wait();
    std::ranges::copy(at_.values, values.begin());
    rethrow();
  }
  void compare(double value, std::uint64_t, const std::exception_ptr& thrown) override {
    std::vector<double> all(static_cast<std::size_t>(at_.ranks));
    all[static_cast<std::size_t>(rank_)] = value;
    exchange(all, even_shares(at_.ranks, at_.ranks), thrown);
    for (const double one : all) {
      if (!same_bits(std::vector{one}, std::vector{all[0]})) throw std::logic_error("they differ");
    }
  }

 private:
  void rethrow() {
    std::exception_ptr first;
    for (const auto& one : at_.thrown) {
      if (!first) first = one;
    }
    at_.together.arrive_and_wait();
    if (first) std::rethrow_exception(first);
  }

  table& at_;
  int rank_;
};

struct seat_policy {
  seat* at;
  int threads() const { return 1; }
  zo::detail::team& team() const { return *at; }
};

// run(policy) in every rank; what they return.
template <class Run>
auto in_every_rank(int ranks, const Run& run) {
  table common(ranks);
  std::vector<decltype(run(seat_policy{}))> found(static_cast<std::size_t>(ranks));
  std::vector<std::thread> all;
  for (int r = 0; r < ranks; ++r) {
    all.emplace_back([&, r] {
      seat own(common, r);
      found[static_cast<std::size_t>(r)] = run(seat_policy{&own});
    });
  }
  for (std::thread& one : all) one.join();
  return found;
}

TEST(shared, alone_asks_everything_and_waits_for_nobody) {
  std::vector<double> answers(7);
  ask_all(nullptr, answers, [](index_t first, std::span<double> mine) {
    EXPECT_EQ(first, 0);
    EXPECT_EQ(mine.size(), 7u);
  });
  EXPECT_EQ(ask_everywhere(nullptr, 3, [] { return 5.0; }), 5);
  EXPECT_TRUE(any_says(nullptr, [] { return true; }));
  EXPECT_FALSE(any_says(nullptr, [] { return false; }));
  EXPECT_EQ(ranks_of(nullptr), 1);
  agree_on_estimate<double>(
      nullptr, 1, 1, [](fingerprint&) { FAIL(); }, {}, [] { return std::uint64_t{0}; });
}

TEST(shared, a_team_has_all_answers_and_all_queries) {
  for (const int ranks : {1, 2, 3, 5}) {
    const auto found = in_every_rank(ranks, [](const seat_policy& at) {
      std::vector<double> answers(11, -1);
      ask_all(team_of(at), answers, [](index_t first, std::span<double> mine) {
        for (double& one : mine) {
          one = static_cast<double>(first * (first + 1));
          ++first;
        }
      });
      const std::vector<index_t> coordinates{4, 0, 9, 2, 7};
      const std::vector<double> steps{1, 2, 3, 4, 5};
      std::vector<double> rises(5);
      const index_t made = probe_all<double>(
          team_of(at), coordinates, steps, rises,
          [](index_t i) { return static_cast<double>(1 + i); },
          [](std::span<const index_t> these, std::span<const double> by, std::span<double> to) {
            for (std::size_t k = 0; k < these.size(); ++k) {
              to[k] = 100 * static_cast<double>(these[k]) + by[k];
            }
            return static_cast<index_t>(these.size() / 2);  // two for the price of one
          });
      answers.insert(answers.end(), rises.begin(), rises.end());
      answers.push_back(static_cast<double>(made));
      answers.push_back(any_says(team_of(at), [&] { return at.team().rank() == 1; }));
      return answers;
    });
    for (const auto& one : found) {
      for (std::size_t k = 0; k < 11; ++k) EXPECT_EQ(one[k], static_cast<double>(k * (k + 1)));
      EXPECT_EQ(std::vector<double>(one.begin() + 11, one.begin() + 16),
                (std::vector<double>{401, 2, 903, 204, 705}));
      EXPECT_EQ(one[16], found[0][16]);
      EXPECT_LE(one[16], 2);
      EXPECT_EQ(one[17], ranks > 1 ? 1 : 0);
    }
  }
}

// Whole runs: points, probes, rows, failures, and values that are known.
template <class Call>
void expect_one_result(const Call& call) {
  const auto alone = call(zo::seq);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const auto& one : in_every_rank(ranks, call)) EXPECT_TRUE(same_bits(one, alone)) << ranks;
  }
}

TEST(shared, runs_have_the_bits_of_one_process) {
  const auto x = ramp<double>(13);
  const auto run = [&](auto make, const auto& how, const zo::minimize_options& options) {
    return [&x, make, &how, options](const auto& policy) {
      auto y = x;
      std::atomic<index_t> count{0};
      auto f = make(count);
      const auto r = zo::minimize(policy, f, y, how, zo::adam({.rate = 0.1}), options);
      for (const double one : {r.value, r.best, double(r.queries), double(r.failed),
                               double(r.skipped), double(r.steps), double(r.next_step)}) {
        y.push_back(one);
      }
      return y;
    };
  };
  const auto points = [](std::atomic<index_t>& count) { return scalar_form<double>{&count}; };
  const auto probes = [](std::atomic<index_t>& count) { return coordinate_form<double>{&count}; };
  const auto fails = [](std::atomic<index_t>&) {
    return [](std::span<const double> v) {
      if (std::sin(1e4 * v[3]) > 0.5) throw std::runtime_error("no answer");
      return smooth_loss(v);
    };
  };
  const zo::rge random({.directions = 5, .failures = on_failure::drop}, zo::sphere{});
  const zo::cge coordinates({.failures = on_failure::drop}, zo::central{});
  expect_one_result(run(points, random, {.max_queries = 100, .return_best = true}));
  expect_one_result(run(points, coordinates, {.max_queries = 300, .target = 1.0}));
  expect_one_result(run(probes, coordinates, {.max_queries = 300}));
  expect_one_result(run(fails, random, {.max_queries = 200, .return_best = true}));
  expect_one_result(run(fails, coordinates, {.max_queries = 300}));
  const zo::cge chosen({.smoothing = zo::automatic, .failures = on_failure::drop});
  expect_one_result(run(points, chosen, {.max_queries = 300}));
  expect_one_result(run(fails, chosen, {.max_queries = 300}));
}

TEST(shared, known_values_and_rows_are_those_of_one_process) {
  const auto z = ramp<double>(3 * 7);
  const std::vector<double> known{1, 2, 3};
  for (const bool knows : {false, true}) {
    expect_one_result([&](const auto& policy) {
      const auto r = zo::boundary(
          policy,
          [](std::span<const double> v, index_t row) { return smooth_loss(v) + double(row); },
          zo::points<double>{z, 3, 7}, zo::rge({.directions = 2}),
          {.known_values = knows ? std::span<const double>(known) : std::span<const double>()});
      auto all = r.gradients;
      all.insert(all.end(), r.losses.begin(), r.losses.end());
      all.push_back(static_cast<double>(r.queries));
      return all;
    });
  }
}

TEST(shared, what_differs_between_processes_is_noticed) {
  const auto said = in_every_rank(2, [](const seat_policy& at) {
    const std::vector<double> known(1, at.at->rank() == 0 ? 1.0 : 2.0), x(3, 1.0);
    std::vector<double> g(3);
    try {
      zo::estimate(at, smooth_loss<double>, x, g, zo::rge(), {.known_values = known});
    } catch (const std::logic_error& error) {
      return std::string(error.what());
    }
    return std::string();
  });
  EXPECT_EQ(said, (std::vector<std::string>{"they differ", "they differ"}));
}

// The text of an exception is known where it was thrown; that a query failed, everywhere.
TEST(shared, failures_are_reported_everywhere) {
  const auto found = in_every_rank(3, [](const seat_policy& at) {
    const auto x = ramp<double>(4);
    std::vector<double> g(4);
    const auto f = [&](std::span<const double> v) {
      if (v[0] > x[0]) throw std::runtime_error("in rank " + std::to_string(at.at->rank()));
      return smooth_loss(v);
    };
    const auto r = zo::estimate(at, f, x, g, zo::cge({.failures = on_failure::drop}));
    return std::pair(r.failure->why, r.failure->point);
  });
  int texts = 0;
  for (const auto& [why, point] : found) {
    EXPECT_EQ(point, found[0].second);
    texts += contains(why, "in rank ") ? 1 : 0;
    EXPECT_TRUE(contains(why, "in rank ") || why == "the answer is nan") << why;
  }
  EXPECT_EQ(texts, 1);
}

}  // namespace
