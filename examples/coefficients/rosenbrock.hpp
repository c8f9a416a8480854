// Stiff systems of ordinary differential equations whose Jacobian is a band.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace coefficients {

/// An n x n matrix with `reach` diagonals on each side of the main one, row by row.
class band_matrix {
 public:
  band_matrix(int size, int reach)
      : size_(size), reach_(reach), values_(static_cast<std::size_t>(size * (2 * reach + 1))) {}

  /// The entry of a row and column at most `reach` apart.
  double& at(int row, int column) {
    return values_[static_cast<std::size_t>(row * (2 * reach_ + 1) + column - row + reach_)];
  }
  double at(int row, int column) const { return const_cast<band_matrix&>(*this).at(row, column); }

  /// Triangular factors in place, without exchanging rows: for matrices whose diagonal is large.
  void factorize();
  /// Solves with the factors; `x` holds the right side before.
  void solve(std::span<double> x) const;

  int size() const { return size_; }
  int reach() const { return reach_; }
  std::span<double> values() { return values_; }

 private:
  int size_, reach_;
  std::vector<double> values_;
};

/// y' = f(y) with its Jacobian.
class stiff_system {
 public:
  virtual ~stiff_system() = default;
  virtual void slope(std::span<const double> y, std::span<double> out) = 0;
  virtual void jacobian(std::span<const double> y, band_matrix& out) = 0;
};

/// One step of size h after another of RODAS3 (Sandu et al., Atmospheric Environment 31, 1997):
/// order 3, L-stable, one factorization and four solutions a step.
class rosenbrock {
 public:
  rosenbrock(stiff_system& system, int size, int reach);
  void step(double h, std::span<double> y);

 private:
  stiff_system& system_;
  band_matrix matrix_;
  std::vector<double> stages_[4], slope_, inner_;
};

}  // namespace coefficients
