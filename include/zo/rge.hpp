// RGE, the random gradient estimate: slopes along random directions, averaged.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/difference.hpp"
#include "zo/direction.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/rounding.hpp"

namespace zo {

struct rge_options {
  index_t directions = 1;   ///< q, at least 1
  double smoothing = 1e-3;  ///< mu, the length of the step along u; above 0
  on_failure failures = on_failure::stop;
};

/// Random gradient estimate
///   g = (1/q) sum_i c(d)/mu [f(x + mu u_i) - f(x)] u_i                        (forward)
///   g = (1/q) sum_i c(d)/(2 mu) [f(x + mu u_i) - f(x - mu u_i)] u_i           (central)
/// with c(d) E[u uᵀ] = I stated by the distribution, so that E[g] is the gradient of the smoothed
/// objective, whatever the distribution, q, mu and d. Where x is so large beside mu that rounding
/// x + mu u would spoil this by more than a twentieth, there is no estimate (flaw::smoothing_lost).
///
/// Queries: 1 + q forward, 2 q central. Memory: O(d) whatever q is, for each thread (scalar
/// objectives) or for a chunk of `chunk_bytes` (batch objectives); directions are never stored.
/// Sources: Nesterov and Spokoiny, FoCM 2017 (gaussian); ZO-AE-DS, ICLR 2022, eq. 3 (sphere);
/// DeepZero, ICLR 2024.
template <distribution D = gaussian, difference_scheme S = forward>
class rge {
 public:
  using distribution_type = D;
  using scheme_type = S;

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
    detail::require(options.smoothing > 0 && detail::is_finite(options.smoothing),
                    "zo::rge: smoothing must be a positive number, got ", options.smoothing);
  }

  const rge_options& options() const { return options_; }

  /// Queries that one estimate costs (for each row of a rowwise objective).
  index_t queries(index_t /*dimension*/) const {
    return (S::uses_base ? 1 : 0) + S::points * options_.directions;
  }

 private:
  rge_options options_;
};

namespace detail {

// Answers kept at once: what makes the memory independent of the number of directions.
inline constexpr index_t answers_at_once = 4096;

// The same for each process of a team.
template <class Policy>
index_t answers_of(const Policy& policy) {
  return answers_at_once * ranks_of(policy);
}

template <distribution D, difference_scheme S>
void describe(const rge<D, S>& how, fingerprint& print) {
  const rge_options& options = how.options();
  print.add(std::string_view(typeid(D).name())).add(S::points).add(S::uses_base);
  print.add(options.directions).add(options.smoothing).add(options.failures);
}

// B independent rows of d coordinates with a gradient and a loss each; an ordinary estimate has
// one.
template <class T>
struct row_problem {
  const T* x;  // rows * dimension
  index_t rows;
  index_t dimension;
  T* gradients;    // rows * dimension
  double* losses;  // rows
};

// Candidates of the directions first … first+count-1, the directions outermost.
template <class T, difference_scheme S, distribution D>
struct direction_points {
  const row_problem<T>& problem;
  stream from;      // number 0
  index_t per_row;  // directions of a row in the whole estimate
  index_t first;
  double step;
  const double* factors;  // by direction, then row; unused unless D::unit_norm

  static constexpr bool begins = false;
  static constexpr index_t worth_a_thread() { return detail::worth_a_thread<typename D::law>(); }
  void restore(index_t, T*) const {}
  index_t row(index_t j) const { return candidate_of(j, problem.rows, S::points).row; }
  void write(index_t j, index_t at, index_t count, T* to) const {
    const auto [k, side_of_j, b] = candidate_of(j, problem.rows, S::points);
    const double factor = D::unit_norm ? factors[k * problem.rows + b] : 1.0;
    stream direction = from;
    direction.number = static_cast<std::uint32_t>(b * per_row + first + k);
    perturb<typename D::law>(direction, at, count, problem.x + b * problem.dimension + at,
                             static_cast<T>(side(side_of_j) * step * factor), to);
  }
};

// Of sums that overflow, those of answers * small are used. A mean is no larger than what it is of.
inline constexpr double small = 0x1p-64;
ZO_HD inline double mean_of(double sum, double small_sum, double count) {
  if (!(count > 0)) return __builtin_nan("");
  if (is_finite(sum)) return sum / count;
  const double most = largest<double>() * small, wide = small_sum / count;
  return (wide > most ? most : wide < -most ? -most : wide) / small;
}

// Mean of the answers of each row, for the reported loss where f(x) itself is not asked.
class answer_means {
 public:
  template <class T>
  answer_means(index_t rows, buffers<T>& memory)
      : sums_(cleared(memory.sums, rows)),
        small_sums_(cleared(memory.small_sums, rows)),
        counts_(cleared(memory.counts, rows)) {}
  void add(index_t row, double answer) {
    if (is_nan(answer)) return;
    const auto b = static_cast<std::size_t>(row);
    sums_[b] = rounded(sums_[b] + answer);
    small_sums_[b] = rounded(small_sums_[b] + answer * small);
    counts_[b] += 1;
  }
  double mean(index_t row) const {
    const auto b = static_cast<std::size_t>(row);
    return mean_of(sums_[b], small_sums_[b], counts_[b]);
  }

