// Shared estimates are those of one process, bit for bit, for every kind of objective; queries are
// those that all processes made together.
#include "zo/estimate.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::index_t;
using zo::rge;

constexpr index_t dimension = 37;

template <class Use>
void for_each_estimator(const Use& use) {
  use(rge({.directions = 1}));
  use(rge({.directions = 11}));
  use(rge({.directions = 6}, zo::rademacher{}, central{}));
  use(rge({.directions = 5}, zo::sphere{}));
  use(cge());
  use(cge({.relative = true}, central{}));
  use(cge({.coordinates = zo::coordinate_list{{2, 0}}}));
  use(cge({.coordinates = zo::random_coordinates{13}}, central{}));
}

template <class T>
struct outcome {
  std::vector<T> gradient;
  zo::estimate_result result;
};

template <class T>
void expect_same(const outcome<T>& got, const outcome<T>& alone) {
  EXPECT_TRUE(same_bits(got.gradient, alone.gradient));
  EXPECT_TRUE(same_bits(std::vector{got.result.value}, std::vector{alone.result.value}));
  EXPECT_EQ(got.result.queries, alone.result.queries);
  EXPECT_EQ(got.result.failed, alone.result.failed);
  EXPECT_EQ(got.result.ok, alone.result.ok);
}

template <class T, class Policy, class F, class How>
outcome<T> run(const Policy& policy, F f, const How& how, index_t d = dimension,
               const zo::estimate_options& options = {.seed = 7, .step = 3}) {
  outcome<T> found;
  const auto x = ramp<T>(d);
  found.gradient.assign(x.size(), T(77));
  found.result = zo::estimate(policy, f, x, found.gradient, how, options);
  return found;
}

// `prepares`: queries that every process makes for itself.
template <class T, template <class> class Form>
void check_form(index_t prepares) {
  for_each_estimator([&](const auto& how) {
    constexpr bool possible = zo::estimator_for<std::remove_cvref_t<decltype(how)>, Form<T>, T>;
    if constexpr (possible) {
      std::atomic<index_t> unused{0};
      const auto alone = run<T>(zo::seq, Form<T>{&unused}, how);
      for_each_shared_policy([&](const auto& policy) {
        for (const index_t chunk_bytes : {1, 1000, 1 << 20}) {
          std::atomic<index_t> counted{0};
          const auto shared = run<T>(policy, Form<T>{&counted}, how, dimension,
                                     {.seed = 7, .step = 3, .chunk_bytes = chunk_bytes});
          expect_same(shared, alone);
          EXPECT_EQ(over_all_ranks(counted),
                    alone.result.queries + prepares * (policy.ranks() - 1));
        }
      });
    }
  });
}

TEST(mpi_estimate, has_the_bits_of_one_process_for_every_kind_of_objective) {
  check_form<double, scalar_form>(0);
  check_form<float, scalar_form>(0);
  check_form<double, sampled_form>(0);
  check_form<double, batch_form>(0);
  check_form<float, sampled_batch_form>(0);
  check_form<double, coordinate_form>(1);
  check_form<float, coordinate_form>(1);
}

TEST(mpi_estimate, has_the_same_bits_in_several_rounds) {
  std::atomic<index_t> count{0};
  const rge wide({.directions = 9001}, zo::rademacher{});
  const auto alone = run<float>(zo::seq, scalar_form<float>{&count}, wide, 3000);
  const cge many({}, central{});
  const auto alone_by_coordinates = run<float>(zo::seq, coordinate_form<float>{&count}, many, 5000);
  for_each_shared_policy([&](const auto& policy) {
    expect_same(run<float>(policy, scalar_form<float>{&count}, wide, 3000), alone);
    expect_same(run<float>(policy, coordinate_form<float>{&count}, many, 5000),
                alone_by_coordinates);
  });
}

TEST(mpi_estimate, serves_fewer_queries_than_processes) {
  std::atomic<index_t> count{0};
  const auto alone = run<double>(zo::seq, scalar_form<double>{&count}, cge({}, central{}), 1);
  for_each_shared_policy([&](const auto& policy) {
    expect_same(run<double>(policy, scalar_form<double>{&count}, cge({}, central{}), 1), alone);
  });
}

struct parts {
  template <class Part>
  double part(const Part& x) const {
    double sum = 0;
    x.each([&](index_t i, auto value) {
      sum += static_cast<double>(value * value) + static_cast<double>(i);
    });
    return sum;
  }
};

