// CGE, the coordinate-wise gradient estimate: one finite difference a coordinate.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/outcome.hpp"
#include "zo/random.hpp"
#include "zo/smoothing.hpp"

namespace zo {

struct cge_options {
  smoothing_parameter smoothing = 1e-3;  ///< mu, the step along a coordinate; or zo::automatic
  bool relative = false;  ///< step mu * max(1, |x_i|) instead of mu: for coordinates of large size
  coordinate_selection coordinates = all_coordinates{};
  failure_policy failures{};
};

namespace detail {

// The smoothing must be a number of the scalar type; where it is too small for that, the next
// number is asked.
template <class T>
void check_smoothing(double smoothing) {
  require(is_finite(static_cast<T>(smoothing)), "zo::cge: smoothing ", smoothing,
          " is infinite in this scalar type; use a smaller one or double");
}

inline void describe_selection(const coordinate_selection& selection, fingerprint& print) {
  print.add(selection.index());
  if (const auto* list = std::get_if<coordinate_list>(&selection)) {
    print.add(std::span<const index_t>(list->coordinates));
  } else if (const auto* mask = std::get_if<coordinate_mask>(&selection)) {
    for (const bool asked : mask->mask) print.add(asked);
  } else if (const auto* random = std::get_if<random_coordinates>(&selection)) {
    print.add(random->count);
  }
}

template <class M, difference_scheme S>
class cge_slopes {
 public:
  using T = typename M::value_type;
  static constexpr bool uses_base = S::uses_base;
  static constexpr int sides = S::points;
  static constexpr bool may_probe = true;
  static constexpr bool rescales = false;
  static constexpr bool replaces = false;
  static constexpr const char* name = "zo::cge";

  cge_slopes(const cge_options& options) : options_(options) {  // NOLINT: a part of its run
    if (!options.smoothing.is_automatic()) smooth(options.smoothing);
  }
  void smooth(double mu) {
    check_smoothing<T>(mu);
    smoothing_ = mu;
  }
  // Along some of the coordinates of the estimate.
  std::unique_ptr<search_lines<T>> lines(const row_problem<T>& problem,
                                         const estimate_options& now) const {
    const chosen_coordinates all =
        choose_coordinates(options_.coordinates, problem.dimension, now.seed, now.step);
    std::vector<index_t> some = random_subset(all.count(), std::min(searched_lines, all.count()),
                                              {now.seed, now.step, 0, purpose::coordinates});
    for (index_t& one : some) one = all[one];
    return std::make_unique<coordinate_lines<T>>(first_row(problem), std::move(some),
                                                 options_.relative);
  }

  failure_policy failures() const { return options_.failures; }
  index_t count() const { return chosen_.count(); }

  bool begin(M& machine, bool probes) {
    const row_problem<T>& problem = machine.problem();
    const estimate_options& now = machine.options();
    chosen_ = choose_coordinates(options_.coordinates, problem.dimension, now.seed, now.step);
    if (std::holds_alternative<random_coordinates>(options_.coordinates)) machine.check_draws();
    along_ = machine.coordinates_of(chosen_, sides, smoothing_, options_.relative);
    probes_ = probes;
    machine.clear_gradients();
    return true;
  }
  void reserve(M& machine, index_t group) { machine.reserve(along_, group, probes_); }
  void pose(M& machine, index_t first, index_t count, bool base) {
    along_.start_at(first);
    if (probes_) {
      machine.pose_probes(along_, count);
    } else {
      machine.pose(along_, count * sides * machine.problem().rows, sides, base);
    }
  }
  void take(M& machine, index_t, index_t count) {
    if (probes_) {
      machine.write_rises(along_, count, chosen_.scale);
    } else {
      machine.write_slopes(along_, count, uses_base, chosen_.scale);
    }
  }

 private:
  cge_options options_;
  double smoothing_ = 0;
  chosen_coordinates chosen_;
  typename M::coordinates along_;
  bool probes_ = false;
};

}  // namespace detail

/// Coordinate-wise gradient estimate, for each selected coordinate i
///   g_i = [f(x + h e_i) - f(x)] / h           (forward)
///   g_i = [f(x + h e_i) - f(x - h e_i)] / 2h  (central)
/// where h is the step that really happened, (x_i + mu) - x_i in the scalar type: never zero,
/// because a mu too small to change x_i is replaced by the distance to the next number.
///
/// Queries for n coordinates: 1 + n forward, 2 n central (and one more, `prepare`, when a
/// coordinate objective is asked by central differences), and the search of zo::automatic. Memory:
/// O(d) for each thread, or a chunk of `chunk_bytes`. Sources: ZO-AE-DS, ICLR 2022, eq. 4;
/// DeepZero, ICLR 2024.
template <difference_scheme S = forward>
class cge {
 public:
  using scheme_type = S;
  static constexpr zo::asks asks = zo::asks::points_or_probes;

  template <detail::number N>
  cge(N, S = {}) = delete;  // give the option its name: zo::cge({.smoothing = 1e-4})
  template <distribution D, class Scheme = S>
  cge(cge_options, D, Scheme = {}) = delete;  // CGE has no distribution: zo::cge({}, zo::central{})
  cge(cge_options options = {}, S = {}) : options_(std::move(options)) {  // NOLINT: reads well
    options_.smoothing.check("zo::cge");
  }

  const cge_options& options() const { return options_; }

  /// Queries that one estimate costs (for each row of a rowwise objective), with zo::automatic at
  /// most: at step 0, and at others.
  index_t queries(index_t dimension) const { return queries(dimension, 0); }
  index_t queries(index_t dimension, std::uint64_t step) const {
    return (S::uses_base ? 1 : 0) +
           S::points * detail::selected_count(options_.coordinates, dimension) +
           options_.smoothing.queries(step);
  }
  /// No coordinate of a candidate is further from that of x; throws for relative steps.
  double reach() const {
    detail::require(!options_.relative,
                    "zo::cge: relative steps reach as far as x is large; set "
                    "relative to false between bounds");
    return detail::reach_of("zo::cge", options_.smoothing, !S::uses_base);
  }

  template <class M>
  auto start(M& machine) const {
    return detail::start_slopes<detail::cge_slopes<M, S>>(machine, options_);
  }
  void describe(detail::fingerprint& print) const {
    options_.smoothing.describe(print);
    print.add(options_.relative);
    options_.failures.describe(print);
    detail::describe_selection(options_.coordinates, print);
  }

 private:
  cge_options options_;
};

namespace detail {

// Compiled in src/estimators.cpp.
extern template class smoothed_run<machine<float>, cge_slopes<machine<float>, forward>>;
extern template class smoothed_run<machine<float>, cge_slopes<machine<float>, central>>;
extern template class smoothed_run<machine<double>, cge_slopes<machine<double>, forward>>;
extern template class smoothed_run<machine<double>, cge_slopes<machine<double>, central>>;

}  // namespace detail

}  // namespace zo
