// Processes that share a run keep a log each, and go on with the bits of one process.
#include "zo/journal.hpp"

#include <cstdio>
#include <string>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;

TEST(mpi_journal, each_process_goes_on_from_a_log_of_its_own) {
  std::string folder(64, '\0');
  if (world_rank() == 0) {
    folder = "/tmp/zo_mpi_journal_XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder.resize(64);
  }
  MPI_Bcast(folder.data(), 64, MPI_CHAR, 0, MPI_COMM_WORLD);
  const std::string name = folder.c_str() + ("/" + std::to_string(world_rank()));

  const zo::rge how({.directions = 5});
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  index_t asked = 0;
  const auto run = [&](const auto& on, index_t budget, zo::answer_log* log) {
    asked = 0;
    auto x = ramp<double>(4);
    const auto f = [&](std::span<const double> at) {
      ++asked;
      return at[0] * at[0] + at[1] * at[2] * at[3];
    };
    zo::minimize(on, f, x, how, zo::adam({.rate = 0.01}),
                 {.max_queries = budget, .seed = 7, .log = log});
    return x;
  };
  const auto expected = run(zo::seq, 61, nullptr);
  {
    zo::journal log(name);
    run(policy, 25, &log);
  }
  zo::journal log(name);
  EXPECT_TRUE(same_bits(run(policy, 61, &log), expected));
  // f at the end of the first run may be a question of another process in the second.
  const index_t again = over_all_ranks(asked) - (61 - 25);
  EXPECT_TRUE(again == 0 || again == 1) << again;
  EXPECT_EQ(log.recorded(), asked);
  std::remove(name.c_str());
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() == 0) std::remove(folder.c_str());
}

}  // namespace
