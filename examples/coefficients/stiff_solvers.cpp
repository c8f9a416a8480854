#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "half_interval.hpp"
#include "rosenbrock.hpp"
#include "solver.hpp"

namespace coefficients {

namespace {

using std::numbers::pi;
constexpr int reach = half_interval::reach;

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

// y' on the points of a half interval, where y is mirrored as the grid says.
class mirrored_system : public stiff_system {
 public:
  explicit mirrored_system(const half_interval& grid)
      : grid_(grid), padded_(static_cast<std::size_t>(grid.size() + 2 * reach)) {}

  // What neighbour k of a point adds to the Jacobian.
  template <class Entry>
  void fill(band_matrix& out, const Entry& entry) const {
    std::ranges::fill(out.values(), 0.0);
    for (int i = 0; i < grid_.size(); ++i) {
      for (int k = -reach; k <= reach; ++k) {
        const half_interval::image from = grid_.at(i + k);
        out.at(i, from.point) += from.sign * entry(i, k);
      }
    }
  }

 protected:
  static double along(const half_interval::stencil& weights, const double* first) {
    double sum = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) sum += weights[k] * first[k];
    return sum;
  }

  const half_interval& grid_;
  std::vector<double> padded_;
};

// The advection is a third of u u_x and two of (u^2 / 2)_x: summed against u they vanish, so that
// what is not resolved does not blow up.
class burgers_system : public mirrored_system {
 public:
  burgers_system(const half_interval& grid, double lambda, double nu)
      : mirrored_system(grid), lambda_(lambda), nu_(nu), squares_(padded_.size()) {}

  void slope(std::span<const double> y, std::span<double> out) override {
    grid_.pad(y, padded_);
    for (std::size_t i = 0; i < padded_.size(); ++i) squares_[i] = padded_[i] * padded_[i];
    for (std::size_t i = 0; i < y.size(); ++i) {
      const auto& d = grid_.first()[i];
      const double advected = along(d, &squares_[i]) + y[i] * along(d, &padded_[i]);
      out[i] = nu_ * along(grid_.second()[i], &padded_[i]) - lambda_ / 3 * advected;
    }
  }

  void jacobian(std::span<const double> y, band_matrix& out) override {
    grid_.pad(y, padded_);
    fill(out, [&](int row, int k) {
      const auto i = static_cast<std::size_t>(row);
      const auto place = static_cast<std::size_t>(k + reach);
      const auto& d = grid_.first()[i];
      double advected = d[place] * (2 * padded_[i + place] + y[i]);
      if (k == 0) advected += along(d, &padded_[i]);
      return nu_ * grid_.second()[i][place] - lambda_ / 3 * advected;
    });
  }

 private:
  double lambda_, nu_;
  std::vector<double> squares_;
};

// Of w = u + 1, which is odd about the end.
class allen_cahn_system : public mirrored_system {
 public:
  allen_cahn_system(const half_interval& grid, double lambda1, double lambda2)
      : mirrored_system(grid), diffusion_(lambda1), reaction_(lambda2) {}

  void slope(std::span<const double> y, std::span<double> out) override {
    grid_.pad(y, padded_);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double u = y[i] - 1;
      out[i] = diffusion_ * along(grid_.second()[i], &padded_[i]) + reaction_ * (u - u * u * u);
    }
  }

  void jacobian(std::span<const double> y, band_matrix& out) override {
    fill(out, [&](int row, int k) {
      const auto i = static_cast<std::size_t>(row);
      const double u = y[i] - 1;
      const double reacted = k == 0 ? reaction_ * (1 - 3 * u * u) : 0;
      return diffusion_ * grid_.second()[i][static_cast<std::size_t>(k + reach)] + reacted;
    });
  }

 private:
  double diffusion_, reaction_;
};

// Solves a system from its initial values on, and reads the field off its grid.
template <class System>
class stiff_solver : public solver {
 public:
  stiff_solver(half_interval grid, const field_points& at, const resolution& how,
               std::vector<double> initial, double offset)
      : grid_(std::move(grid)), t_(at.t), how_(how), initial_(std::move(initial)), offset_(offset) {
    for (const double x : at.x) columns_.push_back(grid_.between(x));
  }

  void solve(std::span<const double> coefficients, std::span<double> field) const override {
    System system(grid_, coefficients[0], coefficients[1]);
    rosenbrock method(system, grid_.size(), reach);
    std::vector<double> y = initial_;
    bool lost = !all_finite(coefficients);
    for (std::size_t row = 0; row < t_.size(); ++row) {
      if (row > 0 && !lost) {
        const double span = t_[row] - t_[row - 1];
        const int count = steps_within(how_, span, t_.back() - t_.front());
        for (int k = 0; k < count; ++k) method.step(span / count, y);
        lost = !all_finite(y);
      }
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        field[row * columns_.size() + i] =
            lost ? std::numeric_limits<double>::quiet_NaN() : columns_[i](y) + offset_;
      }
    }
  }

 private:
  half_interval grid_;
  std::vector<double> t_;
  resolution how_;
  std::vector<double> initial_;
  double offset_;
  std::vector<half_interval::combination> columns_;
};

}  // namespace

int steps_within(const resolution& how, double span, double whole) {
  return std::max(1, static_cast<int>(std::lround(how.steps * span / whole)));
}

std::unique_ptr<solver> make_burgers(const field_points& at, const resolution& how) {
  constexpr double crowding = 0.85;
  half_interval grid(how.space / 2, crowding, mirror::odd, mirror::odd);
  std::vector<double> initial;
  for (const double x : grid.x()) initial.push_back(-std::sin(pi * x));
  return std::make_unique<stiff_solver<burgers_system>>(grid, at, how, initial, 0);
}

std::unique_ptr<solver> make_allen_cahn(const field_points& at, const resolution& how) {
  half_interval grid(how.space / 2, 0, mirror::even, mirror::odd);
  std::vector<double> initial;
  for (const double x : grid.x()) initial.push_back(x * x * std::cos(pi * x) + 1);
  return std::make_unique<stiff_solver<allen_cahn_system>>(grid, at, how, initial, -1);
}

}  // namespace coefficients
