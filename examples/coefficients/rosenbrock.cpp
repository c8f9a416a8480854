#include "rosenbrock.hpp"

#include <algorithm>

namespace coefficients {

void band_matrix::factorize() {
  for (int k = 0; k < size_; ++k) {
    const int last = std::min(size_ - 1, k + reach_);
    const double pivot = 1 / at(k, k);
    for (int row = k + 1; row <= last; ++row) {
      const double factor = at(row, k) * pivot;
      at(row, k) = factor;
      for (int column = k + 1; column <= last; ++column) at(row, column) -= factor * at(k, column);
    }
    at(k, k) = pivot;
  }
}

void band_matrix::solve(std::span<double> x) const {
  for (int row = 0; row < size_; ++row) {
    double sum = x[static_cast<std::size_t>(row)];
    for (int column = std::max(0, row - reach_); column < row; ++column) {
      sum -= at(row, column) * x[static_cast<std::size_t>(column)];
    }
    x[static_cast<std::size_t>(row)] = sum;
  }
  for (int row = size_ - 1; row >= 0; --row) {
    double sum = x[static_cast<std::size_t>(row)];
    for (int column = row + 1; column <= std::min(size_ - 1, row + reach_); ++column) {
      sum -= at(row, column) * x[static_cast<std::size_t>(column)];
    }
    x[static_cast<std::size_t>(row)] = sum * at(row, row);  // the factors keep its inverse
  }
}

rosenbrock::rosenbrock(stiff_system& system, int size, int reach)
    : system_(system), matrix_(size, reach) {
  const auto n = static_cast<std::size_t>(size);
  for (auto& stage : stages_) stage.resize(n);
  slope_.resize(n);
  inner_.resize(n);
}

// The stages k solve (2/h I - J) k_i = f(y + sum_j a_ij k_j) + sum_j c_ij / h k_j.
void rosenbrock::step(double h, std::span<double> y) {
  const std::size_t n = y.size();
  system_.jacobian(y, matrix_);
  for (double& value : matrix_.values()) value = -value;
  for (int i = 0; i < matrix_.size(); ++i) matrix_.at(i, i) += 2 / h;
  matrix_.factorize();

  auto& [k1, k2, k3, k4] = stages_;
  system_.slope(y, slope_);
  k1 = slope_;
  matrix_.solve(k1);
  for (std::size_t i = 0; i < n; ++i) k2[i] = slope_[i] + 4 / h * k1[i];
  matrix_.solve(k2);
  for (std::size_t i = 0; i < n; ++i) inner_[i] = y[i] + 2 * k1[i];
  system_.slope(inner_, slope_);
  for (std::size_t i = 0; i < n; ++i) k3[i] = slope_[i] + (k1[i] - k2[i]) / h;
  matrix_.solve(k3);
  for (std::size_t i = 0; i < n; ++i) inner_[i] += k3[i];
  system_.slope(inner_, slope_);
  for (std::size_t i = 0; i < n; ++i) k4[i] = slope_[i] + (k1[i] - k2[i] - 8.0 / 3 * k3[i]) / h;
  matrix_.solve(k4);
  for (std::size_t i = 0; i < n; ++i) y[i] = inner_[i] + k4[i];
}

}  // namespace coefficients
