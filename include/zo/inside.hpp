// Estimates that ask f between bounds only.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/machine.hpp"
#include "zo/outcome.hpp"
#include "zo/rule/box.hpp"

namespace zo {

/// An estimator that says how far a coordinate of its candidates is from x at most.
template <class How>
concept bounded_estimator = detail::rule(
    requires(const std::remove_cvref_t<How>& how) {
      { how.reach() } -> std::convertible_to<double>;
    },
    "zo::inside: an estimator says how far its candidates are from x in a coordinate, at most: "
    "double reach() const");

namespace detail {

// Of a coordinate between `low` and `high`, candidates being `reach` away at most: the nearest to x
// whose neighbours are all inside, and by which factor the steps must be shorter.
template <class T>
struct inner_point {
  T x;
  T share;
};
template <class T>
ZO_HD inner_point<T> inner_point_of(T x, T low, T high, T reach) {
  // More than the rounding of a sum takes, so that no candidate rounds to what is outside.
  constexpr T unit = sizeof(T) == sizeof(float) ? T(0x1p-23) : T(0x1p-52);
  const T wide = reach * (1 + 8 * unit);
  const T least = is_finite(low) ? low + (wide + 2 * unit * magnitude(low)) : low;
  const T most = is_finite(high) ? high - (wide + 2 * unit * magnitude(high)) : high;
  if (least <= most) return {x < least ? least : x > most ? most : x, T(1)};
  const T half = high / 2 - low / 2;
  return {low + half, half / wide * (1 - 8 * unit)};
}

template <class T>
struct pull_inside {
  box::element<T> bounds;
  index_t dimension;
  T reach;
  const T* x;
  T* to;

  ZO_HD void operator()(index_t k) const {
    const index_t i = k % dimension;
    to[k] = inner_point_of(x[k], bounds.low(i), bounds.high(i), reach).x;
  }
};

// Makes steps shorter along coordinates whose bounds are near each other.
template <class T>
class narrow_coordinates final : public point_map<T> {
 public:
  struct one {
    index_t coordinate;
    T share, low, high;
  };

  void clear() { all_.clear(); }
  void add(const one& narrow) { all_.push_back(narrow); }
  bool empty() const { return all_.empty(); }

  void move(const T* from, index_t at, index_t count, T* to) const override {
    auto next = std::ranges::lower_bound(all_, at, {}, &one::coordinate);
    for (; next != all_.end() && next->coordinate < at + count; ++next) {
      const T centre = from[next->coordinate];
      T& moved = to[next->coordinate - at];
      moved = std::clamp(centre + next->share * (moved - centre), next->low, next->high);
    }
  }
  // Slopes are along the longer steps.
  void correct(index_t dimension, index_t rows, T* gradients) const {
    for (index_t b = 0; b < rows; ++b) {
      for (const one& narrow : all_) {
        T& g = gradients[b * dimension + narrow.coordinate];
        g = narrow.share > 0 ? g / narrow.share : T(0);
      }
    }
  }

 private:
  std::vector<one> all_;  // ascending
};

template <class M, class Box, class How>
class inside_run {
 public:
  using T = typename M::value_type;

  inside_run(M& machine, const Box& bounds, const How& how)
      : machine_(machine),
        bounds_(bounds),
        reach_(static_cast<T>(how.reach())),
        run_(how.start(machine)),
        inner_(machine.vector(0)) {
    require(reach_ > 0 && is_finite(reach_), who, ": the reach of the estimator, ", how.reach(),
            ", is zero or infinite in this scalar type");
  }

  void begin(const row_problem<T>& problem, const estimate_options& options) {
    bounds_.template check<T>(problem.dimension);
    const index_t numbers = problem.rows * problem.dimension;
    if (static_cast<index_t>(inner_.size()) != numbers) {
      inner_ = machine_.vector(numbers);
      find_narrow(problem.dimension);
    }
    if constexpr (maps) check_inside(problem);
    problem_ = problem;
    row_problem<T> here = problem;
    here.x = inner_.data();
    machine_.each(numbers, pull_inside<T>{bounds_.template element_of<T>(nullptr),
                                          problem.dimension, reach_, problem.x, inner_.data()});
    estimate_options there = options;
    there.known_values = {};  // those are of x
    if constexpr (maps) machine_.map_points(narrow_.empty() ? nullptr : &narrow_);
    run_.begin(here, there);
  }
  bool pose() { return run_.pose(); }
  void end() {
    run_.end();
    if constexpr (maps) {
      machine_.map_points(nullptr);
      narrow_.correct(problem_.dimension, problem_.rows, problem_.gradients);
    }
  }
  index_t extra_queries() const {
    if constexpr (requires { run_.extra_queries(); }) return run_.extra_queries();
    return 0;
  }
  std::vector<std::span<T>> state() {
    if constexpr (requires { run_.state(); }) return run_.state();
    return {};
  }
  std::shared_ptr<const smoothing_choice> automatic() { return automatic_of(run_); }
  bool searches() const { return detail::searches(run_); }

