// What the tests of the CUDA backend share. Each test source is compiled twice: as C++ against the
// emulator of tools/cuda_emulator, and, where there is nvcc, as CUDA for a GPU (label gpu).
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support.hpp"
#include "zo/cuda.hpp"

#if defined(ZO_CUDA_EMULATOR)
#include <cuda_emulator.hpp>
#endif

namespace testing_zo {

using zo::cuda::detail::check;

/// Skips where there is no GPU; gives each test a stream of its own.
class gpu : public testing::Test {
 protected:
  void SetUp() override {
#if defined(ZO_CUDA_EMULATOR)
    cuda_emulator::reset();
    cuda_emulator::shuffle(12345);
#endif
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "there is no CUDA device here";
    }
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  void TearDown() override {
    if (stream == nullptr) return;
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    check(cudaStreamDestroy(stream), "cudaStreamDestroy");
#if defined(ZO_CUDA_EMULATOR)
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    EXPECT_EQ(cuda_emulator::statistics().live_allocations, 0U) << "device memory is lost";
    EXPECT_EQ(cuda_emulator::suspicions(), "");
#endif
  }

  zo::cuda::policy on(const zo::cuda::on_options& options = {}) const {
    return zo::cuda::on(stream, options);
  }

  cudaStream_t stream = nullptr;
};

/// A loss whose every operation is rounded once, in a fixed order: the same bits on every machine
/// that does not contract.
template <class T>
ZO_HD double steady_loss(const T* x, zo::index_t dimension) {
  double sum = 0;
  for (zo::index_t i = 0; i < dimension; ++i) {
    const auto v = static_cast<double>(x[i]);
    const double weight = 1.0 + 0.25 * static_cast<double>(i % 5);
    const double bend = weight * v;
    const double term = bend * v - 0.3 * v;
    sum = sum + term;
  }
  return sum;
}

/// Where a query shall fail: at candidates whose first coordinate is above a bound.
struct fault {
  double above = 1e300;
  double answer = 0;  // a NaN, or an infinity
};

template <class T>
ZO_HD double faulty_loss(const T* x, zo::index_t dimension, const fault& where) {
  return static_cast<double>(x[0]) > where.above ? where.answer : steady_loss(x, dimension);
}

template <class T>
__global__ void losses_kernel(const T* candidates, zo::index_t count, zo::index_t dimension,
                              fault where, double* losses) {
  const zo::index_t k = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k < count) losses[k] = faulty_loss(candidates + k * dimension, dimension, where);
}

template <class T>
void launch_losses(cudaStream_t stream, zo::cuda::points<T> at, const fault& where,
                   zo::cuda::span<double> losses) {
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.blockDim = dim3(64, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((at.count + 63) / 64), 1, 1);
  check(cudaLaunchKernelEx(&config, losses_kernel<T>, at.data.data(), at.count, at.dimension, where,
                           losses.data()),
        "launching losses");
}

/// The steady loss in each form: on the host, and on the device.
template <class T>
struct host_scalar {
  fault where{};
  double operator()(std::span<const T> x) const {
    return faulty_loss(x.data(), static_cast<zo::index_t>(x.size()), where);
  }
};
template <class T>
struct device_batch {
  fault where{};
  zo::index_t* calls = nullptr;  // on the host
  void operator()(zo::cuda::points<T> at, zo::cuda::span<double> losses,
                  cudaStream_t stream) const {
    if (calls != nullptr) ++*calls;
    launch_losses(stream, at, where, losses);
  }
};
template <class T>
struct host_rowwise {
  fault where{};
  void operator()(zo::points<T> at, std::span<const zo::index_t> rows,
                  std::span<double> losses) const {
    for (zo::index_t k = 0; k < at.count; ++k) {
      const auto j = static_cast<std::size_t>(k);
      losses[j] =
          faulty_loss(at[k].data(), at.dimension, where) + static_cast<double>(rows[j]) * 0.125;
    }
  }
};

template <class T>
__global__ void row_losses_kernel(const T* candidates, const zo::index_t* rows, zo::index_t count,
                                  zo::index_t dimension, fault where, double* losses) {
  const zo::index_t k = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k >= count) return;
  losses[k] = faulty_loss(candidates + k * dimension, dimension, where) +
              static_cast<double>(rows[k]) * 0.125;
}
template <class T>
struct device_rowwise {
  fault where{};
  void operator()(zo::cuda::points<T> at, zo::cuda::span<const zo::index_t> rows,
                  zo::cuda::span<double> losses, cudaStream_t stream) const {
    cudaLaunchConfig_t config{};
    config.stream = stream;
    config.blockDim = dim3(64, 1, 1);
    config.gridDim = dim3(static_cast<unsigned>((at.count + 63) / 64), 1, 1);
    check(cudaLaunchKernelEx(&config, row_losses_kernel<T>, at.data.data(), rows.data(), at.count,
                             at.dimension, where, losses.data()),
          "launching losses");
  }
};

/// Differences by full evaluations, on host and device.
template <class T>
struct host_coordinate {
  fault where{};
  std::vector<T> x{};
  double base = 0;
  double prepare(std::span<const T> at, zo::sample_id) {
    x.assign(at.begin(), at.end());
    return base = faulty_loss(x.data(), static_cast<zo::index_t>(x.size()), where);
  }
  void probe(std::span<const zo::index_t> coordinates, std::span<const T> steps,
             std::span<double> differences) {
    for (std::size_t k = 0; k < coordinates.size(); ++k) {
      std::vector<T> moved = x;
      moved[static_cast<std::size_t>(coordinates[k])] += steps[k];
      differences[k] = faulty_loss(moved.data(), static_cast<zo::index_t>(x.size()), where) - base;
    }
  }
};

