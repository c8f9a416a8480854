// Directions made on a GPU against the CPU's: the same bits.
#include "cuda/direction.hpp"

#include "cuda/launch.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index;
using zo::stream;
using zo::cuda::detail::check;
using zo::detail::law;

class gpu_direction : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "there is no CUDA device here";
    }
  }
};

// A copy of `values` on the device.
template <class T>
class on_device {
 public:
  explicit on_device(const std::vector<T>& values) : bytes_(values.size() * sizeof(T)) {
    check(cudaMalloc(&data_, bytes_), "cudaMalloc");
    check(cudaMemcpy(data_, values.data(), bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~on_device() { cudaFree(data_); }
  on_device(const on_device&) = delete;
  on_device& operator=(const on_device&) = delete;

  T* data() { return static_cast<T*>(data_); }
  std::vector<T> back() const {
    std::vector<T> values(bytes_ / sizeof(T));
    check(cudaMemcpy(values.data(), data_, bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

template <class T>
void expect_same_sums(law kind) {
  const stream from{0x123456789abcdefULL, 7, 5};
  for (const index count : {1, 17, 2047, 2049, 1'000'003}) {
    for (const index directions : {1, 3, 64}) {
      const std::vector<T> weights = ramp<T>(directions, 0.3, -0.11);
      const std::vector<T> x = ramp<T>(count);
      std::vector<T> expected = x;
      zo::detail::accumulate<T>(kind, from, directions, weights.data(), 0, count, expected.data());
      on_device<T> there(x);
      on_device<T> weights_there(weights);
      zo::cuda::detail::add_directions<T>(nullptr, kind, from, directions, weights_there.data(), 0,
                                          count, there.data(), there.data());
      EXPECT_TRUE(same_bits(there.back(), expected)) << count << " " << directions;
    }
  }
}

TEST_F(gpu_direction, normals) {
  expect_same_sums<float>(law::gaussian);
  expect_same_sums<double>(law::gaussian);
}

TEST_F(gpu_direction, signs) {
  expect_same_sums<float>(law::rademacher);
  expect_same_sums<double>(law::rademacher);
}

TEST_F(gpu_direction, norms) {
  const stream from{99, 1, 2};
  for (const index dimension : {1, 64, 2049, 1'000'003}) {
    constexpr index directions = 5;
    on_device<double> tile_sums(std::vector<double>(
        static_cast<std::size_t>(directions * zo::cuda::detail::tiles(dimension))));
    on_device<double> factors{std::vector<double>(directions)};
    zo::cuda::detail::inverse_norms(nullptr, from, directions, dimension, tile_sums.data(),
                                    factors.data());
    std::vector<double> expected;
    for (std::uint32_t k = 0; k < directions; ++k) {
      expected.push_back(
          zo::detail::inverse_norm({from.seed, from.step, from.number + k}, dimension));
    }
    EXPECT_TRUE(same_bits(factors.back(), expected)) << dimension;
  }
}

}  // namespace
