// The objective as a machine asks it: which points, in which rounds, and what is made of
// exceptions.
#include "zo/black_box.hpp"

#include <mutex>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::on_failure;
using namespace zo::detail;

// Candidate j is x with its first coordinate replaced by 10 + j.
class numbered final : public zo::point_source<double> {
 public:
  numbered(const std::vector<double>& x, index_t rows, bool copies)
      : x_(x), dimension_(static_cast<index_t>(x.size()) / rows), rows_(rows), copies_(copies) {}
  void write(index_t j, index_t at, index_t count, double* to) const override {
    const index_t row = candidate_of(j, rows_, 1).row;
    if (!copies_) std::copy_n(x_.data() + row * dimension_ + at, count, to);
    if (at == 0) to[0] = 10 + static_cast<double>(j);
  }
  bool moves_a_copy() const override { return copies_; }
  void restore(index_t, double* buffer) const override {
    if (copies_) buffer[0] = x_[0];
  }
  index_t worth_a_thread() const override { return 1; }

 private:
  const std::vector<double>& x_;
  index_t dimension_, rows_;
  bool copies_;
};

question_round<double> round_of(const std::vector<double>& x, const numbered& source, index_t rows,
                                bool base, index_t candidates) {
  return {x.data(), static_cast<index_t>(x.size()) / rows, rows, 1, base ? rows : 0, candidates,
          &source};
}

template <class F, class Policy>
struct asked {
  std::vector<double> answers;
  index_t queries = 0;
  std::string thrown;

  asked(const Policy& policy, F& f, const question_round<double>& round, index_t first,
        index_t count, on_failure failures = on_failure::stop, index_t chunk_bytes = 1 << 20)
      : answers(static_cast<std::size_t>(count), -1) {
    std::vector<double> buffer;
    std::vector<index_t> rows;
    local_black_box<double, F, Policy> box(policy, f, buffer, rows);
    zo::estimate_options options;
    options.chunk_bytes = chunk_bytes;
    box.begin(options, failures);
    box.ask(round, first, answers);
    queries = box.queries;
    for (index_t j = first; j < first + count && thrown.empty(); ++j) thrown = box.thrown.of(j);
  }
};

TEST(black_box, asks_the_point_and_its_candidates_in_one_round) {
  for (const bool copies : {false, true}) {
    const std::vector<double> x = ramp<double>(5000);  // more than a tile
    const numbered source(x, 1, copies);
    const auto round = round_of(x, source, 1, true, 9);
    std::vector<double> expected{x[0]};
    for (int j = 0; j < 9; ++j) expected.push_back(10 + j);
    const auto tells_first = [&](std::span<const double> v) {
      EXPECT_TRUE(std::equal(v.begin() + 1, v.end(), x.begin() + 1));
      return v[0];
    };
    index_t calls = 0;
    auto batch = [&](zo::points<double> at, std::span<double> losses) {
      ++calls;
      for (index_t k = 0; k < at.count; ++k) {
        losses[static_cast<std::size_t>(k)] = tells_first(at[k]);
      }
    };
    for (const int threads : {1, 2, 16}) {
      const auto policy = zo::par.with_threads(threads);
      EXPECT_EQ(asked(policy, tells_first, round, 0, 10).answers, expected);
      EXPECT_EQ(asked(policy, tells_first, round, 3, 4).answers,
                std::vector<double>(expected.begin() + 3, expected.begin() + 7));
      calls = 0;
      const asked all(policy, batch, round, 0, 10);
      EXPECT_EQ(all.answers, expected);
      EXPECT_EQ(all.queries, 10);
      EXPECT_EQ(calls, 1) << "one call";
      calls = 0;
      EXPECT_EQ(asked(policy, batch, round, 0, 10, on_failure::stop, 3 * 5000 * 8).answers,
                expected);
      EXPECT_EQ(calls, 4);
    }
  }
}

TEST(black_box, hands_rows_of_x_over_as_they_are) {
  const std::vector<double> x = ramp<double>(6);
  const numbered source(x, 1, false);
  const double* seen = nullptr;
  auto f = [&](std::span<const double> v) { return seen = v.data(), 1.0; };
  asked(zo::seq, f, round_of(x, source, 1, true, 3), 0, 4);
  EXPECT_NE(seen, x.data());
  asked(zo::seq, f, round_of(x, source, 1, true, 3), 0, 1);
  EXPECT_EQ(seen, x.data());
}

TEST(black_box, asks_single_rows_with_their_numbers) {
  const std::vector<double> z = ramp<double>(3 * 4);
  const numbered source(z, 3, false);
  std::mutex mutex;
  auto f = [&](std::span<const double> v, index_t row) {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(v.size(), 4u);
    EXPECT_EQ(v[1], z[static_cast<std::size_t>(4 * row + 1)]);
    return 100 * static_cast<double>(row) + v[0];
  };
  one_row_at_a_time<decltype(f)> rows{f};
  for (const int threads : {1, 3}) {
    EXPECT_EQ(
        asked(zo::par.with_threads(threads), rows, round_of(z, source, 3, true, 6), 0, 9).answers,
        (std::vector<double>{z[0], 100 + z[4], 200 + z[8], 10, 111, 212, 13, 114, 215}));
  }
}

