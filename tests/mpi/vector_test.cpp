// Vector answers of shared estimates are those of one process, bit for bit, and so are their
// queries.
#include "../vector_forms.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::on_failure;
using zo::points;
using zo::rge;

constexpr index_t rows = 5, n = 23, m = 9;

std::vector<double> cotangents(index_t count) { return ramp<double>(count, -0.4, 0.21); }

TEST(mpi_pullback, has_the_bits_of_one_process) {
  const auto x = ramp<double>(rows * n);
  const auto v = cotangents(rows * m);
  const auto check = [&](const auto& how) {
    std::atomic<index_t> unused{0};
    const points<double> at{x, rows, n}, along{v, rows, m};
    const auto alone =
        zo::pullback(zo::seq, row_form<double>{&unused}, at, along, how, {.seed = 4});
    for_each_shared_policy([&](const auto& policy) {
      std::atomic<index_t> counted{0};
      const auto shared =
          zo::pullback(policy, row_form<double>{&counted}, at, along, how, {.seed = 4});
      EXPECT_TRUE(same_bits(shared.gradients, alone.gradients));
      EXPECT_TRUE(same_bits(shared.y, alone.y));
      EXPECT_EQ(shared.queries, alone.queries);
      EXPECT_EQ(over_all_ranks(counted), alone.queries);
      counted = 0;
      const auto known = zo::pullback(policy, rowwise_map_form<double>{&counted}, at, along, how,
                                      {.seed = 4}, alone.y);
      EXPECT_TRUE(same_bits(known.gradients, alone.gradients));
      EXPECT_EQ(over_all_ranks(counted), alone.queries - rows);
    });
  };
  check(rge({.directions = 11}));
  check(rge({.directions = 3}, zo::sphere{}, central{}));
  check(cge());
  check(cge({.coordinates = zo::random_coordinates{7}}, central{}));
  check(zo::quadrature({.directions = ramp<double>(4 * n), .weights = {1, 2, 3, 4}}));
}

TEST(mpi_pullback, of_one_point_of_float) {
  const auto x = ramp<float>(n), v = ramp<float>(m);
  std::atomic<index_t> unused{0};
  const auto alone =
      zo::pullback(zo::seq, writing_form<float>{&unused}, x, v, rge({.directions = 6}));
  for_each_shared_policy([&](const auto& policy) {
    const auto shared =
        zo::pullback(policy, returning_form<float>{&unused, m}, x, v, rge({.directions = 6}));
    EXPECT_TRUE(same_bits(shared.gradients, alone.gradients));
    EXPECT_TRUE(same_bits(shared.y, alone.y));
  });
}

TEST(mpi_jacobian, has_the_bits_of_one_process) {
  const auto x = ramp<double>(n);
  const zo::coloring colors(zo::banded(n, n, 2, 1));
  const auto band = [](std::atomic<index_t>* count) {
    return [count](std::span<const double> at, std::span<double> y) {
      ++*count;
      for (std::size_t i = 0; i < y.size(); ++i) {
        y[i] = at[i] * at[i];
        if (i >= 2) y[i] += std::sin(at[i - 2]) * at[i - 1];
        if (i + 1 < y.size()) y[i] -= at[i + 1];
      }
    };
  };
  const auto check = [&](const auto& how) {
    std::atomic<index_t> unused{0};
    const auto alone = zo::jacobian(zo::seq, band(&unused), x, colors, how);
    const auto dense = zo::jacobian(zo::seq, writing_form<double>{&unused}, x, m, how);
    for_each_shared_policy([&](const auto& policy) {
      std::atomic<index_t> counted{0};
      const auto shared = zo::jacobian(policy, band(&counted), x, colors, how);
      EXPECT_TRUE(same_bits(shared.values, alone.values));
      EXPECT_TRUE(same_bits(shared.y, alone.y));
      EXPECT_EQ(shared.queries, alone.queries);
      EXPECT_EQ(over_all_ranks(counted), alone.queries);
      const auto whole = zo::jacobian(policy, writing_form<double>{&counted}, x, m, how);
      EXPECT_TRUE(same_bits(whole.values, dense.values));
    });
  };
  check(cge({.smoothing = 1e-5}));
  check(cge({.smoothing = 1e-5}, central{}));
  std::atomic<index_t> unused{0};
  const auto product = zo::jvp(zo::seq, band(&unused), x, x, n);
  const auto pattern = zo::find_sparsity(zo::seq, band(&unused), x, n).pattern;
  for_each_shared_policy([&](const auto& policy) {
    EXPECT_TRUE(same_bits(zo::jvp(policy, band(&unused), x, x, n).product, product.product));
    EXPECT_EQ(zo::find_sparsity(policy, band(&unused), x, n).pattern.indices, pattern.indices);
    std::vector<double> mine = x, alone = x;
    const zo::least_squares_options few{.max_queries = 40};
    zo::least_squares(zo::seq, band(&unused), alone, colors, few);
    zo::least_squares(policy, band(&unused), mine, colors, few);
    EXPECT_TRUE(same_bits(mine, alone));
  });
}

