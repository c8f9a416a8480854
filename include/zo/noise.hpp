// The noise of an objective's answers, and the smoothing that stands out of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/law/gaussian.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/random.hpp"
#include "zo/rounding.hpp"
#include "zo/shared.hpp"
#include "zo/slope.hpp"

namespace zo {

/// How a search for the noise ended.
enum class noise_end {
  found,
  none,          ///< there is none: answers are equal at every spacing, or those of a polynomial
  too_close,     ///< most answers are equal at the widest spacing that was tried
  too_wide,      ///< the differences are those of f, not of noise, at the narrowest one
  query_failed,  ///< an answer was no finite number
};

inline constexpr std::string_view to_string(noise_end why) {
  switch (why) {
    case noise_end::found:
      return "the noise was found";
    case noise_end::none:
      return "there is no noise: the answers are equal, or those of a polynomial";
    case noise_end::too_close:
      return "most answers are equal: give a larger spacing";
    case noise_end::too_wide:
      return "no noise stands out of the changes of f: give a smaller spacing or more points";
    case noise_end::query_failed:
      return "a query failed: ask at an x around which f answers numbers";
  }
  return "unknown";
}

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

/// How a search for a smoothing ended. Of several lines: that of the line whose step was taken.
enum class smoothing_end {
  balanced,      ///< noise and truncation are balanced
  largest,       ///< truncation stands out of the noise nowhere: the largest step is taken
  smallest,      ///< truncation is above the noise at the smallest step, which is taken
  no_noise,      ///< the noise was not found; smoothing_choice::noise_why says why
  query_failed,  ///< an answer was no finite number
};

inline constexpr std::string_view to_string(smoothing_end why) {
  switch (why) {
    case smoothing_end::balanced:
      return "noise and truncation are balanced";
    case smoothing_end::largest:
      return "f looks straight as far as the largest step, which is taken: allow a larger one if f "
             "answers there";
    case smoothing_end::smallest:
      return "f bends more than its noise at the smallest step, which is taken: there is a kink or "
             "a jump at x, or the noise is larger than was said";
    case smoothing_end::no_noise:
      return "the noise was not found: say it as noise, if it is known";
    case smoothing_end::query_failed:
      return "a query failed: ask at an x around which f answers numbers, or allow a smaller "
             "largest step";
  }
  return "unknown";
}

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

struct smoothing_choice {
  double smoothing = 0;         ///< mu: 0, which no estimator takes, unless ok
  double noise = 0;             ///< standard deviation of an answer
  double derivative = 0;        ///< |second (forward) or third (central) derivative| on the line
  double noise_error = 0;       ///< standard deviation of a slope
  double truncation_error = 0;  ///< what a slope is off by, without noise
  double error = 0;             ///< root of the mean square of a slope's error: both together
  bool ok = false;
  smoothing_end why = smoothing_end::no_noise;
  noise_end noise_why = noise_end::found;  ///< also where the noise was given
  index_t queries = 0;                     ///< evaluations of f
  std::shared_ptr<const query_failure> failure{};

  /// Expected length of a gradient's error: zo::cge over n coordinates is gradient_error(n),
  /// zo::rge with q directions in d dimensions gradient_error(d, q). What random directions
  /// themselves make an estimate err, some sqrt(d/q) of the gradient's length, comes on top
  /// (docs/maths.md).
  double gradient_error(index_t numbers, index_t averaged = 1) const;
};

namespace detail {

// f along a line through x: all that the searches of src/noise.cpp know of it.
class answered_line {
 public:
  answered_line() = default;
  answered_line(const answered_line&) = delete;
  answered_line& operator=(const answered_line&) = delete;
  virtual ~answered_line() = default;

  // answers[k] = f(x + steps[k] u); false where one is no number.
  virtual bool ask(std::span<const double> steps, std::span<double> answers) = 0;
  // The step that really happens.
  virtual double made(double step) const = 0;

