// Slopes along directions of the user's own, weighted: quadrature rules over directions, or any
// other fixed set.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/difference.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/outcome.hpp"
#include "zo/rounding.hpp"
#include "zo/smoothing.hpp"

namespace zo {

struct quadrature_options {
  std::vector<double> directions;        ///< K x d, row-major, finite
  std::vector<double> weights;           ///< K, finite
  smoothing_parameter smoothing = 1e-3;  ///< mu, the step in units of a direction; a number
  failure_policy failures{};
};

namespace detail {

template <class M, difference_scheme S>
class quadrature_slopes {
 public:
  using T = typename M::value_type;
  static constexpr bool uses_base = S::uses_base;
  static constexpr int sides = S::points;
  static constexpr bool may_probe = false;
  static constexpr bool rescales = false;
  static constexpr bool replaces = false;

  explicit quadrature_slopes(const quadrature_options& options)
      : options_(options), table_(options.directions.size()) {
    for (std::size_t k = 0; k < table_.size(); ++k) {
      table_[k] = static_cast<T>(options.directions[k]);
      require(is_finite(table_[k]), "zo::quadrature: direction number ", options.directions[k],
              " is infinite in this scalar type; use double");
      largest_ = std::max(largest_, std::abs(options.directions[k]));
    }
    const double smoothing = options.smoothing.number("zo::quadrature");
    const auto step = static_cast<T>(smoothing);
    require(step > 0 && is_finite(step), "zo::quadrature: smoothing ", smoothing,
            " is zero or infinite in this scalar type");
    smoothing_ = static_cast<double>(step);
  }

  failure_policy failures() const { return options_.failures; }
  index_t count() const { return static_cast<index_t>(options_.weights.size()); }

  bool begin(M& machine, bool) {
    const index_t dimension = machine.problem().dimension;
    require(static_cast<index_t>(table_.size()) == count() * dimension, "zo::quadrature: ", count(),
            " directions of ", dimension, " numbers need ", count() * dimension, ", got ",
            table_.size());
    along_ = machine.listed(table_.data(), options_.weights.data(), sides, smoothing_);
    machine.clear_gradients();
    return machine.find_faults(
        check_of<T>(rademacher{}, smoothing_ * (largest_ > 0 ? largest_ : 1), dimension));
  }
  void reserve(M&, index_t) {}
  void pose(M& machine, index_t first, index_t count, bool base) {
    along_.start_at(first);
    machine.pose(along_, count * sides * machine.problem().rows, sides, base);
  }
  void take(M& machine, index_t, index_t count) {
    machine.weigh(along_, count, uses_base);
    if (!machine.stopped()) machine.combine(along_, count);
  }

 private:
  const quadrature_options& options_;
  std::vector<T> table_;
  typename M::listed_directions along_;
  double smoothing_ = 0;
  double largest_ = 0;
};

}  // namespace detail

/// Weighted sum of slopes along given directions u_1 … u_K, the same at every step and row:
///   g = sum_k w_k [f(x + mu u_k) - f(x)] / mu u_k             (forward)
///   g = sum_k w_k [f(x + mu u_k) - f(x - mu u_k)] / 2 mu u_k  (central)
/// Nothing is scaled: for a gradient the directions and weights satisfy sum_k w_k u_k u_kᵀ = I.
///
/// Queries: 1 + K forward, 2 K central. Memory: K d numbers for the directions. Under
/// on_failure::drop a failed direction is left out, and the others keep their weights. Source:
/// (FG)²U, NeurIPS 2024, whose zeroth-order variant uses a grid of 12 points a dimension. On a GPU
/// the directions are copied to the device at every estimate.
template <difference_scheme S = forward>
class quadrature {
 public:
  using scheme_type = S;
  static constexpr zo::asks asks = zo::asks::points;

  quadrature(quadrature_options options, S = {})
      : options_(std::move(options)) {  // NOLINT: reads well
    constexpr const char* who = "zo::quadrature";
    detail::require(!options_.weights.empty(), who, ": give at least 1 direction and its weight");
    detail::require(options_.directions.size() % options_.weights.size() == 0, who, ": ",
                    options_.directions.size(), " numbers are no ", options_.weights.size(),
                    " directions, one for each weight");
    options_.smoothing.number(who);
    options_.smoothing.check(who);
    for (const double w : options_.weights) {
      detail::require(detail::is_finite(w), who, ": a weight is ", w, "; weights are finite");
    }
    for (const double u : options_.directions) {
      detail::require(detail::is_finite(u), who, ": a direction has ", u,
                      "; its numbers are finite");
    }
  }

  const quadrature_options& options() const { return options_; }
  index_t queries(index_t /*dimension*/) const {
    return (S::uses_base ? 1 : 0) + S::points * static_cast<index_t>(options_.weights.size());
  }
  /// No coordinate of a candidate is further from that of x.
  double reach() const {
    double largest = 0;
    for (const double u : options_.directions) largest = std::max(largest, std::abs(u));
    return options_.smoothing * largest;
  }
  template <class M>
  auto start(M& machine) const {
    return detail::slope_run<M, detail::quadrature_slopes<M, S>>(
        machine, detail::quadrature_slopes<M, S>(options_));
  }
  void describe(detail::fingerprint& print) const {
    print.add(std::span<const double>(options_.directions));
    print.add(std::span<const double>(options_.weights));
    options_.smoothing.describe(print);
    options_.failures.describe(print);
  }

 private:
  quadrature_options options_;
};

}  // namespace zo