 private:
  static constexpr const char* who = "zo::inside";
  // The host's machine moves candidates after they are written; kernels of a GPU do not.
  static constexpr bool maps = requires(M & machine) { machine.map_points(nullptr); };

  void find_narrow(index_t dimension) {
    if constexpr (!maps && std::same_as<Box, box>) {
      require(!bounds_.has_vectors(), who,
              ": these bounds are in host memory; on a GPU hand over zo::cuda::box(policy, lower, "
              "upper)");
    }
    const box::element<T> bounds = bounds_.on_host().template element_of<T>(nullptr);
    narrow_.clear();
    for (index_t i = 0; i < dimension; ++i) {
      const T low = bounds.low(i), high = bounds.high(i);
      const T share = inner_point_of(low, low, high, reach_).share;
      if (share < 1) narrow_.add({i, share, low, high});
    }
    require(narrow_.empty() || (maps && !machine_.probes()), who,
            ": on a GPU, and for an objective that answers differences of coordinates, steps "
            "cannot be made shorter: all bounds must be more than ",
            2 * reach_, " apart, twice as far as candidates reach");
  }
  void check_inside(const row_problem<T>& problem) const {
    const box::element<T> bounds = bounds_.template element_of<T>(nullptr);
    for (index_t k = 0; k < problem.rows * problem.dimension; ++k) {
      const index_t i = k % problem.dimension;
      require(!(problem.x[k] < bounds.low(i)) && !(problem.x[k] > bounds.high(i)), who,
              ": coordinate ", i, " of x is ", problem.x[k], ", outside of its bounds ",
              bounds.low(i), " and ", bounds.high(i),
              "; start between them, and let every step end there: zo::projected(rule, bounds)");
    }
  }

  M& machine_;
  const Box bounds_;
  T reach_;
  decltype(std::declval<const How&>().start(std::declval<M&>())) run_;
  decltype(std::declval<M&>().vector(0)) inner_;  // the point that is asked about
  row_problem<T> problem_;
  narrow_coordinates<T> narrow_;
};

}  // namespace detail

/// The estimates of `how`, of which no query leaves `bounds` (zo::box, zo::cuda::box): for f that
/// has no value outside, as beside a logarithm. Iterates stay inside by zo::projected(rule,
/// bounds).
///
/// The gradient is that at the nearest point to x from which all candidates are inside: x itself,
/// where it is as far from every bound as candidates reach (mu, for gaussian directions 6.67 mu),
/// and at most that far from x elsewhere. So it is unbiased where f is linear, and else off by less
/// than the gradient changes over that distance; rademacher directions and zo::cge reach least.
/// estimate_result::value is f there. Where two bounds are nearer to each other than twice the
/// reach, steps along this coordinate are shorter and its slope, with its noise, is divided by what
/// is left; a coordinate whose bounds are equal is fixed, and its gradient zero. Queries: those of
/// `how`. Memory: x once more. Throws std::invalid_argument where x is outside. On a GPU bounds
/// must be wider than twice the reach, and where x is outside is not looked at. There is no such
/// estimate with relative steps.
template <class Box, class How>
class inside {
 public:
  static constexpr zo::asks asks = How::asks;

  inside(Box bounds, How how) : bounds_(std::move(bounds)), how_(std::move(how)) {
    static_assert(bounded_estimator<How>);
    how_.reach();
  }

  index_t queries(index_t dimension) const { return queries(dimension, 0); }
  index_t queries(index_t dimension, std::uint64_t step) const {
    return detail::queries_of(how_, dimension, step);
  }
  on_failure failures() const { return detail::failures_of(how_); }
  template <class M>
  auto start(M& machine) const {
    return detail::inside_run<M, Box, How>(machine, bounds_, how_);
  }
  void describe(detail::fingerprint& print) const {
    bounds_.describe(print);
    detail::describe(how_, print);
  }

 private:
  Box bounds_;
  How how_;
};

}  // namespace zo
