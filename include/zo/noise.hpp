// The noise of an objective's answers, and the smoothing that stands out of it.
#pragma once

#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/error.hpp"
#include "zo/law.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/rounding.hpp"
#include "zo/shared.hpp"
#include "zo/smoothing.hpp"  // IWYU pragma: export

namespace zo {

struct noise_options {
  index_t points = 16;  ///< queries of a try, at least 6
  /// Distance of neighbouring points, in units of the direction; the power of two next to it is
  /// taken. Unset: the root of the scalar type's epsilon times max(1, |x|), |x| the largest number.
  std::optional<double> spacing{};
  index_t tries = 6;  ///< spacings tried at most, each 128 times larger or smaller, or between two
  /// The line along e_i, as zo::cge asks; unset: along a normal direction, as zo::rge asks.
  std::optional<index_t> coordinate{};
};

struct noise_estimate {
  double level = 0;  ///< standard deviation of an answer; 0 unless found
  bool found = false;
  noise_end why = noise_end::too_wide;
  double spacing = 0;   ///< of the last try
  index_t queries = 0;  ///< evaluations of f
  std::shared_ptr<const query_failure> failure{};
};

struct smoothing_options {
  /// Standard deviation of an answer, where it is known; unset: zo::estimate_noise finds it.
  std::optional<double> noise{};
  /// Lines along these coordinates, as zo::cge asks: zo::random_coordinates{3}, a list, …. Unset:
  /// along normal directions, as zo::rge asks.
  std::optional<coordinate_selection> coordinates{};
  index_t directions = 3;           ///< normal directions; the step is the median over the lines
  std::optional<double> largest{};  ///< step; unset: max(1, |x|), |x| the largest number of x
  index_t points = 16;              ///< those of zo::estimate_noise
};

namespace detail {

void check(const char* who, const noise_options& how, index_t dimension);
void check(const char* who, const smoothing_options& how);

// f under a policy, asked on lines through x.
template <class T, class Policy, class F>
class line_machine {
 public:
  line_machine(const Policy& policy, F& f, std::span<const T> x, const estimate_options& options)
      : box_(policy, f, memory_.buffers().candidates, memory_.buffers().rows),
        here_(&box_, team_of(policy), memory_) {
    here_.begin(options);
    here_.open({x.data(), 1, static_cast<index_t>(x.size()), nullptr, nullptr}, options,
               on_failure::stop);
  }
  machine<T>& here() { return here_; }

