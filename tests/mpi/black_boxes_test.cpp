// Programs and services asked by several processes: each asks its share, and all have the bits of a
// call.
#include "../service/servers.hpp"
#include "support.hpp"
#include "zo/process.hpp"

namespace {

using namespace testing_zo;

template <class Policy, class F>
std::vector<double> minimized(const Policy& policy, F&& f, index_t* queries = nullptr) {
  std::vector<double> x = ramp<double>(5);
  const zo::rge how({.directions = 6, .smoothing = 1e-3}, zo::gaussian{}, zo::central{});
  const auto run =
      zo::minimize(policy, f, x, how, zo::adam({.rate = 0.05}), {.max_queries = 120, .seed = 3});
  if (queries != nullptr) *queries += run.queries;
  return x;
}

TEST(mpi_process, has_the_bits_of_a_call) {
  const std::vector<double> wanted =
      minimized(zo::seq, [](std::span<const double> x) { return valley(x); });
  const zo::process f({ZO_PROCESS_CHILD, "valley"}, {.workers = 2});
  for_each_shared_policy([&](const auto& policy) {
    EXPECT_TRUE(same_bits(minimized(policy, f), wanted));
    EXPECT_TRUE(same_bits(minimized(policy, f.batch()), wanted));
  });
}

// One server, of rank 0.
TEST(mpi_service, has_the_bits_of_a_call) {
  const std::vector<double> wanted =
      minimized(zo::seq, [](std::span<const double> x) { return valley(x); });
  std::atomic<index_t> points{0};
  std::optional<server> good;
  int port = 0;
  index_t counted = 0;
  if (world_rank() == 0) {
    good.emplace([&](visitor& who, const visitor::request& asked) {
      points += static_cast<index_t>(points_in(asked.body));
      be_good(who, asked);
    });
    port = good->port();
  }
  MPI_Bcast(&port, 1, MPI_INT, 0, MPI_COMM_WORLD);
  {
    const zo::service f("http://127.0.0.1:" + std::to_string(port) + "/",
                        {.workers = 2, .points_per_request = 3});
    for_each_shared_policy([&](const auto& policy) {
      EXPECT_TRUE(same_bits(minimized(policy, f, &counted), wanted));
      EXPECT_TRUE(same_bits(minimized(policy, f.batch(), &counted), wanted));
    });
    EXPECT_GT(f.requests(), 0);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(points, world_rank() == 0 ? counted : 0);
}

}  // namespace