  double at = 0;       // the coordinate that moves, else 0
  double size = 1;     // max(1, |x|), |x| the largest number that moves
  double epsilon = 0;  // of the scalar type
};

noise_estimate find_noise(answered_line& line, const noise_options& how);

// One line: smoothing and all that follows from it.
smoothing_choice find_smoothing(answered_line& line, bool central, double noise, double largest);

// The line whose step is in the middle, of those that ended well; all must have.
smoothing_choice median_of(std::vector<smoothing_choice> lines);

void check(const char* who, const noise_options& how, index_t dimension);
void check(const char* who, const smoothing_options& how);

template <class T>
class line_points final : public point_source<T> {
 public:
  std::span<const T> x;
  stream from;                          // of the direction
  std::optional<index_t> coordinate{};  // instead of it
  std::span<const double> steps{};

  void write(index_t j, index_t at, index_t count, T* to) const override {
    const double step = steps[static_cast<std::size_t>(j)];
    if (!coordinate) {
      perturb<gaussian>(from, at, count, x.data() + at, static_cast<T>(step), to);
      return;
    }
    std::copy_n(x.data() + at, count, to);
    const index_t i = *coordinate - at;
    if (i >= 0 && i < count) to[i] = moved(to[i], step);
  }
  static T moved(T at, double step) { return fused(static_cast<T>(step), T(1), at); }
  index_t worth_a_thread() const override { return detail::worth_a_thread<gaussian>(); }
};

template <class T, class Policy, class F>
class machine_line final : public answered_line {
 public:
  machine_line(const Policy& policy, F& f, std::span<const T> x, const estimate_options& options)
      : box_(policy, f, memory_.buffers().candidates, memory_.buffers().rows),
        here_(&box_, team_of(policy), memory_) {
    points_.x = x;
    points_.from = {options.seed, options.step, 0, purpose::direction};
    epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    const auto count = static_cast<index_t>(x.size());
    here_.begin(options);
    here_.open({x.data(), 1, count, nullptr, nullptr}, options, on_failure::stop);
  }

  void go_along(index_t direction) {
    points_.from.number = static_cast<std::uint32_t>(direction);
    points_.coordinate.reset();
    const T most = largest_magnitude(static_cast<index_t>(points_.x.size()), points_.x.data());
    size = std::max(1.0, static_cast<double>(most));
  }
  void go_along_coordinate(index_t i) {
    points_.coordinate = i;
    at = static_cast<double>(points_.x[static_cast<std::size_t>(i)]);
    size = std::max(1.0, magnitude(at));
  }

  double made(double step) const override {
    if (!points_.coordinate) return step;
    return static_cast<double>(line_points<T>::moved(static_cast<T>(at), step)) - at;
  }
  bool ask(std::span<const double> steps, std::span<double> answers) override {
    points_.steps = steps;
    here_.pose(points_, static_cast<index_t>(steps.size()), 1, false);
    here_.ask();
    std::copy_n(here_.answers(), answers.size(), answers.begin());
    return !here_.stopped();
  }
  const estimate_result& result() const { return here_.result(); }

 private:
  workspace<T> memory_;
  local_black_box<T, F, Policy> box_;
  machine<T> here_;
  line_points<T> points_;
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
  detail::machine_line<T, Policy, std::remove_reference_t<F>> line(policy, f, at, options);
  if (how.coordinate) {
    line.go_along_coordinate(*how.coordinate);
  } else {
    line.go_along(0);
  }
  noise_estimate found = detail::find_noise(line, how);
  found.queries = line.result().queries;
  found.failure = line.result().failure;
  return found;
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

  detail::machine_line<T, Policy, std::remove_reference_t<F>> line(policy, f, at, options);
  const auto go_to = [&](index_t k) {
    if (how.coordinates) {
      line.go_along_coordinate(chosen[k]);
    } else {
      line.go_along(k);
    }
  };
  go_to(0);
  noise_estimate noise;
  noise.found = how.noise.has_value();
  noise.level = how.noise.value_or(0);
  if (!noise.found) noise = detail::find_noise(line, {.points = how.points});
  std::vector<smoothing_choice> lines;
  const index_t count = how.coordinates ? chosen.count() : how.directions;
  for (index_t k = 0; noise.found && k < count; ++k) {
    go_to(k);
    lines.push_back(
        detail::find_smoothing(line, !S::uses_base, noise.level, how.largest.value_or(line.size)));
  }
  smoothing_choice choice = detail::median_of(std::move(lines));
  choice.noise_why = how.noise ? noise_end::found : noise.why;
  choice.queries = line.result().queries;
  choice.failure = line.result().failure;
  return choice;
}

}  // namespace zo
