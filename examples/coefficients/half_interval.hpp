// Functions on [-1, 1] that are even or odd, on points of its right half.
#pragma once

#include <array>
#include <span>
#include <vector>

namespace coefficients {

/// How a function goes on beyond an end of [0, 1].
enum class mirror {
  even,  ///< as its mirror image
  odd    ///< as its mirror image with the other sign
};

/// n points x_i = s_i - b sin(pi s_i) / pi with s_i = (i + 1/2) / n: equal steps for b = 0, and
/// nearly 1 / (1 - b) times as dense at 0 for b below 1. Derivatives are fourth-order central
/// differences in s; mirror images give the values beyond the ends, so no point needs its own rule.
class half_interval {
 public:
  static constexpr int reach = 2;  ///< neighbours in a difference, on each side

  half_interval(int points, double crowding, mirror at_zero, mirror at_one);

  int size() const { return size_; }
  std::span<const double> x() const { return x_; }

  /// `values` with `reach` mirrored ones before and after: `padded` holds size() + 2 reach.
  void pad(std::span<const double> values, std::span<double> padded) const;

  /// First and second derivatives in x: at point i the sum over k of first[k] or second[k] times
  /// the neighbours i - reach + k.
  using stencil = std::array<double, 2 * reach + 1>;
  std::span<const stencil> first() const { return first_; }
  std::span<const stencil> second() const { return second_; }

  /// The point that neighbour i (from -reach to size() + reach - 1) stands for, and its sign.
  struct image {
    int point;
    double sign;
  };
  image at(int i) const;

  /// A linear combination of values that gives the function at any x of [-1, 1].
  struct combination {
    std::array<int, 6> points;
    std::array<double, 6> weights;
    double operator()(std::span<const double> values) const {
      double sum = 0;
      for (std::size_t k = 0; k < points.size(); ++k) {
        sum += weights[k] * values[static_cast<std::size_t>(points[k])];
      }
      return sum;
    }
  };
  combination between(double x) const;

 private:
  int size_;
  double crowding_;
  mirror at_zero_, at_one_;
  std::vector<double> x_;
  std::vector<stencil> first_, second_;
};

}  // namespace coefficients