TEST(mpi_estimate, has_the_bits_of_one_process_for_lazy_objectives) {
  const rge how({.directions = 9}, zo::rademacher{});
  const auto alone = run<float>(zo::seq, parts{}, how, 5000);
  for_each_shared_policy(
      [&](const auto& policy) { expect_same(run<float>(policy, parts{}, how, 5000), alone); });
}

/// Losses that tell the rows apart.
struct row_losses {
  std::atomic<index_t>* count;
  void operator()(zo::points<double> at, std::span<const index_t> rows,
                  std::span<double> losses) const {
    *count += at.count;
    for (index_t k = 0; k < at.count; ++k) {
      const auto j = static_cast<std::size_t>(k);
      losses[j] = smooth_loss(at[k]) * (1 + static_cast<double>(rows[j]));
    }
  }
};

TEST(mpi_boundary, has_the_bits_of_one_process) {
  constexpr index_t rows = 7;
  const auto z = ramp<double>(rows * dimension);
  for_each_estimator([&](const auto& how) {
    std::atomic<index_t> unused{0};
    const zo::points<double> at{z, rows, dimension};
    const auto alone = zo::boundary(zo::seq, row_losses{&unused}, at, how, {.seed = 4});
    for_each_shared_policy([&](const auto& policy) {
      std::atomic<index_t> counted{0};
      const auto shared = zo::boundary(policy, row_losses{&counted}, at, how, {.seed = 4});
      EXPECT_TRUE(same_bits(shared.gradients, alone.gradients));
      EXPECT_TRUE(same_bits(shared.losses, alone.losses));
      EXPECT_EQ(shared.queries, alone.queries);
      EXPECT_EQ(over_all_ranks(counted), alone.queries);
    });
  });
}

// ---- prices

/// Remembers what the probes of this process would cost.
struct priced {
  std::vector<double>* asked;
  coordinate_form<double> inner;
  double prepare(std::span<const double> x, zo::sample_id sample) {
    return inner.prepare(x, sample);
  }
  void probe(std::span<const index_t> coordinates, std::span<const double> steps,
             std::span<double> differences) {
    for (const index_t i : coordinates) asked->push_back(cost(i));
    inner.probe(coordinates, steps, differences);
  }
  double cost(index_t i) const { return 1.0 + static_cast<double>(i % 10) * 3; }
};

// A shared policy is a policy: its threads are those of this process.
struct sharing_among_threads {
  std::vector<int>* threads;
  coordinate_form<double> inner;
  double prepare(const zo::execution_policy auto& on, std::span<const double> x,
                 zo::sample_id sample) {
    threads->push_back(on.threads());
    return inner.prepare(x, sample);
  }
  void probe(const zo::execution_policy auto& on, std::span<const index_t> coordinates,
             std::span<const double> steps, std::span<double> differences) {
    threads->push_back(on.threads());
    inner.probe(coordinates, steps, differences);
  }
};

TEST(mpi_estimates, tell_the_threads_of_a_process) {
  std::atomic<index_t> count{0};
  const auto alone = run<double>(zo::seq, coordinate_form<double>{&count}, cge());
  for_each_shared_policy([&](const auto& policy) {
    std::vector<int> threads;
    expect_same(run<double>(policy, sharing_among_threads{&threads, {&count}}, cge()), alone);
    EXPECT_EQ(threads, std::vector<int>(2, policy.threads()));
  });
}

