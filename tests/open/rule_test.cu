// The same rule on the device, from the user's own file: the bits of the CPU.
#include "device.hpp"
#include "open/rule.hpp"

namespace {

using namespace testing_zo;
using elsewhere::lion;
using elsewhere::quarters;

static_assert(zo::cuda::optimizer_rule<lion, float> && zo::cuda::optimizer_rule<lion, double>);

class gpu_foreign_rule : public gpu {
 protected:
  template <class T, class Rule>
  void expect_cpu_run(const Rule& rule) {
    const zo::rge how({.directions = 3, .smoothing = 1e-2});
    const zo::minimize_options options{.max_queries = 60, .seed = 4};
    auto host = ramp<T>(300);
    const auto expected = zo::minimize(zo::seq, host_scalar<T>{}, host, how, rule, options);
    zo::cuda::array<T> x(on(), ramp<T>(300));
    const auto got = zo::minimize(on(), device_batch<T>{}, x, how, rule, options);
    EXPECT_TRUE(same_bits(x.to_host(), host));
    EXPECT_EQ(got.value, expected.value);
    EXPECT_EQ(got.steps, expected.steps);
    EXPECT_GT(got.steps, 5u);
  }
};

TEST_F(gpu_foreign_rule, has_the_bits_of_the_cpu) {
  expect_cpu_run<float>(lion(0.01));
  expect_cpu_run<double>(lion(0.01));
  expect_cpu_run<double>(zo::proximal(zo::projected(lion(0.01), zo::box(-0.5, 1)), zo::l1(0.1)));
  expect_cpu_run<float>(zo::projected(zo::sgd({.rate = 0.5}), quarters{}));
}

TEST_F(gpu_foreign_rule, keeps_its_state_and_says_when_it_leaves_the_numbers) {
  zo::cuda::updater<lion, float> updater(on(), lion(0.25), 2);
  zo::cuda::array<float> x(on(), {1.0F, 3.0F}), g(on(), {-2.0F, 0.0F});
  zo::cuda::array<unsigned long long> infinite(on(), {0ULL});
  updater.step(on(), x, g, infinite.data());
  EXPECT_EQ(x.to_host(), (std::vector<float>{-0.875F, 0.875F}));
  ASSERT_EQ(updater.state().size(), 3u);
  EXPECT_EQ(infinite.to_host()[0], 0u);
  g.copy_from(std::vector<float>{std::numeric_limits<float>::infinity(), 0.0F});
  updater.step(on(), x, g, infinite.data());
  EXPECT_EQ(infinite.to_host()[0], 1u);
}

}  // namespace
