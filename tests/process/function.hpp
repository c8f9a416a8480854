// What the test program computes, so that a test can compute it too.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace testing_zo {

template <class T>
double valley(std::span<const T> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = static_cast<double>(x[i]) - 0.1 * static_cast<double>(i + 1);
    sum += at * at + std::sin(3 * at) / 7;
  }
  return sum;
}

// The same with noise that follows from a sample.
template <class T>
double noisy_valley(std::span<const T> x, std::uint64_t sample) {
  return valley(x) + static_cast<double>(sample % 1000) / 3 * static_cast<double>(x[0]);
}

// Answer i of a map.
template <class T>
double mapped(std::span<const T> x, std::size_t i) {
  return std::cos(static_cast<double>(x[i % x.size()])) * static_cast<double>(i + 1);
}

}  // namespace testing_zo
