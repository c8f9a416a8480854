#include "half_interval.hpp"

#include <cmath>
#include <numbers>

namespace coefficients {

namespace {

using std::numbers::pi;

double sign_of(mirror how) { return how == mirror::even ? 1 : -1; }

double position(double s, double crowding) { return s - crowding * std::sin(pi * s) / pi; }

// The s of an x, which grows with it.
double inverse(double x, double crowding) {
  double low = 0, high = 1;
  for (int halved = 0; halved < 60; ++halved) {
    const double middle = (low + high) / 2;
    (position(middle, crowding) < x ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

half_interval::half_interval(int points, double crowding, mirror at_zero, mirror at_one)
    : size_(points), crowding_(crowding), at_zero_(at_zero), at_one_(at_one) {
  const double h = 1.0 / points;
  constexpr stencil slope{1.0 / 12, -8.0 / 12, 0, 8.0 / 12, -1.0 / 12};
  constexpr stencil bend{-1.0 / 12, 16.0 / 12, -30.0 / 12, 16.0 / 12, -1.0 / 12};
  for (int i = 0; i < points; ++i) {
    const double s = (i + 0.5) * h;
    const double stretch = 1 - crowding * std::cos(pi * s);
    const double change = crowding * pi * std::sin(pi * s);
    x_.push_back(position(s, crowding));
    stencil first, second;
    for (std::size_t k = 0; k < first.size(); ++k) {
      first[k] = slope[k] / h / stretch;
      second[k] = bend[k] / (h * h) / (stretch * stretch) - first[k] * change / (stretch * stretch);
    }
    first_.push_back(first);
    second_.push_back(second);
  }
}

half_interval::image half_interval::at(int i) const {
  if (i < 0) return {-1 - i, sign_of(at_zero_)};
  if (i >= size_) return {2 * size_ - 1 - i, sign_of(at_one_)};
  return {i, 1};
}

void half_interval::pad(std::span<const double> values, std::span<double> padded) const {
  const auto copied = [&](int i) {
    const image from = at(i);
    padded[static_cast<std::size_t>(i + reach)] =
        from.sign * values[static_cast<std::size_t>(from.point)];
  };
  for (int i = 0; i < size_; ++i) {
    padded[static_cast<std::size_t>(i + reach)] = values[static_cast<std::size_t>(i)];
  }
  for (int k = 0; k < reach; ++k) {
    copied(-1 - k);
    copied(size_ + k);
  }
}

half_interval::combination half_interval::between(double x) const {
  combination made{};
  const double place = inverse(std::abs(x), crowding_) * size_ - 0.5;
  const int first = static_cast<int>(std::floor(place)) - 2;
  for (int k = 0; k < 6; ++k) {
    double weight = x < 0 ? sign_of(at_zero_) : 1;
    for (int other = 0; other < 6; ++other) {
      if (other != k) weight *= (place - first - other) / (k - other);
    }
    const image from = at(first + k);
    made.points[static_cast<std::size_t>(k)] = from.point;
    made.weights[static_cast<std::size_t>(k)] = weight * from.sign;
  }
  return made;
}

}  // namespace coefficients
