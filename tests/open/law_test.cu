// A law of another namespace on the device: the bits of the CPU.
#include "device.hpp"
#include "open/laws.hpp"

namespace {

using namespace testing_zo;
using elsewhere::cube;
using elsewhere::cube_directions;
using elsewhere::sparse_signs;

class gpu_own_law : public gpu {
 protected:
  template <class T, class D, class S>
  void expect_cpu_bits(D d, S s) {
    for (const zo::index_t dimension : {1, 100, 5003}) {
      const std::vector<T> x = ramp<T>(dimension);
      const zo::rge how({.directions = 5}, d, s);
      const auto what = std::to_string(dimension) + " coordinates";
      expect_same(on_gpu(on(), device_batch<T>{}, x, how, {.seed = 4, .step = 7}),
                  on_host(host_scalar<T>{}, x, how, {.seed = 4, .step = 7}), what);
      expect_same(on_gpu(on(), lazy_chain{}, x, how, {.seed = 4, .step = 7}),
                  on_host(lazy_chain{}, x, how, {.seed = 4, .step = 7}), what + ", lazily");
    }
  }
};

TEST_F(gpu_own_law, estimates) {
  expect_cpu_bits<float>(cube{}, zo::forward{});
  expect_cpu_bits<double>(cube{}, zo::central{});
  expect_cpu_bits<float>(sparse_signs{}, zo::central{});
  expect_cpu_bits<double>(sparse_signs{}, zo::forward{});
  expect_cpu_bits<float>(cube_directions{}, zo::forward{});
  expect_cpu_bits<double>(cube_directions{}, zo::central{});
}

TEST_F(gpu_own_law, rows_of_a_boundary) {
  constexpr zo::index_t rows = 3, dimension = 300;
  const std::vector<double> z = ramp<double>(rows * dimension);
  const zo::rge how({.directions = 4}, sparse_signs{}, zo::central{});
  const auto host = zo::boundary(zo::seq, host_rowwise<double>{},
                                 zo::points<double>{z, rows, dimension}, how, {.seed = 2});
  const zo::cuda::array<double> there(on(), z);
  zo::cuda::array<double> gradients(on(), rows * dimension), losses(on(), rows);
  zo::cuda::workspace memory(on());
  const auto result =
      zo::boundary(on(), device_rowwise<double>{}, zo::cuda::points<double>{there, rows, dimension},
                   how, {.seed = 2}, gradients, losses, memory)
          .get();
  EXPECT_TRUE(result.ok);
  EXPECT_TRUE(same_bits(gradients.to_host(), host.gradients));
  EXPECT_TRUE(same_bits(losses.to_host(), host.losses));
}

TEST_F(gpu_own_law, whole_runs) {
  std::vector<float> x = ramp<float>(200);
  zo::cuda::array<float> there(on(), x);
  const zo::rge how({.directions = 4}, cube{}, zo::forward{});
  const zo::minimize_options options{.max_queries = 200, .seed = 6};
  zo::minimize(zo::seq, lazy_chain{}, x, how, zo::adam(), options);
  zo::minimize(on(), lazy_chain{}, there, how, zo::adam(), options);
  EXPECT_TRUE(same_bits(there.to_host(), x));
}

template <class T, class D>
void expect_same_blocks(const zo::cuda::policy& on, D d) {
  using number = zo::cuda::working_type<T>;
  const zo::stream from{11, 3, 9};
  for (const zo::index_t dimension : {1, 2047, 40'001}) {
    std::vector<T> x;
    for (const number value : ramp<number>(dimension)) x.push_back(T(value));
    const std::vector<number> weights = ramp<number>(5, 0.3, -0.11);
    const zo::cuda::array<T> there(on, x);
    const zo::cuda::array<number> weights_there(on, weights);
    zo::cuda::array<T> moved(on, dimension), summed(on, x);
    zo::cuda::perturb(on, d, from, there, number(0.01), moved);
    zo::cuda::accumulate(on, d, from, weights_there, summed);
    std::vector<number> wide(x.size()), wide_sum;
    for (const T value : x) wide_sum.push_back(static_cast<number>(value));
    zo::detail::perturb<D>(from, 0, dimension, wide_sum.data(), number(0.01), wide.data());
    zo::detail::accumulate<D>(from, 5, weights.data(), 0, dimension, wide_sum.data());
    std::vector<T> expected, expected_sum;
    for (const number value : wide) expected.push_back(static_cast<T>(value));
    for (const number value : wide_sum) expected_sum.push_back(static_cast<T>(value));
    EXPECT_TRUE(same_bits(moved.to_host(), expected)) << dimension;
    EXPECT_TRUE(same_bits(summed.to_host(), expected_sum)) << dimension;
  }
}

TEST_F(gpu_own_law, building_blocks) {
  expect_same_blocks<float>(on(), cube{});
  expect_same_blocks<double>(on(), sparse_signs{});
  expect_same_blocks<zo::bfloat16>(on(), cube{});
}

}  // namespace