template <class T>
ZO_HD double moved_loss(const T* x, zo::index_t dimension, zo::index_t moved, T step,
                        const fault& where) {
  double sum = 0;
  for (zo::index_t i = 0; i < dimension; ++i) {
    const auto v = static_cast<double>(i == moved ? x[i] + step : x[i]);
    const double weight = 1.0 + 0.25 * static_cast<double>(i % 5);
    const double bend = weight * v;
    const double term = bend * v - 0.3 * v;
    sum = sum + term;
  }
  const T first = moved == 0 ? x[0] + step : x[0];
  return static_cast<double>(first) > where.above ? where.answer : sum;
}
template <class T>
__global__ void probe_kernel(const T* x, zo::index_t dimension, const zo::index_t* coordinates,
                             const T* steps, zo::index_t count, fault where, const double* base,
                             double* differences) {
  const zo::index_t k = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k >= count) return;
  differences[k] = moved_loss(x, dimension, coordinates[k], steps[k], where) - base[0];
}
template <class T>
struct device_coordinate {
  fault where{};
  zo::cuda::span<const T> x{};
  zo::cuda::span<double> base{};

  void prepare(zo::cuda::span<const T> at, zo::cuda::span<double> loss, cudaStream_t stream,
               zo::sample_id) {
    x = at;
    base = loss;
    launch_losses<T>(stream, {at, 1, at.size()}, where, loss);
  }
  void probe(zo::cuda::span<const zo::index_t> coordinates, zo::cuda::span<const T> steps,
             zo::cuda::span<double> differences, cudaStream_t stream) {
    cudaLaunchConfig_t config{};
    config.stream = stream;
    config.blockDim = dim3(64, 1, 1);
    config.gridDim = dim3(static_cast<unsigned>((steps.size() + 63) / 64), 1, 1);
    check(cudaLaunchKernelEx(&config, probe_kernel<T>, x.data(), x.size(), coordinates.data(),
                             steps.data(), steps.size(), where,
                             static_cast<const double*>(base.data()), differences.data()),
          "launching probes");
  }
};

/// Directions and weights of both signs, for zo::quadrature. Some directions leave x_0 as it is.
inline zo::quadrature_options listed(zo::index_t count, zo::index_t dimension,
                                     zo::failure_policy failures = zo::on_failure::stop) {
  zo::quadrature_options options;
  options.smoothing = 1e-2;
  options.failures = failures;
  for (zo::index_t k = 0; k < count; ++k) {
    for (zo::index_t i = 0; i < dimension; ++i) {
      options.directions.push_back(i == 0 && k % 4 == 0 && dimension > 1
                                       ? 0
                                       : std::sin(static_cast<double>(3 * k + 7 * i + 1)));
    }
    options.weights.push_back(std::cos(static_cast<double>(5 * k)));
  }
  return options;
}

/// A lazy objective with neighbours, a final transform and nothing exact about it.
struct lazy_chain {
  template <class Part>
  ZO_HD double part(const Part& x) const {
    double sum = 0;
    x.each([&](zo::index_t i, auto value) {
      const auto v = static_cast<double>(value);
      const double w = i + 1 < x.size() ? static_cast<double>(x[i + 1]) : 0.0;
      const double a = v - 0.3, b = w - v;
      sum = sum + a * a;
      sum = sum + 0.5 * (b * b);
    });
    return sum;
  }
  ZO_HD double finish(double sum) const { return 0.5 * sum + 1.0; }
};

/// x_0 + 2 x_4999.
struct ends {
  template <class Part>
  ZO_HD double part(const Part& at) const {
    double sum = 0;
    at.each([&](zo::index_t i, float v) {
      if (i == 0) sum += v;
      if (i == 4999) sum += 2 * static_cast<double>(v);
    });
    return sum;
  }
};

/// What a device gradient and its report hold, and the same from the CPU.
template <class T>
struct found {
  std::vector<T> gradient;
  zo::estimate_result result;
};

template <class T>
void expect_same(const found<T>& device, const found<T>& host, const std::string& what) {
  EXPECT_TRUE(same_bits(device.gradient, host.gradient)) << what;
  EXPECT_EQ(device.result.ok, host.result.ok) << what;
  EXPECT_EQ(device.result.queries, host.result.queries) << what;
  EXPECT_EQ(device.result.failed, host.result.failed) << what;
  if (std::isnan(host.result.value)) {
    EXPECT_TRUE(std::isnan(device.result.value)) << what;
  } else {
    EXPECT_EQ(device.result.value, host.result.value) << what;
  }
}

template <class T, class F, class How>
found<T> on_host(F f, const std::vector<T>& x, const How& how,
                 const zo::estimate_options& options = {}) {
  found<T> host{std::vector<T>(x.size(), T(7)), {}};
  host.result = zo::estimate(zo::seq, f, x, host.gradient, how, options);
  return host;
}

template <class T, class F, class How>
found<T> on_gpu(const zo::cuda::policy& on, F f, const std::vector<T>& x, const How& how,
                const zo::estimate_options& options = {}) {
  const zo::cuda::array<T> there(on, x);
  zo::cuda::array<T> gradient(on, std::vector<T>(x.size(), T(7)));
  const zo::estimate_result result = zo::estimate(on, f, there, gradient, how, options).get();
  return {gradient.to_host(), result};
}

}  // namespace testing_zo
