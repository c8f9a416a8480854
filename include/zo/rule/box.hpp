// Bounds: the numbers between a lower and an upper one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"

namespace zo {

/// The x with lower <= x[i] <= upper, for zo::projected. Bounds are two numbers for all
/// coordinates, or two vectors of d; infinite ones bound nothing. They are rounded to the scalar
/// type of x. On a GPU, vectors of bounds are those of zo::cuda::box.
class box {
 public:
  template <class T>
  struct element {
    T lower, upper;
    const double* lowers;  // null, or a bound for each coordinate
    const double* uppers;
    T* x;

    ZO_HD T low(index_t i) const { return lowers == nullptr ? lower : static_cast<T>(lowers[i]); }
    ZO_HD T high(index_t i) const { return uppers == nullptr ? upper : static_cast<T>(uppers[i]); }
    ZO_HD void operator()(index_t i) const {
      if (x[i] < low(i)) x[i] = low(i);
      if (x[i] > high(i)) x[i] = high(i);
    }
  };

  box(double lower, double upper) : lower_(lower), upper_(upper) { check_order(lower, upper); }
  box(std::vector<double> lower, std::vector<double> upper) {
    detail::require(lower.size() == upper.size() && !lower.empty(),
                    "zo::box: both bounds must be vectors of as many numbers as x has, got ",
                    lower.size(), " and ", upper.size());
    for (std::size_t i = 0; i < lower.size(); ++i) check_order(lower[i], upper[i]);
    lowers_ = std::make_shared<const std::vector<double>>(std::move(lower));
    uppers_ = std::make_shared<const std::vector<double>>(std::move(upper));
  }

  template <class T>
  void check(index_t dimension) const {
    detail::require(lowers_ == nullptr || static_cast<index_t>(lowers_->size()) == dimension,
                    "zo::box: there must be bounds for each of the ", dimension,
                    " coordinates of x, got ", lowers_ == nullptr ? 0 : lowers_->size());
  }

  template <class Policy, class X>
  void project(const Policy& policy, X x) const {
    using T = typename X::value_type;
    detail::require(!has_vectors() || execution_policy<Policy>,
                    "zo::box: these bounds are in host memory; on a GPU hand over "
                    "zo::cuda::box(policy, lower, upper)");
    for_coordinates(policy, static_cast<index_t>(x.size()), element_of<T>(x.data()));
  }

  /// The bounds of each coordinate, in host memory, and what moves x[i] between them.
  template <class T>
  element<T> element_of(T* x) const {
    return {static_cast<T>(lower_), static_cast<T>(upper_), data(lowers_), data(uppers_), x};
  }
  const box& on_host() const { return *this; }
  bool has_vectors() const { return lowers_ != nullptr; }
  /// Into a fingerprint.
  template <class Print>
  void describe(Print& print) const {
    print.add(lower_).add(upper_);
    for (const auto& bounds : {lowers_, uppers_}) {
      if (bounds != nullptr) print.add(std::span<const double>(*bounds));
    }
  }

 private:
  static void check_order(double lower, double upper) {
    detail::require(!detail::is_nan(lower) && !detail::is_nan(upper) && lower <= upper,
                    "zo::box: lower must be at most upper, got ", lower, " and ", upper);
  }
  static const double* data(const std::shared_ptr<const std::vector<double>>& bounds) {
    return bounds == nullptr ? nullptr : bounds->data();
  }

  double lower_ = 0, upper_ = 0;
  std::shared_ptr<const std::vector<double>> lowers_, uppers_;
};

/// Moves x by `share` of the way to where the sum of gradient[i] s[i] is least in the set, for
/// zo::frank_wolfe.
template <scalar T>
void lean(const box& set, std::span<T> x, std::span<const T> gradient, double share) {
  const box::element<T> bounds = set.element_of<T>(nullptr);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto k = static_cast<index_t>(i);
    const T s = gradient[i] > T(0) ? bounds.low(k) : gradient[i] < T(0) ? bounds.high(k) : x[i];
    detail::require(detail::is_finite(s), "zo::frank_wolfe: coordinate ", k,
                    " has a bound that is infinite; give both bounds of every coordinate");
    x[i] += static_cast<T>(share * (static_cast<double>(s) - static_cast<double>(x[i])));
    x[i] = std::clamp(x[i], bounds.low(k), bounds.high(k));
  }
}

}  // namespace zo
