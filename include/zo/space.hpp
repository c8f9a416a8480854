// Parameters as people have them, with names, bounds and scales, and the numbers an optimizer
// moves.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/rule/box.hpp"
#include "zo/team.hpp"

namespace zo {

/// Along what a parameter is moved: its value, or its logarithm, for numbers of which a factor
/// matters and not a difference.
enum class scale { linear, log };

/// One number of the user's.
struct parameter {
  std::string name{};
  /// Where the bounds are equal it is fixed. Infinite ones bound nothing, on a linear scale.
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
  std::optional<double> start{};  ///< unset: the middle of the bounds, on its scale
  zo::scale scale = zo::scale::linear;
  bool whole = false;  ///< f is asked with whole numbers only
  /// By how much it changes where x changes by 1. Unset: by all of its range between two bounds, by
  /// 1 otherwise. On a linear scale.
  std::optional<double> unit{};
};

namespace detail {

template <class F>
class space_objective;

}  // namespace detail

/// What lies between f of somebody's parameters and an optimizer of x:
///
///   const zo::space wing({{.name = "camber", .lower = 0, .upper = 0.09, .start = 0.02},
///                         {.name = "rate", .lower = 1e-6, .upper = 1, .scale = zo::scale::log},
///                         {.name = "flaps", .lower = 0, .upper = 4, .whole = true}});
///   std::vector<double> x = wing.start();
///   zo::minimize(zo::par, wing.objective(f), x, zo::inside(wing.bounds(), how),
///                zo::projected(rule, wing.bounds()), {.max_queries = 500});
///   const std::vector<double> best = wing.values(x);
///
/// x has a number for each parameter that is not fixed. Between two bounds it goes from 0 to 1, so
/// that a smoothing parameter of 0.01 is a hundredth of each range, and a rate means the same for
/// all; one with a single bound begins at 0 there. Whatever x is, values never leave their bounds,
/// and where x is at a bound they are exactly that.
///
/// Whole numbers: asked with a sample they are rounded at random, alike in all queries of an
/// estimate (zo::integers), which the objective of a space does by itself; values(x) are the
/// nearest. Take steps of half the distance between two whole numbers or more:
/// 0.5 / (upper - lower). Bounds are those of the whole numbers between them.
///
/// Objects hold all they need and may be copied. On a log scale the last bit of a value is that of
/// the C library's exp, on this machine. Memory: a number a parameter and query. Throws
/// std::invalid_argument for parameters that are none.
class space {
 public:
  explicit space(std::vector<parameter> parameters, std::uint64_t seed = 0);

  /// Parameters, and how many of them are free, which is the dimension of x.
  index_t size() const { return static_cast<index_t>(parameters_.size()); }
  index_t dimension() const { return static_cast<index_t>(free_.size()); }
  /// As they were handed in, but for start, and for the bounds of whole ones.
  const std::vector<parameter>& parameters() const { return parameters_; }
  std::vector<std::string> names() const;

  /// x of the starting values.
  template <scalar T = double>
  std::vector<T> start() const {
    std::vector<double> values;
    for (const parameter& one : parameters_) values.push_back(*one.start);
    return x_of<T>(values);
  }
  /// x of these values, a number a parameter, which must lie between the bounds.
  template <scalar T = double>
  std::vector<T> x_of(std::span<const double> values) const {
    const std::vector<double> x = checked_x_of(values);
    return {x.begin(), x.end()};
  }
  /// Between which x lies, for zo::inside and zo::projected.
  box bounds() const;

  /// The values at x, a number a parameter: whole ones the nearest, or rounded as in the query of
  /// this sample.
  template <contiguous_vector X>
  std::vector<double> values(const X& x) const {
    return values_at(x, std::nullopt);
  }
  template <contiguous_vector X>
  std::vector<double> values(const X& x, sample_id sample) const {
    return values_at(x, sample);
  }

  /// f(values) or f(values, sample), one number for one point, or f(points, losses) or f(points,
  /// losses, sample) for many, all of doubles, as an objective of x, which may be of floats. f is
  /// copied; it is called as f of a const object, perhaps from several threads.
  template <class F>
  detail::space_objective<F> objective(F f) const {
    return {*this, std::move(f)};
  }

  /// Into a fingerprint: all that says which values an x means.
  void describe(detail::fingerprint& print) const;

 private:
  template <class F>
  friend class detail::space_objective;

  struct free_parameter {
    std::size_t at;    // among all
    double origin;     // value or logarithm at x = 0
    double unit;       // and how far from it x = 1 is
    double low, high;  // bounds of x
  };

  std::vector<double> checked_x_of(std::span<const double> values) const;
  // Compiled in src/space.cpp.
  template <scalar T>
  void write_values(std::span<const T> x, std::optional<sample_id> sample, double* values) const;
  template <contiguous_vector X>
  std::vector<double> values_at(const X& x, std::optional<sample_id> sample) const {
    using T = scalar_of<X>;
    std::vector<double> all(parameters_.size());
    write_values(std::span<const T>(std::ranges::data(x), std::ranges::size(x)), sample,
                 all.data());
    return all;
  }

  std::vector<parameter> parameters_;
  std::vector<free_parameter> free_;
  std::uint64_t seed_;
};

namespace detail {

template <class F>
class space_objective {
  static constexpr bool sampled = sampled_objective<const F, double>;
  static constexpr bool at_a_point = sampled || scalar_objective<const F, double>;
  static_assert(at_a_point || batch_objective<const F, double>,
                "zo::space: f is called as f(std::span<const double>), perhaps with a sample, or "
                "f(zo::points<double>, std::span<double>), perhaps with a sample, and is const");

 public:
  space_objective(const space& of, F f) : space_(of), f_(std::move(f)) {}

  double operator()(std::span<const float> x, sample_id sample) const requires at_a_point {
    return asked(x, sample);
  }
  double operator()(std::span<const double> x, sample_id sample) const requires at_a_point {
    return asked(x, sample);
  }
  double operator()(std::span<const float> x) const requires(at_a_point && !sampled) {
    return static_cast<double>(f_(std::span<const double>(space_.values(x))));
  }
  double operator()(std::span<const double> x) const requires(at_a_point && !sampled) {
    return static_cast<double>(f_(std::span<const double>(space_.values(x))));
  }
  void operator()(points<float> at, std::span<double> losses, sample_id sample) const
      requires(!at_a_point) {
    ask_all(at, losses, sample);
  }
  void operator()(points<double> at, std::span<double> losses, sample_id sample) const
      requires(!at_a_point) {
    ask_all(at, losses, sample);
  }

 private:
  template <class T>
  double asked(std::span<const T> x, sample_id sample) const {
    const std::vector<double> values = space_.values(x, sample);
    if constexpr (sampled) {
      return static_cast<double>(f_(std::span<const double>(values), sample));
    } else {
      return static_cast<double>(f_(std::span<const double>(values)));
    }
  }
  template <class T>
  void ask_all(points<T> at, std::span<double> losses, sample_id sample) const {
    std::vector<double> values(static_cast<std::size_t>(at.count * space_.size()));
    for (index_t k = 0; k < at.count; ++k) {
      space_.write_values(at[k], sample, values.data() + k * space_.size());
    }
    const points<double> all{values, at.count, space_.size()};
    if constexpr (sampled_batch_objective<const F, double>) {
      f_(all, losses, sample);
    } else {
      f_(all, losses);
    }
  }

  space space_;
  F f_;
};

}  // namespace detail
}  // namespace zo
