// An estimator of another namespace that keeps state, on the device: the bits of the CPU.
#include "device.hpp"
#include "open/laws.hpp"
#include "open/svrg.hpp"

namespace {

using namespace testing_zo;

class gpu_own_estimator : public gpu {
 protected:
  template <class T, class How>
  void expect_cpu_bits(const How& how) {
    std::vector<T> x = ramp<T>(300);
    zo::cuda::array<T> there(on(), x);
    const zo::minimize_options options{.max_queries = 400, .seed = 6};
    const auto here = zo::minimize(zo::seq, lazy_chain{}, x, how, zo::sgd({.rate = 1e-3}), options);
    const auto result =
        zo::minimize(on(), lazy_chain{}, there, how, zo::sgd({.rate = 1e-3}), options);
    EXPECT_TRUE(same_bits(there.to_host(), x));
    EXPECT_EQ(result.queries, here.queries);
    EXPECT_EQ(result.steps, here.steps);
    EXPECT_GT(result.steps, 10U);
    EXPECT_EQ(result.value, here.value);
  }
};

TEST_F(gpu_own_estimator, runs) {
  expect_cpu_bits<float>(
      elsewhere::svrg{zo::rge({.directions = 3}), zo::rge({.directions = 20}), 5});
  expect_cpu_bits<double>(elsewhere::svrg{
      zo::rge({.directions = 2}, elsewhere::cube{}, zo::central{}),
      zo::cge({.coordinates = zo::coordinate_list{{3, 1, 200}}}, zo::central{}), 7});
  expect_cpu_bits<double>(elsewhere::svrg{zo::rge({.directions = 2}, zo::sphere{}),
                                          zo::rge({.directions = 9}, zo::sphere{}), 3});
}

// A part that fails leaves no gradient, whichever it is.
TEST_F(gpu_own_estimator, a_failed_part_leaves_zeros) {
  const std::vector<double> x = ramp<double>(20);
  const elsewhere::svrg how{zo::rge({.directions = 2}), zo::rge({.directions = 4}), 5};
  for (int part = 0; part < 3; ++part) {
    int calls = 0;
    const auto f = [&](zo::cuda::points<double> at, zo::cuda::span<double> losses,
                       cudaStream_t work) {
      device_batch<double>{}(at, losses, work);
      if (calls++ / 2 == part) zo::cuda::detail::fill_nan(work, losses.data(), 8);
    };
    zo::cuda::array<double> there(on(), x), gradient(on(), 20);
    const auto result = zo::estimate(on(), f, there, gradient, how).get();
    EXPECT_FALSE(result.ok) << part;
    EXPECT_EQ(result.why, zo::flaw::query_failed) << part;
    EXPECT_EQ(result.failed, 2) << part;  // f(x) and a candidate
    EXPECT_EQ(result.queries, how.queries(20, 0)) << part;
    EXPECT_EQ(gradient.to_host(), std::vector<double>(20)) << part;
  }
}

TEST_F(gpu_own_estimator, is_chosen_by_name_as_by_type) {
  const std::vector<float> x = ramp<float>(50);
  const zo::cuda::array<float> there(on(), x);
  zo::cuda::array<float> by_type(on(), 50), by_name(on(), 50);
  zo::estimate(on(), device_batch<float>{}, there, by_type,
               zo::rge({.directions = 3}, zo::sphere{}, zo::central{}));
  zo::estimate(
      on(), device_batch<float>{}, there, by_name,
      zo::any_estimator<float>({.distribution = "sphere", .scheme = "central", .directions = 3}));
  EXPECT_TRUE(same_bits(by_type.to_host(), by_name.to_host()));
  EXPECT_THROW(zo::estimate(on(), device_batch<float>{}, there, by_name,
                            zo::any_estimator<float>(elsewhere::svrg{zo::rge(), zo::rge(), 5})),
               zo::not_compiled);
}

// f at x that is known is not asked again.
TEST_F(gpu_own_estimator, known_values) {
  const std::vector<double> x = ramp<double>(40);
  const zo::cuda::array<double> there(on(), x);
  zo::cuda::array<double> asked(on(), 40), told(on(), 40);
  const auto first =
      zo::estimate(on(), device_batch<double>{}, there, asked, zo::rge({.directions = 3})).get();
  const std::vector<double> known = {first.value};
  const auto second = zo::estimate(on(), device_batch<double>{}, there, told,
                                   zo::rge({.directions = 3}), {.known_values = known})
                          .get();
  EXPECT_EQ(second.queries, first.queries - 1);
  EXPECT_EQ(second.value, first.value);
  EXPECT_TRUE(same_bits(asked.to_host(), told.to_host()));
}

}  // namespace