 private:
  workspace<T> memory_;
  local_black_box<T, F, Policy> box_;
  machine<T> here_;
};

template <class F, class T>
concept answers_points = objective<F, T> &&
    rule(point_objective<F, T>,
         "zo: noise is looked for at whole points, and the objective answers "
         "differences of coordinates only: give one f(point) -> loss");

template <class T>
void check_line_call(const char* who, std::span<const T> x, const estimate_options& options) {
  check_dimension(who, static_cast<index_t>(x.size()));
  check_memory(who, "x", x.data());
  require(all_finite(static_cast<index_t>(x.size()), x.data()), who,
          ": a number of x is not finite");
  check_options(who, options);
  require(options.known_values.empty(), who,
          ": known_values are not used; leave them empty, f(x) is asked again");
}

}  // namespace detail

/// The standard deviation of the noise in the answers of `f` around `x` (d numbers, float or
/// double), from differences of `points` answers at equal distances on a line: those of order k of
/// a smooth f vanish as spacing^k, those of noise grow as sqrt((2k)!)/k!. The level is the first of
/// three neighbouring orders that agree within a factor of 4 and whose differences change sign.
/// Where most answers are equal, or no orders agree, it is tried again at a spacing 128 times
/// larger or smaller.
///
/// Works for noise that is drawn anew at every query, for rounding, and for any error that looks
/// random at that spacing: no point is asked twice, so noise that a repetition would show again is
/// found as well. Sampled objectives get one sample for all queries, as in an estimate: what is
/// found is the noise that does not cancel. Along a normal direction x + hu is rounded to the
/// scalar type, and this counts as noise, as it does in zo::rge; points on a coordinate are exact.
///
/// Cost: points queries a try, 16 mostly and 96 at most by default. Memory: a candidate a thread.
/// The same bits for every policy. Throws std::invalid_argument for bad options and what `f`
/// throws. Source: Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011);
/// their test that answers differ by less than a tenth of their size is left out, so that f may be
/// near zero.
template <execution_policy Policy, class F, contiguous_vector X>
requires detail::answers_points<std::remove_reference_t<F>, scalar_of<X>> noise_estimate
estimate_noise(const Policy& policy, F&& f, const X& x, const noise_options& how = {},
               const estimate_options& options = {}) {
  using T = scalar_of<X>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  constexpr const char* who = "zo::estimate_noise";
  detail::check_line_call(who, at, options);
  const auto dimension = static_cast<index_t>(at.size());
  detail::check(who, how, dimension);
  detail::agree_on_estimate<T>(
      detail::team_of(policy), dimension, 1,
      [&](detail::fingerprint& print) {
        print.add(who).add(how.points).add(how.spacing.value_or(-1)).add(how.tries);
        print.add(how.coordinate.value_or(-1));
      },
      options, [&] { return detail::fingerprint().add(at).value(); });
  detail::line_machine<T, Policy, std::remove_reference_t<F>> asked(policy, f, at, options);
  machine<T>& here = asked.here();
  std::unique_ptr<detail::search_lines<T>> line;
  if (how.coordinate) {
    line = std::make_unique<detail::coordinate_lines<T>>(at, std::vector{*how.coordinate}, false);
  } else {
    line = std::make_unique<detail::direction_lines<T, gaussian>>(at, options.seed, options.step,
                                                                  index_t{1});
  }
  detail::noise_search search(line->lines().front(),
                              {.points = how.points, .tries = how.tries, .spacing = how.spacing});
  while (!search.steps().empty()) {
    std::vector<detail::smoothing_search::point> points;
    for (const double step : search.steps()) points.push_back({0, step});
    line->pose(here, points);
    here.ask();
    search.take({here.answers(), points.size()});
  }
  const detail::noise_search::outcome& found = search.found();
  return {found.level,   found.found,           found.why,
          found.spacing, here.result().queries, here.result().failure};
}

/// The smoothing mu with which slopes of `scheme` (zo::forward, zo::central) err least at `x`,
///   forward  8^(1/4) sqrt(noise / |f''|)      central  cbrt(3 noise / |f'''|)
/// with the derivative along the line, and what a slope then errs by.
///
/// The derivative is measured at a step where it stands out of the noise, which is found by powers
/// of 4 and bisection:
///   forward  r = |f(x+4h) - 4 f(x+h) + 3 f(x)| / (8 noise)                = 3/4 h^2 |f''| / noise
///   central  r = |f(x+3h) - 3 f(x+h) + 3 f(x-h) - f(x-3h)| / (8 noise)    = h^3 |f'''| / noise
/// is between 3 and 12. Below 3 even at the largest step (a linear f; central: a
/// quadratic one) that step is taken and `why` is `largest`. Points are asked as far as 4 (central:
/// 3) times the largest step from x. Along several lines the median is taken.
///
/// Noise that is larger than what f does within the largest step cannot be told from a linear f. A
/// derivative that vanishes at x (central: of an even f) gives too large a step. Directions of
/// zo::sphere are 1/sqrt(d) as long as the normal ones asked here: multiply mu by sqrt(d).
///
/// Cost: that of zo::estimate_noise unless noise is given, and a line 2 (central: 4) queries a step
/// that is tried, mostly 2 to 8 steps, and f(x) for `forward`; at most 60 steps. Memory: a
/// candidate a thread. The same bits for every policy. Throws std::invalid_argument for bad options
/// and what `f` throws. Sources: Shi, Xie, Xuan and Nocedal, "Adaptive finite-difference interval
/// estimation for noisy derivative-free optimization", SIAM J. Sci. Comput. 44 (2022), whose noise
/// is bounded: here two standard deviations stand for the bound, and the step found is moved to
/// where r says that the expected error is least.
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S>
requires detail::answers_points<std::remove_reference_t<F>, scalar_of<X>> smoothing_choice
choose_smoothing(const Policy& policy, F&& f, const X& x, S /*scheme*/,
                 const smoothing_options& how = {}, const estimate_options& options = {}) {
  using T = scalar_of<X>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  constexpr const char* who = "zo::choose_smoothing";
  detail::check_line_call(who, at, options);
  detail::check(who, how);
  const auto dimension = static_cast<index_t>(at.size());
  detail::chosen_coordinates chosen;
  if (how.coordinates) {
    chosen = detail::choose_coordinates(*how.coordinates, dimension, options.seed, options.step);
  }
  detail::agree_on_estimate<T>(
      detail::team_of(policy), dimension, 1,
      [&](detail::fingerprint& print) {
        print.add(who).add(S::points).add(how.noise.value_or(-1)).add(how.directions);
        print.add(how.largest.value_or(-1)).add(how.points).add(how.coordinates.has_value());
        if (how.coordinates) detail::describe_selection(*how.coordinates, print);
      },
      options, [&] { return detail::fingerprint().add(at).value(); });

  detail::line_machine<T, Policy, std::remove_reference_t<F>> asked(policy, f, at, options);
  machine<T>& here = asked.here();
  std::unique_ptr<detail::search_lines<T>> lines;
  if (how.coordinates) {
    std::vector<index_t> all;
    for (index_t k = 0; k < chosen.count(); ++k) all.push_back(chosen[k]);
    lines = std::make_unique<detail::coordinate_lines<T>>(at, std::move(all), false);
  } else {
    lines = std::make_unique<detail::direction_lines<T, gaussian>>(at, options.seed, options.step,
                                                                   how.directions);
  }
  detail::search_run<T> search(
      here, std::move(lines),
      {.central = !S::uses_base, .noise = how.noise, .largest = how.largest, .points = how.points});
  while (search.pose()) here.ask();
  smoothing_choice choice = search.choice();
  if (here.stopped() && choice.noise_why != noise_end::query_failed) {
    choice = {.why = smoothing_end::query_failed, .noise_why = choice.noise_why};
  }
  choice.queries = here.result().queries;
  choice.failure = here.result().failure;
  return choice;
}

}  // namespace zo
