// What processes say to each other: agreement, broadcast, usage, bad options.
#include "zo/team.hpp"

#include <algorithm>
#include <array>
#include <thread>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;

struct call {
  index_t dimension = 5;
  index_t directions = 3;
  double smoothing = 1e-3;
  std::uint64_t seed = 1, step = 2;
  double first = 0.5;
};

template <class Policy>
std::string complaint_of(const Policy& policy, const call& c) {
  return error_between_ranks([&] {
    std::atomic<index_t> count{0};
    auto x = ramp<double>(c.dimension);
    x[0] = c.first;
    auto g = x;
    zo::estimate(policy, scalar_form<double>{&count}, x, g,
                 zo::rge({.directions = c.directions, .smoothing = c.smoothing}),
                 {.seed = c.seed, .step = c.step});
  });
}

TEST(mpi_agreement, names_the_rank_and_what_differs) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  if (policy.ranks() == 1) GTEST_SKIP() << "one process agrees with itself";
  const int odd = policy.ranks() - 1;
  const bool mine = policy.rank() == odd;
  const std::string rank = "rank " + std::to_string(odd);
  const std::string arguments = "zo::mpi: at step 2 " + rank + " asks for another estimate";
  EXPECT_TRUE(contains(complaint_of(policy, {.dimension = mine ? 6 : 5}), arguments));
  EXPECT_TRUE(contains(complaint_of(policy, {.directions = mine ? 700 : 3}), arguments));
  EXPECT_TRUE(contains(complaint_of(policy, {.smoothing = mine ? 2e-3 : 1e-3}), arguments));
  EXPECT_TRUE(contains(complaint_of(policy, {.seed = mine ? 4u : 5u}), arguments));
  EXPECT_TRUE(contains(complaint_of(policy, {.step = mine ? 4u : 2u}),
                       "zo::mpi: " + rank + " is at step 4, rank 0 at 2"));
  EXPECT_TRUE(contains(complaint_of(policy, {.first = mine ? -0.0 : 0.0}),
                       "zo::mpi: at step 2 " + rank + " has another x than rank 0"));
  EXPECT_EQ(complaint_of(policy, {}), "");
}

TEST(mpi_agreement, compares_x_as_often_as_asked) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.compare_every = 3});
  const bool mine = policy.rank() != 0;
  const call other{.first = mine ? 0.25 : 0.5};
  EXPECT_EQ(complaint_of(policy, {}), "");
  EXPECT_EQ(complaint_of(policy, other), "");
  EXPECT_EQ(complaint_of(policy, other), "");
  EXPECT_EQ(complaint_of(policy, other).empty(), policy.ranks() == 1);
}

struct of_its_own : coordinate_form<double> {
  double prepare(std::span<const double> at, zo::sample_id sample) {
    return coordinate_form<double>::prepare(at, sample) + (world_rank() == 1 ? 1 : 0);
  }
};

TEST(mpi_agreement, compares_what_coordinate_objectives_prepare) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  std::atomic<index_t> count{0};
  const std::vector<double> x{1, 0};
  std::vector<double> g(2);
  const std::string text = error_between_ranks(
      [&] { zo::estimate(policy, of_its_own{{&count}}, x, g, zo::cge(), {.step = 9}); });
  EXPECT_EQ(contains(text, "zo::mpi: at step 9 rank 1 has f(x) = "), policy.ranks() > 1) << text;
}

TEST(mpi_broadcast, gives_the_numbers_of_rank_0) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  std::vector<float> values(1000, static_cast<float>(policy.rank() + 4));
  zo::mpi::broadcast(policy, std::span<float>(values));
  EXPECT_EQ(values, std::vector<float>(1000, 4.0f));
  zo::mpi::broadcast(policy, std::span<float>());
}

TEST(mpi_gather, gives_the_number_of_every_rank) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto all = zo::mpi::gather(policy, 0.5 * policy.rank());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(policy.ranks()));
  for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], 0.5 * static_cast<double>(r));
}

