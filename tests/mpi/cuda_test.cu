// Estimates on devices, shared between processes: the bits of one process on the CPU.
#include "../cuda/device.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;

class mpi_gpu : public gpu {
 protected:
  zo::cuda::policy shared() const { return zo::mpi::over(MPI_COMM_WORLD, on()); }
};

TEST_F(mpi_gpu, directions) {
  const std::vector<float> x = ramp<float>(2049);
  const auto compare = [&](const auto& how) {
    for (const zo::index_t candidates : {2, 1000}) {
      const zo::estimate_options options{
          .seed = 5, .step = 6, .chunk_bytes = candidates * 4 * 2049};
      const auto host = on_host<float>(host_scalar<float>{}, x, how, options);
      expect_same(on_gpu<float>(shared(), device_batch<float>{}, x, how, options), host, "batch");
    }
    expect_same(on_gpu<float>(shared(), lazy_chain{}, x, how), on_host<float>(lazy_chain{}, x, how),
                "lazy");
  };
  compare(zo::rge({.directions = 1, .smoothing = 1e-2}));
  compare(zo::rge({.directions = 30, .smoothing = 1e-2}));
  compare(zo::rge({.directions = 7, .smoothing = 1e-2}, zo::sphere{}, zo::central{}));
  compare(zo::quadrature(listed(30, 2049)));
  compare(zo::quadrature(listed(7, 2049), zo::central{}));
}

TEST_F(mpi_gpu, coordinates) {
  const std::vector<double> x = ramp<double>(40);
  const auto compare = [&](const auto& how) {
    expect_same(on_gpu<double>(shared(), device_batch<double>{}, x, how),
                on_host<double>(host_scalar<double>{}, x, how), "batch");
    expect_same(on_gpu<double>(shared(), device_coordinate<double>{}, x, how),
                on_host<double>(host_coordinate<double>{}, x, how), "probes");
  };
  for (const zo::index_t count : {1, 19, 40}) {
    const zo::cge_options options{.smoothing = 1e-2, .coordinates = zo::random_coordinates{count}};
    compare(zo::cge(options));
    compare(zo::cge(options, zo::central{}));
  }
}

TEST_F(mpi_gpu, rows) {
  constexpr zo::index_t rows = 5, dimension = 33;
  const std::vector<double> z = ramp<double>(rows * dimension);
  const zo::rge how({.directions = 6, .smoothing = 1e-2});
  const auto host =
      zo::boundary(zo::seq, host_rowwise<double>{}, zo::points<double>{z, rows, dimension}, how);
  const zo::cuda::policy policy = shared();
  const zo::cuda::array<double> there(policy, z);
  zo::cuda::array<double> gradients(policy, rows * dimension), losses(policy, rows);
  zo::cuda::workspace memory(policy);
  const auto r =
      zo::boundary(policy, device_rowwise<double>{},
                   zo::cuda::points<double>{{there.data(), there.size()}, rows, dimension}, how, {},
                   gradients, losses, memory)
          .get();
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.queries, host.queries);
  EXPECT_TRUE(same_bits(gradients.to_host(), host.gradients));
  EXPECT_TRUE(same_bits(losses.to_host(), host.losses));
}

template <class T>
__global__ void squares_kernel(const T* x, zo::index_t dimension, zo::index_t outputs,
                               zo::index_t count, T* ys) {
  const zo::index_t k = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k >= count * outputs) return;
  const T value = x[k / outputs * dimension + k % outputs];
  ys[k] = value * value;
}

void launch_squares(zo::cuda::points<double> at, zo::cuda::span<double> ys, cudaStream_t stream) {
  const zo::index_t outputs = ys.size() / at.count;
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.blockDim = dim3(64, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((ys.size() + 63) / 64), 1, 1);
  check(cudaLaunchKernelEx(&config, squares_kernel<double>, at.data.data(), at.dimension, outputs,
                           at.count, ys.data()),
        "launching squares");
}

TEST_F(mpi_gpu, vectors) {
  constexpr zo::index_t rows = 5, dimension = 33, outputs = 20;
  const std::vector<double> x = ramp<double>(rows * dimension), v = ramp<double>(outputs);
  const zo::rge how({.directions = 6, .smoothing = 1e-2});
  const auto host = zo::pullback(
      zo::seq,
      [](std::span<const double> at, std::span<double> y) {
        for (std::size_t k = 0; k < y.size(); ++k) y[k] = at[k] * at[k];
      },
      zo::points<double>{x, rows, dimension}, {v, 1, outputs}, how);
  zo::index_t asked = 0;
  const auto squares = [&](zo::cuda::points<double> at, zo::cuda::span<double> ys,
                           cudaStream_t on_stream) {
    asked += at.count;
    launch_squares(at, ys, on_stream);
  };
  const zo::cuda::policy policy = shared();
  const zo::cuda::array<double> there(policy, x), along(policy, v);
  zo::cuda::array<double> gradients(policy, rows * dimension), y(policy, rows * outputs);
  zo::cuda::workspace memory(policy);
  const auto r = zo::pullback(policy, squares, zo::cuda::points<double>{there, rows, dimension},
                              {along, 1, outputs}, how, {}, y, gradients, memory)
                     .get();
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.queries, host.queries);
  EXPECT_TRUE(same_bits(gradients.to_host(), host.gradients));
  EXPECT_TRUE(same_bits(y.to_host(), host.y));
  std::atomic<zo::index_t> mine{asked};
  EXPECT_EQ(over_all_ranks(mine), host.queries);
}

