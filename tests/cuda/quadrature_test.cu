// Estimates along listed directions on the device against zo::seq: the same bits, the same report.
#include "device.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::on_failure;
using zo::quadrature;

class gpu_quadrature : public gpu {
 protected:
  template <class T, class S>
  void expect_cpu_bits(S scheme) {
    for (const index_t dimension : {1, 3, 70, 1500}) {
      const std::vector<T> x = ramp<T>(dimension);
      for (const index_t count : {1, 2, 41}) {
        const quadrature how(listed(count, dimension), scheme);
        const std::string what = std::to_string(dimension) + ", " + std::to_string(count);
        const auto host = on_host<T>(host_scalar<T>{}, x, how);
        EXPECT_TRUE(host.result.ok) << what;
        for (const index_t candidates : {1, 3, 7, 1000}) {
          const zo::estimate_options options{
              .seed = 5, .step = 3, .chunk_bytes = candidates * dimension * index_t{sizeof(T)}};
          expect_same(on_gpu<T>(on(), device_batch<T>{}, x, how, options), host, what);
        }
        expect_same(on_gpu<T>(on(), lazy_chain{}, x, how), on_host<T>(lazy_chain{}, x, how),
                    what + ", lazy");
      }
    }
  }
};

TEST_F(gpu_quadrature, forward) {
  expect_cpu_bits<float>(zo::forward{});
  expect_cpu_bits<double>(zo::forward{});
}
TEST_F(gpu_quadrature, central) {
  expect_cpu_bits<float>(zo::central{});
  expect_cpu_bits<double>(zo::central{});
}

TEST_F(gpu_quadrature, several_groups_of_directions) {
  const quadrature how(listed(33000, 2), zo::central{});  // 32,768 make a group
  const std::vector<float> x = ramp<float>(2);
  expect_same(on_gpu<float>(on(), device_batch<float>{}, x, how),
              on_host<float>(host_scalar<float>{}, x, how), "33,000 directions");
}

TEST_F(gpu_quadrature, f_of_x_that_is_known_is_not_asked) {
  const std::vector<double> x = ramp<double>(9), known{0.25};
  zo::estimate_options options;
  options.known_values = known;
  const quadrature how(listed(5, 9));
  const auto device = on_gpu<double>(on(), device_batch<double>{}, x, how, options);
  EXPECT_EQ(device.result.queries, 5);
  expect_same(device, on_host<double>(host_scalar<double>{}, x, how, options), "f(x) is known");
}

TEST_F(gpu_quadrature, failed_queries_under_both_policies) {
  const std::vector<double> x = ramp<double>(9);
  for (const auto failures : {on_failure::stop, on_failure::drop}) {
    const zo::quadrature_options options = listed(8, 9, failures);
    // Where some directions lead, and everywhere.
    for (const fault where : {fault{x[0], not_a_number}, {x[0], infinity}, {-9, not_a_number}}) {
      const auto compare = [&](const auto& how, const char* what) {
        const auto host = on_host<double>(host_scalar<double>{where}, x, how);
        EXPECT_GT(host.result.failed, 0) << what;
        const auto device = on_gpu<double>(on(), device_batch<double>{where}, x, how);
        EXPECT_EQ(device.result.ok, failures == on_failure::drop && where.above > -9) << what;
        EXPECT_EQ(device.result.why, host.result.why) << what;
        expect_same(device, host, what);
      };
      compare(quadrature(options), "forward");
      compare(quadrature(options, zo::central{}), "central");
    }
  }
}

TEST_F(gpu_quadrature, steps_and_sums_beyond_the_scalar_type_are_no_estimate) {
  const auto compare = [&]<class T>(std::vector<T> x, const quadrature<>& how, zo::flaw why) {
    const auto host = on_host<T>(host_scalar<T>{}, x, how);
    const auto device = on_gpu<T>(on(), device_batch<T>{}, x, how);
    EXPECT_EQ(host.result.why, why);
    EXPECT_EQ(device.result.why, why);
    EXPECT_FALSE(device.result.ok);
    EXPECT_TRUE(same_bits(device.gradient, std::vector<T>(x.size())));
  };
  zo::quadrature_options small = listed(3, 4);
  small.smoothing = 1e-30;
  compare(ramp<float>(4), small, zo::flaw::smoothing_lost);
  compare(ramp<double>(4), small, zo::flaw::smoothing_lost);
  for (const auto failures : {on_failure::stop, on_failure::drop}) {
    // Each term is finite, and the sum of two is not.
    compare(std::vector<float>{1},
            {{.directions = {1, 1}, .weights = {2e38, 2e38}, .failures = failures}},
            zo::flaw::out_of_range);
  }
}

TEST_F(gpu_quadrature, fits_into_the_memory_that_is_allowed) {
  const std::vector<float> x = ramp<float>(100);
  const quadrature how(listed(20, 100));
  const auto host = on_host<float>(host_scalar<float>{}, x, how);
  const auto there = zo::cuda::array<float>(on(), x);
  zo::cuda::array<float> gradient(on(), 100);
  index_t calls = 0;
  const auto ask = [&](index_t bytes) {
    zo::cuda::workspace memory(on({.max_bytes = bytes}));
    const auto result =
        zo::estimate(on(), device_batch<float>{{}, &calls}, there, gradient, how, {}, memory).get();
    EXPECT_LE(memory.bytes(), bytes);
    expect_same<float>({gradient.to_host(), result}, host, std::to_string(bytes));
  };
  ask(1 << 20);
  EXPECT_EQ(calls, 2);  // x itself and the candidates
  // The directions are 8,000 bytes, a candidate is 400.
  ask(10000);
  EXPECT_GT(calls, 4);
  calls = 0;
  EXPECT_TRUE(contains(complaint([&] { ask(8000); }), "max_bytes is 8000"));
  EXPECT_EQ(calls, 0);
}

}  // namespace
