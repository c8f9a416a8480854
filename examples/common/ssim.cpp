#include "common/ssim.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace app {
namespace {

constexpr std::int64_t window = 11;

std::array<double, window> gaussian_weights() {
  constexpr double deviation = 1.5;
  std::array<double, window> weights{};
  double sum = 0;
  for (std::int64_t i = 0; i < window; ++i) {
    const double x = static_cast<double>(i - window / 2) / deviation;
    sum += weights[static_cast<std::size_t>(i)] = std::exp(-x * x / 2);
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

// The weighted mean of value(row, column) in every window inside the image: the window is a
// product, so columns first and rows then.
template <class Value>
std::vector<double> window_means(std::int64_t rows, std::int64_t columns, const Value& value) {
  static const auto weights = gaussian_weights();
  const std::int64_t wide = columns - window + 1;
  const std::int64_t high = rows - window + 1;
  const auto at = [wide](std::int64_t row, std::int64_t column) {
    return static_cast<std::size_t>(row * wide + column);
  };
  std::vector<double> across(static_cast<std::size_t>(rows * wide));
  std::vector<double> means(static_cast<std::size_t>(high * wide));
  for (std::int64_t i = 0; i < window; ++i) {
    const double weight = weights[static_cast<std::size_t>(i)];
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < wide; ++column) {
        across[at(row, column)] += weight * value(row, column + i);
      }
    }
  }
  for (std::int64_t i = 0; i < window; ++i) {
    const double weight = weights[static_cast<std::size_t>(i)];
    for (std::int64_t row = 0; row < high; ++row) {
      for (std::int64_t column = 0; column < wide; ++column) {
        means[at(row, column)] += weight * across[at(row + i, column)];
      }
    }
  }
  return means;
}

}  // namespace

double ssim(std::span<const float> first, std::span<const float> second, std::int64_t rows,
            std::int64_t columns) {
  if (rows < window || columns < window) {
    throw std::invalid_argument("app::ssim: an image must have at least 11 x 11 numbers, got " +
                                std::to_string(rows) + " x " + std::to_string(columns));
  }
  const auto size = static_cast<std::size_t>(rows * columns);
  if (first.size() != size || second.size() != size) {
    throw std::invalid_argument("app::ssim: both images must have rows x columns numbers");
  }
  const auto a = [&](std::int64_t row, std::int64_t column) {
    return double{first[static_cast<std::size_t>(row * columns + column)]};
  };
  const auto b = [&](std::int64_t row, std::int64_t column) {
    return double{second[static_cast<std::size_t>(row * columns + column)]};
  };
  const auto mean_of = [&](const auto& value) { return window_means(rows, columns, value); };
  const auto mean_a = mean_of(a);
  const auto mean_b = mean_of(b);
  const auto mean_aa =
      mean_of([&](auto row, auto column) { return a(row, column) * a(row, column); });
  const auto mean_bb =
      mean_of([&](auto row, auto column) { return b(row, column) * b(row, column); });
  const auto mean_ab =
      mean_of([&](auto row, auto column) { return a(row, column) * b(row, column); });
  constexpr double c1 = 0.01 * 0.01;
  constexpr double c2 = 0.03 * 0.03;
  double sum = 0;
  for (std::size_t i = 0; i < mean_a.size(); ++i) {
    const double product = mean_a[i] * mean_b[i];
    const double squares = mean_a[i] * mean_a[i] + mean_b[i] * mean_b[i];
    const double covariance = mean_ab[i] - product;
    const double variances = mean_aa[i] + mean_bb[i] - squares;
    sum += (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2));
  }
  return sum / static_cast<double>(mean_a.size());
}

}  // namespace app