 private:
  std::vector<double>& sums_;
  std::vector<double>& small_sums_;
  std::vector<double>& counts_;
};

// Any thread's fault of a row.
inline void add_fault(unsigned& faults, unsigned one) {
  std::atomic_ref(faults).fetch_or(one, std::memory_order_relaxed);
}

// g (+)= sum over k of weights[k] * raw values of direction from.number + k, for every row: row b
// has `count` weights, and its directions lie per_row apart from the next row's. `fresh` starts
// from zero. Threads own disjoint tiles, so that the order of summation depends on nothing.
// `faults`, by row, may be null.
template <direction_law L, class Policy, class T>
void combine(const Policy& policy, const stream& from, index_t per_row, index_t count,
             const T* weights, index_t rows, index_t dimension, bool fresh, T* g,
             unsigned* faults = nullptr) {
  parallel_tiles(policy, rows, dimension, worth_a_thread<L>() / count,
                 [&](index_t b, index_t first, index_t length) {
                   stream direction = from;
                   direction.number += static_cast<std::uint32_t>(b * per_row);
                   for (index_t at = first; at < first + length; at += tile) {
                     const index_t here = std::min(tile, first + length - at);
                     T* const to = g + b * dimension + at;
                     if (fresh) std::fill_n(to, here, T(0));
                     accumulate<L>(direction, count, weights + b * count, at, here, to);
                     if (faults != nullptr && !all_finite(here, to)) {
                       add_fault(faults[b], beyond_range);
                     }
                   }
                 });
}

// 1 / norm of a direction by all threads: the sums of the tiles, added in the order of
// raw_factor().
template <direction_law L, class Policy>
double inverse_norm(const Policy& policy, const stream& from, index_t dimension,
                    std::vector<double>& partial) {
  const index_t tiles = (dimension + tile - 1) / tile;
  partial.resize(static_cast<std::size_t>(tiles));
  parallel_ranges(policy, tiles, worth_a_thread<L>() / tile, [&](index_t t, index_t end) {
    for (; t < end; ++t) {
      partial[static_cast<std::size_t>(t)] =
          sum_of_squares<L>(from, t * tile, std::min(tile, dimension - t * tile));
    }
  });
  return inverse_root_of_sum(partial);
}

// The smoothing as the scalar type has it.
template <class T>
double checked_step(double smoothing) {
  const auto step = static_cast<double>(static_cast<T>(smoothing));
  require(step > 0 && is_finite(step), "zo::rge: smoothing ", smoothing,
          " is zero or infinite in this scalar type");
  return step;
}

inline bool any_answer(const std::vector<double>& losses) {
  return std::ranges::any_of(losses, [](double loss) { return !is_nan(loss); });
}

inline void check_row_directions(index_t rows, index_t directions) {
  require(directions <= (index_t{1} << 32) / std::max<index_t>(1, rows),
          "zo::rge: rows * directions must be below 2^32, got ", rows, " rows of ", directions,
          " directions");
}

// Slope of one candidate pair, or NaN. `answers` holds candidates of all rows, one side after
// another.
template <difference_scheme S>
ZO_HD double slope(const double* answers, index_t rows, index_t row, double base, double step) {
  if constexpr (S::points == 1) return quotient(answers[row], base, step, 0);
  return quotient(answers[row], answers[rows + row], step, -step);
}

// Weight of a direction's raw values in the estimate: (c(d) / q) slope / norm; zero and not
// good where that is no number.
template <class T>
ZO_HD T weight_of(double scale, double slope, double factor, bool& good) {
  const T weight = static_cast<T>(rounded(scale * slope) * factor);
  good = is_finite(weight);
  return good ? weight : T(0);
}

// From a mean over all directions to one over those that are left.
template <class T>
ZO_HD T rescaling(index_t asked, index_t good) {
  return static_cast<T>(static_cast<double>(asked) / static_cast<double>(good));
}

// Whether the slopes that are left make an estimate: all of them (stop), some of any row (drop). A
// slope can fail though its answers did not: by overflow.
inline bool enough_slopes(on_failure failures, const std::vector<index_t>& survivors,
                          index_t asked) {
  const index_t needed = failures == on_failure::stop ? asked : 1;
  const auto enough = [needed](index_t good) { return good >= needed; };
  return failures == on_failure::stop ? std::ranges::all_of(survivors, enough)
                                      : std::ranges::any_of(survivors, enough);
}

template <class Policy, class T, class F, distribution D, difference_scheme S>
class rge_run {
 public:
  rge_run(const Policy& policy, F& f, const row_problem<T>& problem, const rge<D, S>& how,
          const estimate_options& options, workspace<T>& memory)
      : policy_(policy),
        problem_(problem),
        how_(how.options()),
        asker_(policy, f, problem.dimension, options, how_.failures, memory),
        from_{options.seed, options.step, 0, purpose::direction},
        step_(checked_step<T>(how_.smoothing)),
        base_(unanswered(memory.buffers().base, problem.rows)),
        survivors_(cleared(memory.buffers().survivors, problem.rows)),
        faults_(cleared(memory.buffers().faults, problem.rows)),
        means_(problem.rows, memory.buffers()),
        factors_(memory.buffers().factors),
        partial_(memory.buffers().partial),
        answers_(memory.buffers().answers),
        weights_(memory.buffers().weights) {
    check_row_directions(problem.rows, how_.directions);
  }