TEST(black_box, remembers_what_the_lowest_question_threw) {
  const std::vector<double> x = ramp<double>(4);
  const numbered source(x, 1, true);
  auto f = [](std::span<const double> v) {
    if (v[0] > 11) throw std::runtime_error("at " + std::to_string(static_cast<int>(v[0])));
    return v[0];
  };
  for (const int threads : {1, 4}) {
    const asked all(zo::par.with_threads(threads), f, round_of(x, source, 1, false, 6), 0, 6,
                    on_failure::drop);
    EXPECT_EQ(all.thrown, "at 12");
    EXPECT_TRUE(
        same_bits(all.answers, {10, 11, failed_query, failed_query, failed_query, failed_query}));
    EXPECT_EQ(all.queries, 6);
  }
}

struct stop_request : zo::interrupted {
  using zo::interrupted::interrupted;
};

TEST(black_box, lets_interrupts_pass_and_leaves_no_answer) {
  const std::vector<double> x = ramp<double>(4);
  const numbered source(x, 1, true);
  auto batch = [](zo::points<double> at, std::span<double> losses) {
    std::ranges::fill(losses, 1.0);
    if (at.count > 0) throw stop_request("enough");
  };
  for (const auto failures : {on_failure::stop, on_failure::drop}) {
    EXPECT_THROW(asked(zo::seq, batch, round_of(x, source, 1, true, 6), 0, 7, failures),
                 stop_request);
  }
}

// ---- probes that say what they made

struct sharing_probes {
  index_t says;
  double prepare(std::span<const double>, zo::sample_id) { return 1; }
  index_t probe(std::span<const index_t>, std::span<const double> steps,
                std::span<double> differences) {
    std::ranges::copy(steps, differences.begin());
    return says;
  }
};

TEST(probes, may_return_the_queries_they_made) {
  const auto x = ramp<double>(5);
  std::vector<double> g(5);
  for (const auto failures : {on_failure::stop, on_failure::drop}) {
    const auto queries = [&](index_t says) {
      sharing_probes f{says};
      return zo::estimate(zo::seq, f, x, g, zo::cge({.failures = failures})).queries;
    };
    EXPECT_EQ(queries(0), 1);
    EXPECT_EQ(queries(2), 3);
    EXPECT_EQ(queries(5), 6);
    for (const index_t wrong : {-1, 6}) {
      EXPECT_EQ(complaint([&] { queries(wrong); }),
                "zo::cge: a probe of 5 coordinates must return how many queries it made, from 0 to "
                "5, got " +
                    std::to_string(wrong));
    }
  }
  sharing_probes f{1};
  auto y = x;
  const auto r = zo::minimize(zo::seq, f, y, zo::cge(), zo::sgd(), {.max_queries = 20});
  EXPECT_EQ(r.queries, 7 * 2 + 1) << "what is not made is not paid; 7 steps leave less than 6";
}

// ---- coordinate objectives that take the policy

struct sharing_among_threads {
  std::vector<int> threads{};  // of each call
  double prepare(const zo::execution_policy auto& on, std::span<const double>, zo::sample_id) {
    threads.push_back(on.threads());
    return 1;
  }
  void probe(const zo::execution_policy auto& on, std::span<const index_t>,
             std::span<const double> steps, std::span<double> differences) {
    threads.push_back(on.threads());
    std::ranges::copy(steps, differences.begin());
  }
};
struct saying_what_it_made : sharing_among_threads {
  index_t probe(const zo::execution_policy auto& on, std::span<const index_t> coordinates,
                std::span<const double> steps, std::span<double> differences) {
    sharing_among_threads::probe(on, coordinates, steps, differences);
    return 2;
  }
};
// The plain form as well, which is not asked then.
struct in_both_forms : sharing_among_threads {
  using sharing_among_threads::prepare;
  using sharing_among_threads::probe;
  double prepare(std::span<const double>, zo::sample_id) { throw std::logic_error("plain"); }
  void probe(std::span<const index_t>, std::span<const double>, std::span<double>) {
    throw std::logic_error("plain");
  }
};
struct half_and_half : sharing_probes {
  double prepare(const zo::execution_policy auto&, std::span<const double>, zo::sample_id);
};
static_assert(zo::coordinate_objective<sharing_among_threads, double>);
static_assert(!zo::coordinate_objective<sharing_among_threads, float>);
static_assert(!zo::coordinate_objective<half_and_half, double>);

template <class F>
void expect_threads_of_the_policy(index_t queries) {
  const auto x = ramp<double>(5);
  std::vector<double> g(5);
  const auto threads_under = [&](const auto& policy) {
    F f;
    const auto r = zo::estimate(policy, f, x, g, zo::cge());
    EXPECT_EQ(r.queries, queries);
    EXPECT_EQ(r.value, 1);
    EXPECT_EQ(g, std::vector<double>(5, 1.0));
    return f.threads;
  };
  EXPECT_EQ(threads_under(zo::seq), (std::vector<int>{1, 1}));
  EXPECT_EQ(threads_under(zo::par.with_threads(3)), (std::vector<int>{3, 3}));
  EXPECT_EQ(threads_under(zo::par), std::vector<int>(2, zo::par.threads()));
}

TEST(probes, are_told_the_policy_if_they_take_it) {
  expect_threads_of_the_policy<sharing_among_threads>(6);
  expect_threads_of_the_policy<saying_what_it_made>(3);
  expect_threads_of_the_policy<in_both_forms>(6);
}

}  // namespace
