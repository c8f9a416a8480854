// Lazy objectives: the same bits from zo::seq, where the candidate lies in memory, and from the
// device, where it never exists.
#include "device.hpp"

namespace {

using namespace testing_zo;

class gpu_lazy : public gpu {
 protected:
  template <class T, class How>
  void expect_cpu_bits(const How& how, zo::index_t dimension) {
    const std::vector<T> x = ramp<T>(dimension);
    const zo::estimate_options options{.seed = 8, .step = 2};
    expect_same(on_gpu<T>(on(), lazy_chain{}, x, how, options),
                on_host<T>(lazy_chain{}, x, how, options), std::to_string(dimension));
  }
  template <class T, class D>
  void expect_cpu_bits(D kind) {
    for (const zo::index_t dimension : {1, 17, 2048, 5000}) {
      expect_cpu_bits<T>(zo::rge({.directions = 3}, kind, zo::forward{}), dimension);
      expect_cpu_bits<T>(zo::rge({.directions = 2}, kind, zo::central{}), dimension);
    }
  }
};

TEST_F(gpu_lazy, rge_gaussian) {
  expect_cpu_bits<float>(zo::gaussian{});
  expect_cpu_bits<double>(zo::gaussian{});
}
TEST_F(gpu_lazy, rge_rademacher) {
  expect_cpu_bits<float>(zo::rademacher{});
  expect_cpu_bits<double>(zo::rademacher{});
}
TEST_F(gpu_lazy, rge_sphere) { expect_cpu_bits<float>(zo::sphere{}); }

TEST_F(gpu_lazy, cge) {
  zo::cge_options some;
  some.coordinates = zo::random_coordinates{7};
  expect_cpu_bits<float>(zo::cge(some), 3000);
  expect_cpu_bits<double>(zo::cge(some, zo::central{}), 3000);
  expect_cpu_bits<double>(zo::cge({.smoothing = 1e-4, .relative = true}), 40);
}

// More than one strand of slices: 256 of them hold 8,388,608 coordinates.
TEST_F(gpu_lazy, more_slices_than_strands) {
  expect_cpu_bits<float>(zo::rge({.directions = 1}, zo::rademacher{}, zo::central{}), 8'400'000);
}

struct sampled_bowl {
  template <class Part>
  ZO_HD double part(const Part& x, std::uint64_t sample) const {
    double sum = 0;
    x.each([&](zo::index_t, float v) {
      const double a = static_cast<double>(v) - static_cast<double>(sample);
      sum = sum + a * a;
    });
    return sum;
  }
};

TEST_F(gpu_lazy, the_sample_reaches_the_objective) {
  const std::vector<float> x = ramp<float>(30);
  const zo::rge how({.directions = 2});
  const zo::estimate_options options{.seed = 8, .step = 2, .sample = 5};
  const auto device = on_gpu<float>(on(), sampled_bowl{}, x, how, options);
  expect_same(device, on_host<float>(sampled_bowl{}, x, how, options), "sampled");
  EXPECT_GT(device.result.value, 30 * 9.0);
}

}  // namespace