  estimate_result operator()() {
    find_faults();
    if (!may_begin()) return finish(false);
    bool ok = !S::uses_base || base_comes_along || ask_base();
    const index_t group = std::min(
        how_.directions, std::max<index_t>(1, answers_of(policy_) / (problem_.rows * S::points)));
    for (index_t first = 0; ok && first < how_.directions; first += group) {
      ok = add_directions(first, std::min(group, how_.directions - first));
    }
    return finish(ok);
  }

 private:
  static constexpr bool base_comes_along = S::uses_base && team_policy<Policy>;

  // Rows at which a step along a direction is not what it was meant to be.
  void find_faults() {
    const step_check<T> check = check_of<T>(D{}, step_, problem_.dimension);
    parallel_tiles(policy_, problem_.rows, problem_.dimension, detail::worth_a_thread<rademacher>(),
                   [&](index_t b, index_t first, index_t count) {
                     const T* const x = problem_.x + b * problem_.dimension + first;
                     const unsigned faults = step_faults(check, count, x);
                     if (faults != 0) add_fault(faults_[static_cast<std::size_t>(b)], faults);
                   });
  }
  bool may_begin() const {
    const auto sound = [](unsigned faults) { return faults == 0; };
    return how_.failures == on_failure::stop ? std::ranges::all_of(faults_, sound)
                                             : std::ranges::any_of(faults_, sound);
  }

  bool may_go_on() const { return how_.failures == on_failure::drop || asker_.failed == 0; }

  bool ask_base() {
    asker_.ask_rows(problem_.x, base_);
    return any_answer(base_) && may_go_on();
  }

  bool add_directions(index_t first, index_t count) {
    const index_t rows = problem_.rows;
    find_factors(first, count);
    answers_.resize(static_cast<std::size_t>(count * S::points * rows));
    const direction_points<T, S, D> maker{problem_, from_, how_.directions,
                                          first,    step_, factors_.data()};
    if (base_comes_along && first == 0) {
      asker_.ask_with_rows(maker, problem_.x, base_, answers_);
      if (!any_answer(base_)) return false;
    } else {
      asker_.ask(maker, answers_);
    }
    find_weights(count);
    if (!may_go_on()) return false;
    combine<typename D::law>(policy_, direction(0, first), how_.directions, count, weights_.data(),
                             rows, problem_.dimension, first == 0, problem_.gradients,
                             faults_.data());
    return true;
  }

  stream direction(index_t row, index_t k) const {
    stream at = from_;
    at.number = static_cast<std::uint32_t>(row * how_.directions + k);
    return at;
  }

