#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <unsupported/Eigen/FFT>

#include "solver.hpp"

namespace coefficients {

namespace {

using complex = std::complex<double>;
using std::numbers::pi;

// Real functions of period 2 by their coefficients of exp(i pi k x), k from 0 to n / 2.
class fourier {
 public:
  explicit fourier(int points) : points_(points), values_(static_cast<std::size_t>(points)) {
    transform_.SetFlag(Eigen::FFT<double>::HalfSpectrum);
    transform_.SetFlag(Eigen::FFT<double>::Unscaled);
  }
  void to_modes(std::span<complex> modes) { transform_.fwd(modes.data(), values_.data(), points_); }
  std::span<double> to_values(std::span<const complex> modes) {
    transform_.inv(values_.data(), modes.data(), points_);
    return values_;
  }
  std::span<double> values() { return values_; }

 private:
  int points_;
  std::vector<double> values_;
  Eigen::FFT<double> transform_;
};

// The modes are those of u over n. Of the product u^2 the highest third is left out, which would be
// mistaken for lower ones.
class kdv_run {
 public:
  kdv_run(std::size_t points, double lambda, double nu)
      : points_(points),
        kept_(points / 3),
        nu_(nu),
        space_(static_cast<int>(points)),
        square_(points / 2 + 1) {
    for (std::size_t k = 0; k < kept_; ++k) {
      // The square, of values over n, is transformed without the factor 1 / n.
      flux_.push_back(complex(0, -lambda * pi * static_cast<double>(k) / 2) /
                      static_cast<double>(points));
    }
    for (auto& stage : stages_) stage.resize(kept_);
    inner_.resize(square_.size());
  }

  std::size_t kept() const { return kept_; }

  void step(double h, std::span<complex> u) {
    if (h != half_of_) set_step(h);
    auto& [a, b, c, d] = stages_;
    slope(u, a);
    combine([&](std::size_t k) { return half_[k] * (u[k] + h / 2 * a[k]); });
    slope(inner_, b);
    combine([&](std::size_t k) { return half_[k] * u[k] + h / 2 * b[k]; });
    slope(inner_, c);
    combine([&](std::size_t k) { return half_[k] * (half_[k] * u[k] + h * c[k]); });
    slope(inner_, d);
    for (std::size_t k = 0; k < kept_; ++k) {
      u[k] = half_[k] * (half_[k] * (u[k] + h / 6 * a[k]) + h / 3 * (b[k] + c[k])) + h / 6 * d[k];
    }
  }

 private:
  // exp(i nu k^3 h / 2): what the linear part does in half a step.
  void set_step(double h) {
    half_of_ = h;
    half_.clear();
    for (std::size_t k = 0; k < kept_; ++k) {
      const double number = pi * static_cast<double>(k);
      half_.push_back(std::polar(1.0, nu_ * number * number * number * h / 2));
    }
  }

  template <class Term>
  void combine(const Term& term) {
    for (std::size_t k = 0; k < kept_; ++k) inner_[k] = term(k);
  }

  void slope(std::span<const complex> u, std::span<complex> out) {
    std::copy_n(u.begin(), kept_, square_.begin());
    std::fill(square_.begin() + static_cast<std::ptrdiff_t>(kept_), square_.end(), complex(0));
    for (double& value : space_.to_values(square_)) value *= value;
    space_.to_modes(square_);
    for (std::size_t k = 0; k < kept_; ++k) out[k] = flux_[k] * square_[k];
  }

  std::size_t points_, kept_;
  double nu_, half_of_ = 0;
  fourier space_;
  std::vector<complex> flux_, half_, stages_[4], inner_, square_;
};

class kdv_solver : public solver {
 public:
  kdv_solver(const field_points& at, const resolution& how, std::span<const double> initial)
      : columns_(at.x.size()), t_(at.t), how_(how) {
    fourier space(how.space);
    std::ranges::copy(initial, space.values().begin());
    initial_.resize(initial.size() / 2 + 1);
    space.to_modes(initial_);
    for (complex& mode : initial_) mode /= how.space;
  }

  void solve(std::span<const double> coefficients, std::span<double> field) const override {
    kdv_run run(static_cast<std::size_t>(how_.space), coefficients[0], coefficients[1]);
    fourier wanted(static_cast<int>(columns_));
    std::vector<complex> u(initial_.begin(),
                           initial_.begin() + static_cast<std::ptrdiff_t>(run.kept()));
    std::vector<complex> all(columns_ / 2 + 1);
    for (std::size_t row = 0; row < t_.size(); ++row) {
      if (row > 0) {
        const double span = t_[row] - t_[row - 1];
        const int count = steps_within(how_, span, t_.back() - t_.front());
        for (int k = 0; k < count; ++k) run.step(span / count, u);
      }
      // Of a lost solution all modes are NaN, and so are the values.
      std::copy_n(u.begin(), std::min(u.size(), all.size() - 1), all.begin());
      std::ranges::copy(wanted.to_values(all),
                        field.begin() + static_cast<std::ptrdiff_t>(row * columns_));
    }
  }

 private:
  std::size_t columns_;
  std::vector<double> t_;
  resolution how_;
  std::vector<complex> initial_;
};

}  // namespace

std::unique_ptr<solver> make_kdv(const field_points& at, const resolution& how,
                                 std::span<const double> initial) {
  return std::make_unique<kdv_solver>(at, how, initial);
}

std::unique_ptr<solver> make_kdv(const field_points& at, const resolution& how) {
  std::vector<double> initial;
  for (int i = 0; i < how.space; ++i) initial.push_back(std::cos(pi * (2.0 * i / how.space - 1)));
  return make_kdv(at, how, initial);
}

}  // namespace coefficients
