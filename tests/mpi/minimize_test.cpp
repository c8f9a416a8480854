// Whole runs of several processes are those of one: bits, budgets, ends, callbacks.
#include "zo/minimize.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::status;

template <class Form, class Policy, class How>
std::pair<zo::minimize_result, std::vector<double>> run(const Policy& policy, const How& how,
                                                        zo::minimize_options options) {
  std::atomic<index_t> count{0};
  auto x = ramp<double>(23);
  options.seed = 11;
  const auto r = zo::minimize(policy, Form{&count}, x, how, zo::adam({.rate = 1e-2}), options);
  return {r, x};
}

template <class Form, class How>
void check_run(const How& how, const zo::minimize_options& options) {
  const auto [alone, x] = run<Form>(zo::seq, how, options);
  for_each_shared_policy([&, &alone = alone, &x = x](const auto& policy) {
    const auto [shared, y] = run<Form>(policy, how, options);
    EXPECT_TRUE(same_bits(y, x));
    EXPECT_EQ(shared.why, alone.why);
    EXPECT_EQ(shared.queries, alone.queries);
    EXPECT_EQ(shared.steps, alone.steps);
    EXPECT_TRUE(same_bits(std::vector{shared.value}, std::vector{alone.value}));
  });
}

TEST(mpi_minimize, is_the_run_of_one_process) {
  const zo::rge forward({.directions = 5});
  const zo::rge central({.directions = 5}, zo::rademacher{}, zo::central{});
  const zo::cge coordinates({.coordinates = zo::random_coordinates{7}}, zo::central{});
  for (const zo::minimize_options& options :
       {zo::minimize_options{.max_queries = 500},
        zo::minimize_options{.max_queries = 10'000, .max_steps = 13},
        zo::minimize_options{.max_queries = 10'000, .target = 12.0},
        zo::minimize_options{.max_queries = 3}}) {
    check_run<scalar_form<double>>(forward, options);
    check_run<batch_form<double>>(central, options);
    check_run<coordinate_form<double>>(coordinates, options);
  }
}

TEST(mpi_minimize, asks_failed_points_again_and_counts_what_all_processes_made) {
  // Fails at every second call.
  struct flaky {
    std::atomic<index_t>* made;
    double operator()(std::span<const double> x) const {
      if (made->fetch_add(1) % 2 == 0) throw std::runtime_error("cold");
      return x[0] * x[0] + x[1];
    }
  };
  const auto run_flaky = [](const auto& policy, index_t budget, index_t& made) {
    std::atomic<index_t> count{0};
    std::vector<double> x{1, 2};
    const zo::rge how(
        {.directions = 6,
         .failures = zo::failure_options{.then = zo::on_failure::drop, .retries = 1}});
    const auto r = zo::minimize(policy, flaky{&count}, x, how, zo::adam(),
                                {.max_queries = budget, .max_steps = 9, .seed = 3});
    made = count;
    return std::pair{r, x};
  };
  index_t made = 0;
  const auto [alone, x] = run_flaky(zo::seq, 1000, made);
  EXPECT_EQ(alone.queries, 2 * (9 * 7 + 1));
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto [shared, y] = run_flaky(policy, 1000, made);
  EXPECT_TRUE(same_bits(x, y));
  EXPECT_EQ(shared.queries, alone.queries);
  EXPECT_EQ(shared.queries, over_all_ranks(made));
  EXPECT_EQ(shared.failed, 0);
  // Where the budget does not pay for all, it is still kept.
  for (index_t budget = 8; budget < 40; ++budget) {
    const auto [tight, z] = run_flaky(policy, budget, made);
    EXPECT_LE(tight.queries, budget);
    EXPECT_EQ(tight.queries, over_all_ranks(made));
  }
}

TEST(mpi_minimize, goes_on_with_another_number_of_processes) {
  const zo::rge how({.directions = 4});
  std::atomic<index_t> count{0};
  auto x = ramp<double>(23), y = x;
  const auto run_from = [&](const auto& policy, std::uint64_t first, std::uint64_t steps,
                            auto& updater, auto& at) {
    zo::minimize(policy, scalar_form<double>{&count}, at, how, updater,
                 {.max_queries = 1000, .max_steps = steps, .seed = 5, .first_step = first});
  };
  auto whole = zo::adam().start<double>(23), parts = zo::adam().start<double>(23);
  run_from(zo::seq, 0, 10, whole, x);
  run_from(zo::mpi::over(MPI_COMM_WORLD, zo::seq), 0, 6, parts, y);
  run_from(zo::mpi::over(MPI_COMM_SELF, zo::seq), 6, 4, parts, y);
  EXPECT_TRUE(same_bits(x, y));
}

TEST(mpi_callback, of_any_rank_ends_the_run_of_all) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const bool mine = policy.rank() == policy.ranks() - 1;
  index_t called = 0;
  const auto [r, x] = run<scalar_form<double>>(
      policy, zo::rge({.directions = 4}),
      {.max_queries = 10'000, .on_step = [&](const zo::step_report& report) {
         ++called;
         return mine && report.step == 6 ? zo::verdict::stop : zo::verdict::go_on;
       }});
  EXPECT_EQ(r.why, status::callback_stopped);
  EXPECT_EQ(r.steps, 7u);
  EXPECT_EQ(called, 7);
}

TEST(mpi_callback, that_throws_in_one_rank_ends_the_run_of_all) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const int last = policy.ranks() - 1;
  EXPECT_EQ(error_between_ranks([&] {
              run<scalar_form<double>>(
                  policy, zo::rge({.directions = 4}),
                  {.max_queries = 10'000, .on_step = [&](const zo::step_report&) -> zo::verdict {
                     if (policy.rank() == last) throw std::runtime_error("the disk is full");
                     return zo::verdict::go_on;
                   }});
            }),
            "zo::mpi: rank " + std::to_string(last) + " failed: the disk is full");
}

TEST(mpi_minimize, refuses_ranks_with_other_budgets) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  if (policy.ranks() == 1) GTEST_SKIP() << "one process agrees with itself";
  const std::string text = error_between_ranks([&] {
    run<scalar_form<double>>(policy, zo::rge(), {.max_queries = policy.rank() == 1 ? 100 : 200});
  });
  EXPECT_EQ(text,
            "zo::mpi: at step 0 rank 1 asks for another estimate than rank 0: give all ranks the "
            "same arguments (dimension, estimator, seed, sample, budget)");
}

// x diverges when something outside the library changes it.
TEST(mpi_minimize, stops_where_x_diverges) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  if (policy.ranks() == 1) GTEST_SKIP() << "one process agrees with itself";
  std::atomic<index_t> count{0};
  auto x = ramp<double>(23);
  const std::string text = error_between_ranks([&] {
    zo::minimize(policy, scalar_form<double>{&count}, x, zo::rge({.directions = 3}), zo::sgd(),
                 {.max_queries = 10'000, .on_step = [&](const zo::step_report& report) {
                    if (policy.rank() == 1 && report.step == 4) x[22] = std::nextafter(x[22], 9.0);
                    return zo::verdict::go_on;
                  }});
  });
  EXPECT_EQ(text,
            "zo::mpi: at step 5 rank 1 has another x than rank 0: start all ranks at the same "
            "point (zo::mpi::broadcast) and let nothing else change it");
}

}  // namespace