// Fails at coordinate 3, on whatever rank that is asked.
struct failing {
  bool throws;
  double at_x;
  void operator()(std::span<const double> x, std::span<double> y) const {
    smooth_map(x, y);
    if (x[3] == at_x) return;
    if (throws) throw std::runtime_error("no mesh");
    y[2] = not_a_number;
  }
};

TEST(mpi_pullback, failures_are_everybodys) {
  const auto x = ramp<double>(n);
  const auto v = cotangents(m);
  for_each_shared_policy([&](const auto& policy) {
    for (const bool throws : {true, false}) {
      const auto dropped =
          zo::pullback(policy, failing{throws, x[3]}, x, v, cge({.failures = on_failure::drop}));
      EXPECT_TRUE(dropped.ok);
      EXPECT_EQ(dropped.failed, 1);
      EXPECT_EQ(dropped.gradients[3], 0);
      const auto j =
          zo::jacobian(policy, failing{throws, x[3]}, x, m, cge({.failures = on_failure::drop}));
      EXPECT_TRUE(j.ok);
      EXPECT_EQ(j.failed, 1);
    }
    EXPECT_FALSE(zo::pullback(policy, failing{false, x[3]}, x, v, cge()).ok);
    EXPECT_THROW(zo::pullback(policy, failing{true, x[3]}, x, v, cge()), std::runtime_error);
    EXPECT_THROW(zo::jacobian(policy, failing{true, x[3]}, x, m, cge()), std::runtime_error);
  });
}

// Fails wherever one rank asks.
struct failing_on_a_rank {
  int rank;
  bool throws;
  void operator()(std::span<const double> x, std::span<double> y) const {
    smooth_map(x, y);
    if (world_rank() != rank) return;
    if (throws) throw std::runtime_error("no licence");
    y[2] = not_a_number;
  }
};

TEST(mpi_pullback, failures_of_one_rank_are_everybodys) {
  const auto x = ramp<double>(n);
  const auto v = cotangents(m);
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const int last = world_size() - 1;
  const std::string text = "zo::mpi: rank " + std::to_string(last) + " failed: no licence";
  EXPECT_EQ(error_between_ranks([&] {
              zo::pullback(policy, failing_on_a_rank{last, true}, x, v, cge());
            }),
            text);
  EXPECT_EQ(error_between_ranks([&] {
              zo::jacobian(policy, failing_on_a_rank{last, true}, x, m, cge());
            }),
            text);
  const auto stopped = zo::pullback(policy, failing_on_a_rank{last, false}, x, v, cge());
  EXPECT_FALSE(stopped.ok);
  EXPECT_GE(stopped.failed, 1);
  EXPECT_EQ(stopped.gradients, std::vector<double>(n, 0.0));
  const auto j = zo::jacobian(policy, failing_on_a_rank{last, false}, x, m, cge());
  EXPECT_FALSE(j.ok);
  EXPECT_GE(j.failed, 1);
}

TEST(mpi_pullback, different_arguments_are_refused) {
  if (world_size() == 1) return;
  std::atomic<index_t> unused{0};
  const writing_form<double> f{&unused};
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  const auto x = ramp<double>(n), v = cotangents(m);
  auto another_x = x, another_v = v;
  another_x[0] += world_rank();
  another_v[0] += world_rank();
  const auto refused = [&](const auto& call, const char* what) {
    const std::string text = error_between_ranks(call);
    EXPECT_TRUE(contains(text, what)) << text;
  };
  refused([&] { zo::pullback(policy, f, another_x, v, cge()); },
          "rank 1 has another x than rank 0");
  refused([&] { zo::pullback(policy, f, x, another_v, cge()); },
          "rank 1 has another x than rank 0");
  refused([&] { zo::jacobian(policy, f, another_x, m, cge()); },
          "rank 1 has another x than rank 0");
  refused([&] { zo::jvp(policy, f, x, another_x, m); }, "rank 1 has another x than rank 0");
  refused([&] { zo::pullback(policy, f, x, v, rge({.directions = 2 + world_rank()})); },
          "rank 1 asks for another estimate than rank 0");
}

}  // namespace