TEST(mpi_prices, give_shares_of_equal_cost) {
  std::atomic<index_t> count{0};
  const auto alone = run<double>(zo::seq, coordinate_form<double>{&count}, cge(), 1000);
  std::vector<double> asked;
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  expect_same(run<double>(policy, priced{&asked, {&count}}, cge(), 1000), alone);
  double mine = 0;
  for (const double cost : asked) mine += cost;
  double least = 0, most = 0;
  MPI_Allreduce(&mine, &least, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  EXPECT_LE(most - least, 28.0);  // one probe
}

struct unpriced : coordinate_form<double> {
  double cost(index_t) const { return -1; }
};

TEST(mpi_prices, must_be_positive) {
  std::atomic<index_t> count{0};
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  EXPECT_EQ(complaint([&] { run<double>(policy, unpriced{{&count}}, cge()); }),
            "zo::cge: the cost of coordinate 0 must be a positive number, got -1");
}

// ---- failures

/// Fails at the candidates that one rank is given.
struct failing_on {
  int rank;
  int how;  // 0: throws, 1: NaN, 2: throws a number
  double operator()(std::span<const double> x) const {
    if (world_rank() == rank) {
      if (how == 0) throw std::runtime_error("the simulator is out of licences");
      if (how == 2) throw 5;
      return not_a_number;
    }
    return smooth_loss(x);
  }
};

TEST(mpi_failures, of_one_rank_are_thrown_by_all_and_the_next_estimate_is_in_step) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const int last = policy.ranks() - 1;
  const rge how({.directions = 8});
  const std::string who = "zo::mpi: rank " + std::to_string(last) + " failed: ";
  EXPECT_EQ(error_between_ranks([&] {
              run<double>(policy, failing_on{last, 0}, how);
            }),
            who + "the simulator is out of licences");
  EXPECT_EQ(error_between_ranks([&] {
              run<double>(policy, failing_on{last, 2}, how);
            }),
            who + "an exception that is no std::exception");
  std::atomic<index_t> count{0};
  expect_same(run<double>(policy, scalar_form<double>{&count}, how),
              run<double>(zo::seq, scalar_form<double>{&count}, how));
}

TEST(mpi_failures, keep_the_exception_itself_where_it_was_thrown) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  bool nested = false;
  try {
    run<double>(policy, failing_on{0, 0}, rge({.directions = 8}));
  } catch (const zo::mpi::error& outer) {
    try {
      std::rethrow_if_nested(outer);
    } catch (const std::runtime_error& inner) {
      nested = std::string(inner.what()) == "the simulator is out of licences";
    }
  }
  EXPECT_EQ(nested, policy.rank() == 0);
}

struct failing_to_prepare : coordinate_form<double> {
  double prepare(std::span<const double> at, zo::sample_id sample) {
    if (world_rank() == 0) throw std::runtime_error("no minibatch");
    return coordinate_form<double>::prepare(at, sample);
  }
};

TEST(mpi_failures, of_preparing_are_thrown_by_all) {
  std::atomic<index_t> count{0};
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  EXPECT_EQ(error_between_ranks([&] { run<double>(policy, failing_to_prepare{{&count}}, cge()); }),
            "zo::mpi: rank 0 failed: no minibatch");
}

struct failing_to_probe : coordinate_form<double> {
  void probe(std::span<const index_t>, std::span<const double>, std::span<double>) {
    throw std::runtime_error("no probe");
  }
};

TEST(mpi_failures, of_probes_are_thrown_by_all_or_dropped) {
  std::atomic<index_t> count{0};
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  EXPECT_EQ(error_between_ranks([&] { run<double>(policy, failing_to_probe{{&count}}, cge()); }),
            "zo::mpi: rank 0 failed: no probe");
  const cge dropping({.failures = zo::on_failure::drop});
  expect_same(run<double>(policy, failing_to_probe{{&count}}, dropping),
              run<double>(zo::seq, failing_to_probe{{&count}}, dropping));
}

/// Answers NaN, or throws, at points that every process would find bad.
struct bad_points {
  bool throws;
  double operator()(std::span<const double> x) const {
    if (x[0] > ramp<double>(1)[0]) {
      if (throws) throw std::runtime_error("outside");
      return not_a_number;
    }
    return smooth_loss(x);
  }
};

TEST(mpi_failures, that_are_dropped_are_those_of_one_process) {
  const rge how({.directions = 20, .failures = zo::on_failure::drop});
  for (const bool throws : {false, true}) {
    const auto alone = run<double>(zo::seq, bad_points{throws}, how);
    EXPECT_GT(alone.result.failed, 0);
    EXPECT_TRUE(alone.result.ok);
    for_each_shared_policy([&](const auto& policy) {
      expect_same(run<double>(policy, bad_points{throws}, how), alone);
    });
  }
}

TEST(mpi_failures, that_stop_are_known_to_all) {
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto shared =
      run<double>(policy, failing_on{policy.ranks() - 1, 1}, rge({.directions = 8}));
  EXPECT_FALSE(shared.result.ok);
  EXPECT_GE(shared.result.failed, 1);
  EXPECT_EQ(shared.gradient, std::vector<double>(dimension, 0.0));
}

}  // namespace
