// RGE, the random gradient estimate: slopes along random directions, averaged.
#pragma once

#include <cstdint>
#include <memory>

#include "zo/config.hpp"
#include "zo/difference.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/outcome.hpp"
#include "zo/rounding.hpp"
#include "zo/smoothing.hpp"

namespace zo {

struct rge_options {
  index_t directions = 1;                ///< q, at least 1
  smoothing_parameter smoothing = 1e-3;  ///< mu, the length of the step along u; or zo::automatic
  failure_policy failures{};
};

namespace detail {

// The smoothing as the scalar type has it.
template <class T>
double checked_step(double smoothing) {
  const auto step = static_cast<double>(static_cast<T>(smoothing));
  require(step > 0 && is_finite(step), "zo::rge: smoothing ", smoothing,
          " is zero or infinite in this scalar type");
  return step;
}

template <class M, distribution D, difference_scheme S>
class rge_slopes {
 public:
  using T = typename M::value_type;
  static constexpr bool uses_base = S::uses_base;
  static constexpr int sides = S::points;
  static constexpr bool may_probe = false;
  static constexpr bool rescales = true;
  static constexpr bool replaces = true;
  static constexpr const char* name = "zo::rge";

  rge_slopes(const rge_options& options)  // NOLINT: a part of its run
      : options_(options) {
    if (!options.smoothing.is_automatic()) smooth(options.smoothing);
  }
  void smooth(double mu) { smoothing_ = checked_step<T>(mu); }
  std::unique_ptr<search_lines<T>> lines(const row_problem<T>& problem,
                                         const estimate_options& now) const {
    return std::make_unique<direction_lines<T, D>>(first_row(problem), now.seed, now.step,
                                                   searched_lines);
  }

  failure_policy failures() const { return options_.failures; }
  index_t count() const { return options_.directions; }

  bool begin(M& machine, bool) {
    const row_problem<T>& problem = machine.problem();
    require(options_.failures != on_failure::replace || problem.rows == 1,
            "zo::rge: directions are replaced for one row at a time, got ", problem.rows,
            " rows: use zo::on_failure::drop");
    const index_t all = options_.failures == on_failure::replace
                            ? 1 + options_.failures.options().replacements
                            : 1;  // times the directions
    require(options_.directions <= (index_t{1} << 32) / problem.rows / all,
            "zo::rge: rows * directions must be below 2^32, got ", problem.rows, " rows of ",
            options_.directions, " directions");
    const estimate_options& now = machine.options();
    along_ = machine.template directions_of<D>({now.seed, now.step, 0, purpose::direction},
                                               options_.directions, sides, smoothing_);
    scale_ = D::scale(problem.dimension) / static_cast<double>(options_.directions);
    return machine.find_faults(check_of<T>(D{}, smoothing_, problem.dimension));
  }
  void reserve(M& machine, index_t group) { machine.reserve(along_, group); }
  void pose(M& machine, index_t first, index_t count, bool base) {
    machine.start_at(along_, first, count);
    machine.pose(along_, count * sides * machine.problem().rows, sides, base);
  }
  void take(M& machine, index_t first, index_t count) {
    machine.weigh(along_, count, uses_base, scale_);
    if (!machine.stopped()) machine.combine(along_, count, first == 0);
  }

 private:
  rge_options options_;
  double smoothing_ = 0;
  double scale_ = 0;
  typename M::template directions<D> along_;
};

}  // namespace detail

/// Random gradient estimate
///   g = (1/q) sum_i c(d)/mu [f(x + mu u_i) - f(x)] u_i                        (forward)
///   g = (1/q) sum_i c(d)/(2 mu) [f(x + mu u_i) - f(x - mu u_i)] u_i           (central)
/// with c(d) E[u uᵀ] = I stated by the distribution, so that E[g] is the gradient of the smoothed
/// objective, whatever the distribution, q, mu and d. Where x is so large beside mu that rounding
/// x + mu u would spoil this by more than a twentieth, there is no estimate (flaw::smoothing_lost).
///
/// Queries: 1 + q forward, 2 q central, and the search of zo::automatic. Memory: O(d) whatever q
/// is, for each thread (scalar objectives) or for a chunk of `chunk_bytes` (batch objectives), and
/// at most 1 MiB of directions (32 KiB of signs). Sources: Nesterov and Spokoiny, FoCM 2017
/// (gaussian); ZO-AE-DS, ICLR 2022, eq. 3 (sphere); DeepZero, ICLR 2024.
template <distribution D = gaussian, difference_scheme S = forward>
class rge {
 public:
  using distribution_type = D;
  using scheme_type = S;
  static constexpr zo::asks asks = zo::asks::points;

  template <detail::number N>
  rge(N, D = {}, S = {}) = delete;  // give the option its name: zo::rge({.directions = 8})
  template <difference_scheme Scheme>
  rge(rge_options, Scheme) = delete;  // the distribution first: zo::gaussian{}, zo::central{}
  rge(rge_options options = {}, D = {}, S = {})  // NOLINT: options alone read well
      : options_(options) {
    detail::require(options.directions >= 1, "zo::rge: directions must be at least 1, got ",
                    options.directions);
    detail::require(options.directions < (index_t{1} << 32),
                    "zo::rge: directions must be below 2^32, got ", options.directions);
    options.smoothing.check("zo::rge");
  }

  const rge_options& options() const { return options_; }

  /// Queries that one estimate costs (for each row of a rowwise objective), with zo::automatic at
  /// most: at step 0, and at others.
  index_t queries(index_t dimension) const { return queries(dimension, 0); }
  index_t queries(index_t /*dimension*/, std::uint64_t step) const {
    return (S::uses_base ? 1 : 0) + S::points * options_.directions +
           options_.smoothing.queries(step);
  }
  /// No coordinate of a candidate is further from that of x.
  double reach() const {
    return detail::reach_of("zo::rge", options_.smoothing, !S::uses_base) *
           (D::unit_norm ? 1 : D::law::largest);
  }

  template <class M>
  auto start(M& machine) const {
    return detail::start_slopes<detail::rge_slopes<M, D, S>>(machine, options_);
  }
  void describe(detail::fingerprint& print) const {
    print.add(options_.directions);
    options_.smoothing.describe(print);
    options_.failures.describe(print);
  }

 private:
  rge_options options_;
};

namespace detail {

// Compiled in src/estimators.cpp.
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, gaussian, forward>>;
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, rademacher, forward>>;
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, sphere, forward>>;
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, gaussian, central>>;
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, rademacher, central>>;
extern template class smoothed_run<machine<float>, rge_slopes<machine<float>, sphere, central>>;
extern template class smoothed_run<machine<double>, rge_slopes<machine<double>, gaussian, forward>>;
extern template class smoothed_run<machine<double>,
                                   rge_slopes<machine<double>, rademacher, forward>>;
extern template class smoothed_run<machine<double>, rge_slopes<machine<double>, sphere, forward>>;
extern template class smoothed_run<machine<double>, rge_slopes<machine<double>, gaussian, central>>;
extern template class smoothed_run<machine<double>,
                                   rge_slopes<machine<double>, rademacher, central>>;
extern template class smoothed_run<machine<double>, rge_slopes<machine<double>, sphere, central>>;

}  // namespace detail

}  // namespace zo
