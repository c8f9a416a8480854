// RGE on the device against zo::seq: the same bits, the same report.
#include "device.hpp"

namespace {

using namespace testing_zo;

class gpu_rge : public gpu {
 protected:
  template <class T, class D, class S>
  void expect_cpu_bits(D, S) {
    for (const zo::index_t dimension : {1, 5, 63, 2049}) {
      for (const zo::index_t directions : {1, 3, 70}) {
        const std::vector<T> x = ramp<T>(dimension);
        const zo::rge how({.directions = directions, .smoothing = 1e-2}, D{}, S{});
        const zo::estimate_options options{.seed = 0x123456789abcdefULL, .step = 77};
        expect_same(on_gpu<T>(on(), device_batch<T>{}, x, how, options),
                    on_host<T>(host_scalar<T>{}, x, how, options),
                    std::to_string(dimension) + " " + std::to_string(directions));
      }
    }
  }
  template <class T, class D>
  void expect_cpu_bits(D kind) {
    expect_cpu_bits<T>(kind, zo::forward{});
    expect_cpu_bits<T>(kind, zo::central{});
  }
};

TEST_F(gpu_rge, gaussian) {
  expect_cpu_bits<float>(zo::gaussian{});
  expect_cpu_bits<double>(zo::gaussian{});
}
TEST_F(gpu_rge, rademacher) {
  expect_cpu_bits<float>(zo::rademacher{});
  expect_cpu_bits<double>(zo::rademacher{});
}
TEST_F(gpu_rge, sphere) {
  expect_cpu_bits<float>(zo::sphere{});
  expect_cpu_bits<double>(zo::sphere{});
}

// More candidates than the estimate keeps answers for at once.
TEST_F(gpu_rge, several_groups_of_answers) {
  const std::vector<float> x = ramp<float>(3);
  const zo::rge how({.directions = 40'000, .smoothing = 1e-2}, zo::gaussian{}, zo::central{});
  expect_same(on_gpu<float>(on(), device_batch<float>{}, x, how),
              on_host<float>(host_scalar<float>{}, x, how), "40,000 directions");
}

TEST_F(gpu_rge, chunks_change_nothing) {
  const std::vector<double> x = ramp<double>(100);
  const zo::rge how({.directions = 20, .smoothing = 1e-2}, zo::gaussian{}, zo::central{});
  const auto host = on_host<double>(host_scalar<double>{}, x, how);
  for (const zo::index_t candidates : {1, 3, 7, 1000}) {
    zo::index_t calls = 0;
    zo::estimate_options options;
    options.chunk_bytes = candidates * 800;
    expect_same(on_gpu<double>(on(), device_batch<double>{{}, &calls}, x, how, options), host,
                std::to_string(candidates));
    EXPECT_EQ(calls, (40 + candidates - 1) / candidates);
  }
}

TEST_F(gpu_rge, failed_queries_under_both_policies) {
  const std::vector<double> x = ramp<double>(9);
  for (const double answer : {not_a_number, infinity}) {
    for (const auto failures : {zo::on_failure::stop, zo::on_failure::drop}) {
      // x[0] is -0.7: some candidates lie above, some below; then the base fails too, then all.
      for (const double above : {-0.7, -0.71, -1000.0}) {
        const fault where{above, answer};
        const zo::rge one({.directions = 12, .smoothing = 1e-2, .failures = failures});
        auto host = on_host<double>(host_scalar<double>{where}, x, one);
        auto device = on_gpu<double>(on(), device_batch<double>{where}, x, one);
        EXPECT_GT(device.result.failed, 0);
        // The device makes all queries, also after a failed one.
        EXPECT_EQ(device.result.queries, 13);
        if (above < -0.7) {
          EXPECT_FALSE(device.result.ok);
          device.result.queries = host.result.queries;
          device.result.failed = host.result.failed;
        }
        expect_same(device, host, "forward");
        const zo::rge two({.directions = 12, .smoothing = 1e-2, .failures = failures},
                          zo::rademacher{}, zo::central{});
        expect_same(on_gpu<double>(on(), device_batch<double>{where}, x, two),
                    on_host<double>(host_scalar<double>{where}, x, two), "central");
      }
    }
  }
}

TEST_F(gpu_rge, exceptions_of_the_objective) {
  const std::vector<float> x = ramp<float>(4);
  auto thrower = [](zo::cuda::points<float>, zo::cuda::span<double>, cudaStream_t) {
    throw std::runtime_error("the service is down");
  };
  const zo::rge stop({.directions = 2});
  EXPECT_THROW(on_gpu<float>(on(), thrower, x, stop), std::runtime_error);
  const zo::rge drop({.directions = 2, .failures = zo::on_failure::drop});
  const auto device = on_gpu<float>(on(), thrower, x, drop);
  EXPECT_FALSE(device.result.ok);
  EXPECT_EQ(device.result.failed, 3);
  EXPECT_EQ(device.gradient, std::vector<float>(4, 0.0F));
  // Answers written before the exception count for nothing.
  auto late = [](zo::cuda::points<float> at, zo::cuda::span<double> losses, cudaStream_t where) {
    launch_losses(where, at, {}, losses);
    throw std::runtime_error("the service went down");
  };
  EXPECT_EQ(on_gpu<float>(on(), late, x, drop).result.failed, 3);
}

// What the objective's own calls to CUDA do wrong is no answer, whatever the policy.
TEST_F(gpu_rge, errors_of_cuda_are_not_failed_queries) {
  const std::vector<float> x = ramp<float>(4);
  const zo::rge drop({.directions = 2, .failures = zo::on_failure::drop});
  auto thrower = [](zo::cuda::points<float>, zo::cuda::span<double>, cudaStream_t) {
    check(cudaErrorInvalidValue, "a call of the objective");
  };
  EXPECT_THROW(on_gpu<float>(on(), thrower, x, drop), zo::cuda::error);
  auto careless = [](zo::cuda::points<float> at, zo::cuda::span<double> losses,
                     cudaStream_t where) {
    launch_losses(where, at, {}, losses);
    cudaLaunchConfig_t config{};
    config.stream = where;
    config.gridDim = dim3(1, 1, 1);
    config.blockDim = dim3(4096, 1, 1);  // more than there may be
    cudaLaunchKernelEx(&config, losses_kernel<float>, at.data.data(), at.count, at.dimension,
                       fault{}, losses.data());
  };
  try {
    on_gpu<float>(on(), careless, x, drop);
    FAIL() << "the error went by";
  } catch (const zo::cuda::error& problem) {
    EXPECT_TRUE(contains(problem.what(), "the objective has left a CUDA error behind"));
  }
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(gpu_rge, the_sample_reaches_the_objective) {
  const std::vector<float> x = ramp<float>(4);
  std::vector<zo::sample_id> seen;
  auto f = [&](zo::cuda::points<float> at, zo::cuda::span<double> losses, cudaStream_t where,
               zo::sample_id sample) {
    seen.push_back(sample);
    launch_losses(where, at, {}, losses);
  };
  const zo::rge how({.directions = 2});
  on_gpu<float>(on(), f, x, how, {.seed = 1, .step = 9});
  on_gpu<float>(on(), f, x, how, {.seed = 1, .step = 9, .sample = 33});
  EXPECT_EQ(seen, (std::vector<zo::sample_id>{9, 9, 33, 33}));
}

// An answer that is never written is a failed query, not what the memory held.
TEST_F(gpu_rge, unwritten_answers_fail) {
  auto silent = [](zo::cuda::points<float>, zo::cuda::span<double>, cudaStream_t) {};
  const zo::cuda::array<float> x(on(), ramp<float>(4));
  zo::cuda::array<float> gradient(on(), 4);
  zo::cuda::workspace memory(on());
  const zo::rge how({.directions = 3});
  EXPECT_TRUE(zo::estimate(on(), device_batch<float>{}, x, gradient, how, {}, memory).get().ok);
  const auto result = zo::estimate(on(), silent, x, gradient, how, {}, memory).get();
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.failed, 4);
}

TEST_F(gpu_rge, the_smoothing_is_a_number) {
  const std::vector<float> x = ramp<float>(40);
  const auto said = [&](const auto& how) {
    return complaint([&] { on_gpu<float>(on(), lazy_chain{}, x, how); });
  };
  EXPECT_TRUE(contains(said(zo::rge({.smoothing = zo::automatic})),
                       "zo::rge: zo::automatic asks on the CPU alone"));
  EXPECT_TRUE(contains(said(zo::cge({.smoothing = zo::automatic})), "zo::cge: zo::automatic"));
}

// What is no estimate on the CPU is none on the device, for the same reason.
template <class T>
void expect_same_flaw(found<T> device, const found<T>& host) {
  EXPECT_EQ(device.result.why, host.result.why);
  EXPECT_EQ(device.result.ok, host.result.ok);
  EXPECT_TRUE(same_bits(device.gradient, host.gradient));
}

TEST_F(gpu_rge, x_that_is_large_beside_the_smoothing) {
  for (const double first : {1e8, 1e6, 1e4, 1e2, infinity, -infinity, not_a_number}) {
    for (const zo::index_t at : {zo::index_t{0}, zo::index_t{2500}}) {
      std::vector<float> x = ramp<float>(2600);
      x[static_cast<std::size_t>(at)] = static_cast<float>(first);
      const auto check_law = [&](auto law, auto scheme) {
        const zo::rge how({.directions = 3}, law, scheme);
        const auto host = on_host<float>(lazy_chain{}, x, how);
        expect_same_flaw(on_gpu<float>(on(), lazy_chain{}, x, how), host);
        EXPECT_EQ(host.result.ok, first == 1e2 || first == 1e4);
      };
      check_law(zo::gaussian{}, zo::forward{});
      check_law(zo::rademacher{}, zo::central{});
      if (first != 1e2 && first != 1e4) check_law(zo::sphere{}, zo::central{});
    }
  }
}

TEST_F(gpu_rge, gradients_and_means_of_huge_answers) {
  const std::vector<float> x = ramp<float>(40);
  for (const double answer : {3e35, 3e38, 1e300, 1.7e308, -1.7e308}) {
    for (const auto failures : {zo::on_failure::stop, zo::on_failure::drop}) {
      const fault where{-0.7, answer};
      const zo::rge one({.directions = 12, .failures = failures});
      expect_same_flaw(on_gpu<float>(on(), device_batch<float>{where}, x, one),
                       on_host<float>(host_scalar<float>{where}, x, one));
      const fault all{-1000, answer};
      const zo::rge two({.directions = 12, .failures = failures}, zo::rademacher{}, zo::central{});
      const auto device = on_gpu<float>(on(), device_batch<float>{all}, x, two);
      expect_same(device, on_host<float>(host_scalar<float>{all}, x, two), "the mean");
      EXPECT_TRUE(device.result.ok);
      EXPECT_NEAR(device.result.value / answer, 1, 1e-14);
    }
  }
}

}  // namespace