TEST(mpi_share, divides_between_pieces_only) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  constexpr index_t piece = 4;
  for (const index_t size : {0, 3, 4, 21, 40}) {
    std::vector<double> answers(static_cast<std::size_t>(size), -1.0);
    index_t asked = 0;
    zo::mpi::share(policy, answers, piece, [&](index_t first, std::span<double> mine) {
      EXPECT_EQ(first % piece, 0);
      const auto end = first + static_cast<index_t>(mine.size());
      EXPECT_TRUE(end % piece == 0 || end == size);
      asked += end - first;
      for (double& answer : mine) answer = static_cast<double>(first++);
    });
    EXPECT_EQ(over_all_ranks(asked), size);
    for (index_t j = 0; j < size; ++j) EXPECT_EQ(answers[static_cast<std::size_t>(j)], double(j));
  }
  std::vector<double> answers(8);
  const std::string text = error_between_ranks([&] {
    zo::mpi::share(policy, answers, 1, [&](index_t, std::span<double>) {
      if (policy.rank() == policy.ranks() - 1) throw std::runtime_error("no answer");
    });
  });
  const std::string last = std::to_string(policy.ranks() - 1);
  EXPECT_EQ(text, "zo::mpi: rank " + last + " failed: no answer");
  EXPECT_EQ(
      complaint([&] { zo::mpi::share(policy, answers, 0, [](index_t, std::span<double>) {}); }),
      "zo::mpi::share: piece must be at least 1, got 0");
}

TEST(mpi_policy, takes_another_inner_policy) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto other = policy.with(zo::par.with_threads(2));
  EXPECT_EQ(other.threads(), 2);
  EXPECT_EQ(&other.team(), &policy.team());
  EXPECT_EQ(complaint_of(other, {}), "");
}

TEST(mpi_usage, counts_bytes_of_answers_and_agreements) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  constexpr index_t directions = 400;
  EXPECT_EQ(complaint_of(policy, {.directions = directions}), "");
  const auto usage = zo::mpi::usage(policy);
  const index_t ranks = policy.ranks();
  ASSERT_EQ(usage.size(), static_cast<std::size_t>(ranks));
  for (const auto& one : usage) {
    EXPECT_EQ(one.exchanges, 2);
    const index_t answers = 8 * (directions + 1);
    EXPECT_LE(one.bytes, answers + 8 * ranks);
    EXPECT_GE(one.bytes, answers - answers / ranks - 8);
    EXPECT_GE(one.seconds, one.waiting_seconds);
  }
}

// A slow rank waits least, and shows.
TEST(mpi_usage, shows_who_was_waited_for) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  if (policy.ranks() == 1) GTEST_SKIP() << "one process waits for nobody";
  const auto slow = [&](std::span<const double> x) {
    if (policy.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return smooth_loss(x);
  };
  const std::vector<double> x(3);
  std::vector<double> g(3);
  zo::estimate(policy, slow, x, g, zo::rge({.directions = 31}));
  const auto usage = zo::mpi::usage(policy);
  for (std::size_t r = 0; r < usage.size(); ++r) {
    if (r == 1) continue;
    EXPECT_GT(usage[r].waiting_seconds, usage[1].waiting_seconds);
  }
}

TEST(mpi_share, takes_a_piece_of_any_size) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  std::vector<double> answers(5);
  zo::mpi::share(policy, answers, std::numeric_limits<index_t>::max(),
                 [](index_t first, std::span<double> mine) {
                   for (std::size_t k = 0; k < mine.size(); ++k) {
                     mine[k] = static_cast<double>(first) + static_cast<double>(k);
                   }
                 });
  EXPECT_EQ(answers, (std::vector<double>{0, 1, 2, 3, 4}));
}

TEST(mpi_over, refuses_bad_options) {
  EXPECT_EQ(complaint([] { zo::mpi::over(MPI_COMM_NULL, zo::seq); }),
            "zo::mpi::over: the communicator is MPI_COMM_NULL");
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks > 1) {  // two groups, of even and of odd ranks
    MPI_Comm half = MPI_COMM_NULL, between = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 7, &between);
    EXPECT_TRUE(contains(complaint([&] { zo::mpi::over(between, zo::seq); }),
                         "zo::mpi::over: the communicator is an intercommunicator"));
    MPI_Comm_free(&between);
    MPI_Comm_free(&half);
  }
  EXPECT_EQ(complaint([] { zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.wait_seconds = 0}); }),
            "zo::mpi::over: wait_seconds must be above 0, got 0");
  EXPECT_EQ(
      complaint([] { zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.wait_seconds = not_a_number}); }),
      "zo::mpi::over: wait_seconds must be above 0, got nan");
  EXPECT_EQ(complaint([] { zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.compare_every = 0}); }),
            "zo::mpi::over: compare_every must be at least 1, got 0");
}

TEST(mpi_over, keeps_its_messages_apart_from_the_users) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto f = [&](std::span<const double> x) {
    int there = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    EXPECT_EQ(there, 0);
    return smooth_loss(x);
  };
  const std::vector<double> x(3);
  std::vector<double> g(3);
  EXPECT_TRUE(zo::estimate(policy, f, x, g, zo::rge({.directions = 9})).ok);
}

}  // namespace