  void find_factors(index_t first, index_t count) {
    if constexpr (D::unit_norm) {
      const index_t rows = problem_.rows;
      const index_t norms = count * rows;
      factors_.resize(static_cast<std::size_t>(norms));
      double* const factors = factors_.data();
      if (norms < threads_of(policy_)) {
        for (index_t item = 0; item < norms; ++item) {
          factors[item] = inverse_norm<typename D::law>(
              policy_, direction(item % rows, first + item / rows), problem_.dimension, partial_);
        }
        return;
      }
      parallel_ranges(policy_, norms, worth_a_thread<typename D::law>() / problem_.dimension,
                      [&](index_t item, index_t end) {
                        for (; item < end; ++item) {
                          factors[item] = raw_factor<D>(direction(item % rows, first + item / rows),
                                                        problem_.dimension);
                        }
                      });
    }
  }

  void find_weights(index_t count) {
    const index_t rows = problem_.rows;
    weights_.resize(static_cast<std::size_t>(count * rows));
    const double scale = D::scale(problem_.dimension) / static_cast<double>(how_.directions);
    for (index_t k = 0; k < count; ++k) {
      const double* const answers = answers_.data() + k * S::points * rows;
      for (index_t b = 0; b < rows; ++b) {
        for (int p = 0; p < S::points; ++p) means_.add(b, answers[p * rows + b]);
        const double factor = D::unit_norm ? factors_[static_cast<std::size_t>(k * rows + b)] : 1.0;
        const double base = base_[static_cast<std::size_t>(b)];
        bool good = false;
        const double slope_of_k = faults_[static_cast<std::size_t>(b)] == 0
                                      ? slope<S>(answers, rows, b, base, step_)
                                      : failed_query;
        weights_[static_cast<std::size_t>(b * count + k)] =
            weight_of<T>(scale, slope_of_k, factor, good);
        survivors_[static_cast<std::size_t>(b)] += good ? 1 : 0;
      }
    }
  }

  estimate_result finish(bool ok) {
    estimate_result result{0, asker_.queries, asker_.failed, ok};
    unsigned faults = 0;
    for (index_t b = 0; b < problem_.rows; ++b) {
      if (ok) end_row(b);
      problem_.losses[b] = S::uses_base ? base_[static_cast<std::size_t>(b)] : means_.mean(b);
      faults |= faults_[static_cast<std::size_t>(b)];
    }
    result.value = problem_.losses[0];
    const auto all = static_cast<std::size_t>(problem_.rows * problem_.dimension);
    const bool enough = enough_slopes(how_.failures, survivors_, how_.directions);
    return ok && enough ? result : give_up(result, std::span<T>{problem_.gradients, all}, faults);
  }

  // The mean over the directions that are left; zeros where it is no number.
  void end_row(index_t b) {
    index_t& good = survivors_[static_cast<std::size_t>(b)];
    unsigned& faults = faults_[static_cast<std::size_t>(b)];
    T* const g = problem_.gradients + b * problem_.dimension;
    if (faults == 0 && good > 0 && good < how_.directions) {
      const T factor = rescaling<T>(how_.directions, good);
      for (index_t i = 0; i < problem_.dimension; ++i) g[i] *= factor;
      if (!all_finite(problem_.dimension, g)) faults = beyond_range;
    }
    if (faults == 0) return;
    good = 0;
    std::fill_n(g, problem_.dimension, T(0));
  }

  const Policy& policy_;
  const row_problem<T>& problem_;
  const rge_options& how_;
  asker<T, F, Policy> asker_;
  stream from_;
  double step_;
  std::vector<double>& base_;
  std::vector<index_t>& survivors_;
  std::vector<unsigned>& faults_;
  answer_means means_;
  std::vector<double>& factors_;
  std::vector<double>& partial_;
  std::vector<double>& answers_;
  std::vector<T>& weights_;
};

template <class Policy, class T, class F, distribution D, difference_scheme S>
estimate_result estimate_rows(const Policy& policy, F& f, const row_problem<T>& problem,
                              const rge<D, S>& how, const estimate_options& options,
                              workspace<T>& memory) {
  return rge_run<Policy, T, F, D, S>(policy, f, problem, how, options, memory)();
}

template <class Policy, class T, class F, distribution D, difference_scheme S>
requires point_objective<F, T> estimate_result
estimate_one(const Policy& policy, F& f, std::span<const T> x, std::span<T> gradient,
             const rge<D, S>& how, const estimate_options& options, workspace<T>& memory) {
  double loss = 0;
  const row_problem<T> problem{x.data(), 1, static_cast<index_t>(x.size()), gradient.data(), &loss};
  return estimate_rows(policy, f, problem, how, options, memory);
}

}  // namespace detail
}  // namespace zo