TEST_F(mpi_gpu, jacobians) {
  constexpr zo::index_t dimension = 33, outputs = 20;
  const std::vector<double> x = ramp<double>(dimension);
  const auto host_squares = [](std::span<const double> at, std::span<double> y) {
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = at[k] * at[k];
  };
  const zo::cge how({.smoothing = 1e-3}, zo::central{});
  const zo::estimate_options options{.chunk_bytes = 9 * 8 * (dimension + outputs)};
  const zo::coloring diagonal(zo::banded(outputs, dimension, 0, 0));
  const auto dense = zo::jacobian(zo::seq, host_squares, x, outputs, how, options);
  const auto sparse = zo::jacobian(zo::seq, host_squares, x, diagonal, how, options);
  const auto along = zo::jvp(zo::seq, host_squares, x, x, outputs);
  std::atomic<zo::index_t> asked{0};
  const auto squares = [&](zo::cuda::points<double> at, zo::cuda::span<double> ys,
                           cudaStream_t on_stream) {
    asked += at.count;
    launch_squares(at, ys, on_stream);
  };
  const zo::cuda::policy policy = shared();
  const zo::cuda::array<double> there(policy, x);
  const zo::cuda::device_coloring colors(policy, diagonal);
  zo::cuda::array<double> y(policy, outputs), values(policy, outputs * dimension),
      few(policy, outputs), product(policy, outputs);
  zo::cuda::workspace memory(policy);
  const auto r = zo::jacobian(policy, squares, there, how, options, y, values, memory).get();
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.queries, dense.queries);
  EXPECT_EQ(over_all_ranks(asked), dense.queries);
  EXPECT_TRUE(same_bits(values.to_host(), dense.values));
  EXPECT_TRUE(same_bits(y.to_host(), dense.y));
  zo::jacobian(policy, squares, there, colors, how, options, y, few, memory);
  EXPECT_TRUE(same_bits(few.to_host(), sparse.values));
  zo::jvp(policy, squares, there, there, {}, {}, y, product, memory, y);
  EXPECT_TRUE(same_bits(product.to_host(), along.product));
  // What differs is found before anything is asked.
  asked = 0;
  if (world_size() > 1) {
    zo::sparsity other = diagonal.pattern();
    if (world_rank() == 1) other.indices[3] = 30;
    const zo::cuda::device_coloring others(policy, zo::coloring(other));
    EXPECT_TRUE(contains(error_between_ranks([&] {
                           zo::jacobian(policy, squares, there, others, how, options, y, few,
                                        memory);
                         }),
                         "rank 1"));
    EXPECT_EQ(over_all_ranks(asked), 0);
  }
  EXPECT_TRUE(contains(error_between_ranks([&] {
                         zo::jvp(policy, squares, there, there,
                                 {.smoothing = world_rank() == 1 ? 1e-2 : 1e-3}, {}, y, product,
                                 memory);
                       }),
                       world_size() > 1 ? "rank 1" : ""));
  EXPECT_EQ(over_all_ranks(asked), world_size() > 1 ? 0 : 2);
}

TEST_F(mpi_gpu, runs) {
  const std::vector<float> start = ramp<float>(50);
  const auto compare = [&](auto host_objective, auto device_objective, const auto& how) {
    std::vector<float> x = start;
    const zo::minimize_options options{.max_queries = 2000, .target = -1e9, .seed = 3};
    const auto alone = zo::minimize(zo::seq, host_objective, x, how, zo::adam(), options);
    zo::cuda::array<float> there(on(), start);
    const auto r = zo::minimize(shared(), device_objective, there, how, zo::adam(), options);
    EXPECT_TRUE(same_bits(there.to_host(), x));
    EXPECT_EQ(r.why, alone.why);
    EXPECT_EQ(r.queries, alone.queries);
    EXPECT_EQ(r.value, alone.value);
  };
  compare(host_scalar<float>{}, device_batch<float>{}, zo::rge({.directions = 5}));
  compare(host_coordinate<float>{}, device_coordinate<float>{},
          zo::cge({.coordinates = zo::random_coordinates{9}}, zo::central{}));
}

struct failing_in_one_rank : device_batch<float> {
  void operator()(zo::cuda::points<float> at, zo::cuda::span<double> losses,
                  cudaStream_t stream) const {
    if (world_rank() == world_size() - 1) throw std::runtime_error("no kernel");
    device_batch<float>::operator()(at, losses, stream);
  }
};

TEST_F(mpi_gpu, failures_of_one_rank_are_thrown_by_all) {
  const std::vector<float> x = ramp<float>(50);
  const zo::rge how({.directions = 8});
  EXPECT_EQ(error_between_ranks([&] { on_gpu<float>(shared(), failing_in_one_rank{}, x, how); }),
            "zo::mpi: rank " + std::to_string(world_size() - 1) + " failed: no kernel");
}

TEST_F(mpi_gpu, points_that_differ_are_refused) {
  std::vector<float> x = ramp<float>(50);
  if (world_rank() == 1) x[49] += 1;
  const std::string text = error_between_ranks(
      [&] { on_gpu<float>(shared(), device_batch<float>{}, x, zo::rge({.directions = 8})); });
  EXPECT_EQ(contains(text, "rank 1 has another x than rank 0"), world_size() > 1);
}

TEST_F(mpi_gpu, policies_of_one_process_have_nobody_to_ask) {
  EXPECT_EQ(complaint([&] { zo::mpi::usage(on()); }),
            "zo::mpi: this policy is not shared; make it by zo::mpi::over");
}

}  // namespace
