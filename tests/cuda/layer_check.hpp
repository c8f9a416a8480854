// Layers on a GPU, or on the emulator, against the textbook: the squared error of the outputs, and
// what one element of each parameter does to it. Found instead of tests/nn/layer_check.hpp.
#pragma once

#include <cuda_runtime.h>

#include "nn/layer_case.hpp"
#include "zo/cuda.hpp"
#include "zo/cuda/network.hpp"

namespace testing_nn {

// The mean of y^2, and of the magnitudes that make its change: rounding of one number may reach all
// of its sample.
inline wide error_of(const std::vector<wide>& y) {
  wide sum = 0;
  for (const wide one : y) sum += one * one;
  return sum / wide(y.size());
}
inline wide terms_of(const std::vector<wide>& before, const std::vector<wide>& after,
                     std::size_t of_sample, wide least) {
  wide terms = 0;
  for (std::size_t first = 0; first < before.size(); first += of_sample) {
    wide largest = least;
    for (std::size_t i = first; i < first + of_sample; ++i) {
      largest = std::max(largest, abs_of(after[i] - before[i]));
    }
    for (std::size_t i = first; i < first + of_sample; ++i) {
      terms += largest * (2 * abs_of(before[i]) + largest);
    }
  }
  return terms / wide(before.size());
}

template <class T>
void expect_textbook(const layer_case& c, double units, cudaStream_t stream) {
  const zo::cuda::policy on = zo::cuda::on(stream);
  const std::vector<T> parameters = c.parameters<T>(), x(c.inputs.begin(), c.inputs.end());
  const std::vector<wide> p = widened(parameters), inputs = widened(x);
  const zo::cuda::array<T> there(on, parameters), data(on, x), running(on, c.statistics<T>());
  const zo::cuda::array<double> wanted(
      on, std::vector<double>(static_cast<std::size_t>(c.count * c.net.output().size())));
  zo::cuda::network_objective<T> f(
      on, c.net,
      [&](zo::sample_id) {
        return zo::cuda::network_batch<T>{data, c.count, zo::cuda::span<const double>(wanted)};
      },
      running, {.mode = c.mode});
  zo::cuda::array<double> loss(on, 1);
  f.prepare(there, loss, stream, 0);
  const std::vector<wide> before = c.outputs(p, inputs);
  const auto size = static_cast<std::size_t>(c.net.output().size());
  const wide epsilon = std::numeric_limits<T>::epsilon();
  EXPECT_LE(abs_of(loss.to_host()[0] - error_of(before)),
            units * epsilon * terms_of(before, std::vector<wide>(before.size()), size, 0));
  for (const double step : layer_steps) {
    std::vector<index_t> coordinates;
    each_parameter(c.net, [&](const nn::view& v, index_t element) {
      coordinates.push_back(v.offset + element);
    });
    const std::vector<T> steps(coordinates.size(), static_cast<T>(step));
    const zo::cuda::array<index_t> which(on, coordinates);
    const zo::cuda::array<T> by(on, steps);
    zo::cuda::array<double> found(on, static_cast<index_t>(steps.size()));
    f.probe(coordinates, which, by, found, stream);
    const std::vector<double> made = found.to_host();
    for (std::size_t k = 0; k < made.size(); ++k) {
      const std::vector<wide> after = outputs_after(c, p, inputs, coordinates[k], steps[k]);
      const wide off = abs_of(wide(made[k]) - (error_of(after) - error_of(before)));
      const wide terms = terms_of(before, after, size, step / 100);
      EXPECT_LE(static_cast<double>(off / (epsilon * terms)), units * (1 + step))
          << c.net.parameter_of(coordinates[k]).name << " at a step of " << step;
    }
  }
}

inline void expect_textbook(const layer_case& c, double units = 500) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    GTEST_SKIP() << "there is no CUDA device here";
  }
  cudaStream_t stream = nullptr;
  zo::cuda::detail::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                          "cudaStreamCreate");
  expect_textbook<double>(c, units, stream);
  expect_textbook<float>(c, units, stream);
  zo::cuda::detail::check(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

}  // namespace testing_nn
