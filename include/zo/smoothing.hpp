// The smoothing parameter mu of an estimator: a number, or one that its run chooses from the noise
// of the answers and the curvature of f, and the search for it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/machine.hpp"
#include "zo/outcome.hpp"
#include "zo/random.hpp"
#include "zo/rounding.hpp"
#include "zo/team.hpp"

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

/// How a search for a smoothing ended. Of several lines: that of the line whose step was taken.
enum class smoothing_end {
  balanced,      ///< noise and truncation are balanced
  largest,       ///< truncation stands out of the noise nowhere: the largest step is taken
  smallest,      ///< truncation is above the noise at the smallest step, which is taken
  no_noise,      ///< the noise was not found; smoothing_choice::noise_why says why
  query_failed,  ///< an answer was no finite number
  unfinished,    ///< automatic_smoothing::max_queries were asked before
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
    case smoothing_end::unfinished:
      return "the search took all its queries: allow it more max_queries, or say the noise, if it "
             "is known";
  }
  return "unknown";
}

/// A smoothing mu that was looked for, and what slopes along the lines of the search err by with
/// it.
struct smoothing_choice {
  /// mu. Unless ok: what zo::automatic goes on with; of zo::choose_smoothing 0, which no estimator
  /// takes.
  double smoothing = 0;
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

/// How a run chooses its smoothing; zo::automatic is the default of all of it.
struct automatic_smoothing {
  /// Chosen anew at every step that is a multiple of it, for a noise or curvature that changes on
  /// the way; 0: at step 0 alone.
  std::uint64_t every = 0;
  /// mu until a search finds one: that of the run before (smoothing_choice::smoothing) where a run
  /// goes on at a later step, and what is taken where a search finds none (unset: 1e-3).
  std::optional<double> start{};
  std::optional<double> noise{};    ///< standard deviation of an answer, where it is known
  std::optional<double> largest{};  ///< mu; unset: max(1, |x|), of zo::sphere sqrt(d) times that
  index_t max_queries = 150;        ///< of a search; most take a third to two thirds of them
};

/// The smoothing of rge_options and cge_options that is chosen by the run, at its first step:
///   zo::rge({.directions = 16, .smoothing = zo::automatic}, zo::gaussian{}, zo::central{})
/// asks along its own first three directions (zo::cge: along three of its coordinates) what
/// zo::choose_smoothing does, as the first rounds of the estimate of step 0, or of every so many
/// (automatic_smoothing::every). The median is mu from there on.
///
/// estimate_result::automatic and minimize_result::automatic say what was chosen, with its error.
/// Where no noise is found, or a query fails and the policy is to go on, mu stays what it was. At
/// other steps no mu is known to a run that begins there: it says so, and takes
/// automatic_smoothing::start. Rows of zo::boundary share what is found at the first one. Queries:
/// at most max_queries more at these steps, which budgets count on. The same bits for every policy,
/// and for runs that are saved and loaded.
inline constexpr automatic_smoothing automatic{};

/// The smoothing mu of an estimator: a number, or zo::automatic.
class smoothing_parameter {
 public:
  constexpr smoothing_parameter(double mu) : number_(mu) {}                     // NOLINT: is one
  constexpr smoothing_parameter(const automatic_smoothing& how) : how_(how) {}  // NOLINT

  constexpr bool is_automatic() const { return how_.has_value(); }
  /// How it is chosen, where it is.
  constexpr const std::optional<automatic_smoothing>& how() const { return how_; }
  /// mu; throws std::invalid_argument, in the name of `who`, where it is chosen by the run.
  double number(const char* who) const {
    detail::require(!is_automatic(), who,
                    ": here the smoothing is a number and cannot be zo::automatic; "
                    "zo::choose_smoothing finds one");
    return number_;
  }
  operator double() const { return number("zo"); }  // NOLINT: what most of zo asks for

  /// Whether mu is looked for in the estimate of this step.
  constexpr bool is_searched_at(std::uint64_t step) const {
    return is_automatic() && (step == 0 || (how_->every > 0 && step % how_->every == 0));
  }
  /// Queries that an estimate takes for that, at most.
  constexpr index_t queries(std::uint64_t step) const {
    return is_searched_at(step) ? how_->max_queries : 0;
  }
  /// No mu is larger; throws std::invalid_argument where none is said.
  double largest(const char* who) const {
    if (!is_automatic()) return number_;
    detail::require(how_->largest.has_value(), who,
                    ": how far the search for the smoothing asks must be known here: say its "
                    "largest step, zo::automatic_smoothing{.largest = 0.1}");
    return *how_->largest;
  }
  void check(const char* who) const;
  void describe(detail::fingerprint& print) const;

 private:
  double number_ = 0;
  std::optional<automatic_smoothing> how_{};
};

namespace detail {

// Searches, which know nothing of f but answers. Compiled in src/smoothing.cpp --------------------

// A line through x.
struct search_line {
  double at = 0;       // the coordinate that moves, else 0
  double size = 1;     // max(1, |x|), |x| the largest number that moves
  double epsilon = 0;  // of the scalar type
  double unit = 1;     // the step for which mu is 1
};

inline constexpr index_t searched_lines = 3;

// Points are asked so many times as far as the largest step.
constexpr double reach_of_search(bool central) { return central ? 3 : 4; }
inline double reach_of(const char* who, const smoothing_parameter& smoothing, bool central) {
  return smoothing.largest(who) * (smoothing.is_automatic() ? reach_of_search(central) : 1);
}

// An exponent between bounds that have been found to be too small and too large, or further by
// `stride` towards the one that has not.
class exponent_search {
 public:
  exponent_search(int least, int most, int start)
      : too_small_(least - 1), too_large_(most + 1), at_(std::clamp(start, least, most)) {}

  int at() const { return at_; }
  bool bracketed() const { return has_small_ && has_large_; }
  // False: there is nothing between, or nothing beyond.
  bool go_up(int stride) {
    has_small_ = true;
    too_small_ = at_;
    return go_to(has_large_ ? middle() : std::min(at_ + stride, too_large_ - 1));
  }
  bool go_down(int stride) {
    has_large_ = true;
    too_large_ = at_;
    return go_to(has_small_ ? middle() : std::max(at_ - stride, too_small_ + 1));
  }

 private:
  int middle() const { return too_small_ + (too_large_ - too_small_) / 2; }
  bool go_to(int next) {
    at_ = next;
    return too_small_ < next && next < too_large_;
  }

  int too_small_, too_large_, at_;
  bool has_small_ = false, has_large_ = false;
};

// The noise on a line: the answers at steps() are taken until there are none.
class noise_search {
 public:
  struct plan {
    index_t points = 16;  // of a try
    index_t tries = 6;
    std::optional<double> spacing{};  // that is tried first
    std::optional<double> reach{};    // no point is further from x
  };
  struct outcome {
    double level = 0;
    bool found = false;
    noise_end why = noise_end::too_wide;
    double spacing = 0;
  };
  noise_search(const search_line& line, const plan& how);

  std::span<const double> steps() const { return steps_; }
  void take(std::span<const double> answers);  // NaN: failed
  const outcome& found() const { return found_; }

 private:
  void pose();

  search_line line_;
  index_t tries_left_;
  exponent_search search_;
  std::vector<double> steps_;
  outcome found_;
};

// The step on a line, likewise.
class step_search {
 public:
  step_search(const search_line& line, bool central, double noise, double largest);

  std::span<const double> steps() const { return std::span(steps_).first(asked_); }
  // Answers, and the steps that really happened.
  void take(std::span<const double> made, std::span<const double> answers);
  // When there are no more steps.
  const smoothing_choice& choice() const { return choice_; }

 private:
  struct bend {
    double step = 0;
    double ratio = 0;       // r
    double derivative = 0;  // its magnitude
    double noise = 0;       // that it was compared with
  };

  void pose(double step);
  void pose_next();
  bend measured() const;
  void end(const bend& at, double step, smoothing_end why);
  void end_balanced(const bend& at);

  search_line line_;
  bool central_;
  double noise_, largest_;
  exponent_search search_;
  std::array<double, 4> steps_{}, made_{}, answers_{};
  std::size_t asked_ = 0;
  double step_ = 0;
  bool base_known_ = false, confirms_ = false;
  bend bent_;
  smoothing_choice choice_;
};

// mu by the noise on one line and the steps on all of them.
class smoothing_search {
 public:
  struct plan {
    bool central = false;
    std::optional<double> noise{};
    std::optional<double> largest{};                     // mu
    index_t points = 16;                                 // for the noise
    index_t most = std::numeric_limits<index_t>::max();  // queries
  };
  struct point {
    std::size_t line = 0;
    double step = 0;
  };
  smoothing_search(std::vector<search_line> lines, const plan& how);

  // What is asked next, of all lines together; none: the search is over.
  std::span<const point> points() const { return points_; }
  void take(std::span<const double> made, std::span<const double> answers);
  const smoothing_choice& choice() const { return choice_; }

 private:
  void search_noise(std::size_t line);
  void search_steps(double noise);
  void pose();
  void end();

  std::vector<search_line> lines_;
  plan how_;
  std::size_t noise_line_ = 0;
  std::optional<noise_search> noise_;  // as long as it is looked for
  std::vector<step_search> steps_;     // by line
  std::vector<point> points_;
  index_t asked_ = 0;
  bool cut_ = false;
  smoothing_choice choice_;
};

// Searches on a machine ---------------------------------------------------------------------------

// Lines through x, and points on them as the candidates of a round.
template <class T>
class search_lines : public point_source<T> {
 public:
  explicit search_lines(std::span<const T> x) : x_(x) {}

  const std::vector<search_line>& lines() const { return lines_; }
  // The step that really happens.
  virtual double made(const smoothing_search::point& at) const = 0;

  // Poses f at these points; they must live as long as the round.
  void pose(machine<T>& on, std::span<const smoothing_search::point> points) {
    points_ = points;
    on.pose(*this, static_cast<index_t>(points.size()), 1, false);
  }

 protected:
  std::span<const T> x_;
  std::span<const smoothing_search::point> points_{};
  std::vector<search_line> lines_;
};

template <class T>
std::span<const T> first_row(const row_problem<T>& problem) {
  return {problem.x, static_cast<std::size_t>(problem.dimension)};
}

// Along the first directions of an estimate, made as long as normal ones.
template <class T, distribution D>
class direction_lines final : public search_lines<T> {
 public:
  using point = smoothing_search::point;

  direction_lines(std::span<const T> x, std::uint64_t seed, std::uint64_t step, index_t count)
      : search_lines<T>(x), from_{seed, step, 0, purpose::direction} {
    const auto dimension = static_cast<index_t>(x.size());
    const double root = std::sqrt(D::scale(dimension));
    const T most = largest_magnitude(dimension, x.data());
    const search_line line{0, std::max(1.0, static_cast<double>(most)),
                           static_cast<double>(std::numeric_limits<T>::epsilon()), 1 / root};
    this->lines_.assign(static_cast<std::size_t>(count), line);
    for (std::size_t k = 0; k < this->lines_.size(); ++k) {
      factors_.push_back(root * raw_factor<D>(number(k), dimension));
    }
  }
  double made(const point& at) const override { return at.step; }
  void write(index_t j, index_t at, index_t count, T* to) const override {
    const point& here = this->points_[static_cast<std::size_t>(j)];
    detail::perturb<typename D::law>(number(here.line), at, count, this->x_.data() + at,
                                     static_cast<T>(here.step * factors_[here.line]), to);
  }
  index_t worth_a_thread() const override { return detail::worth_a_thread<typename D::law>(); }

 private:
  stream number(std::size_t k) const {
    stream at = from_;
    at.number = static_cast<std::uint32_t>(k);
    return at;
  }
  stream from_;
  std::vector<double> factors_;  // from raw values to the length of normal directions
};

// Along coordinates.
template <class T>
class coordinate_lines final : public search_lines<T> {
 public:
  using point = smoothing_search::point;

  // `relative`: mu is a multiple of max(1, |x_i|).
  coordinate_lines(std::span<const T> x, std::vector<index_t> coordinates, bool relative)
      : search_lines<T>(x), coordinates_(std::move(coordinates)) {
    for (const index_t i : coordinates_) {
      const auto at = static_cast<double>(x[static_cast<std::size_t>(i)]);
      const double size = std::max(1.0, magnitude(at));
      this->lines_.push_back({at, size, static_cast<double>(std::numeric_limits<T>::epsilon()),
                              relative ? size : 1.0});
    }
  }
  double made(const point& at) const override {
    const double x = this->lines_[at.line].at;
    return static_cast<double>(moved(static_cast<T>(x), at.step)) - x;
  }
  void write(index_t j, index_t at, index_t count, T* to) const override {
    const point& here = this->points_[static_cast<std::size_t>(j)];
    std::copy_n(this->x_.data() + at, count, to);
    const index_t i = coordinates_[here.line] - at;
    if (i >= 0 && i < count) to[i] = moved(to[i], here.step);
  }
  index_t worth_a_thread() const override { return index_t{1} << 16; }

 private:
  static T moved(T at, double step) { return fused(static_cast<T>(step), T(1), at); }
  std::vector<index_t> coordinates_;
};

// A search on a machine, round by round.
template <class T>
class search_run {
 public:
  search_run(machine<T>& on, std::unique_ptr<search_lines<T>> lines,
             const smoothing_search::plan& how)
      : machine_(on), lines_(std::move(lines)), search_(lines_->lines(), how) {}

  // Takes the answers of the round before and poses the next one; false: it is over.
  bool pose() {
    if (std::exchange(posed_, false)) {
      const std::span<const smoothing_search::point> points = search_.points();
      made_.clear();
      for (const auto& point : points) made_.push_back(lines_->made(point));
      asked_ += static_cast<index_t>(points.size());
      search_.take(made_, {machine_.answers(), points.size()});
    }
    if (machine_.stopped() || search_.points().empty()) return false;
    lines_->pose(machine_, search_.points());
    return posed_ = true;
  }
  const smoothing_choice& choice() const { return search_.choice(); }
  index_t asked() const { return asked_; }

 private:
  machine<T>& machine_;
  std::unique_ptr<search_lines<T>> lines_;
  smoothing_search search_;
  std::vector<double> made_;
  index_t asked_ = 0;
  bool posed_ = false;
};

// Choices as numbers of a machine, for saved runs.
inline constexpr index_t choice_numbers = 10;
template <class T>
void put_choice(const smoothing_choice& from, T* to) {
  const double numbers[] = {from.smoothing,
                            from.noise,
                            from.derivative,
                            from.noise_error,
                            from.truncation_error,
                            from.error,
                            from.ok ? 1.0 : 0.0,
                            static_cast<double>(from.why),
                            static_cast<double>(from.noise_why),
                            static_cast<double>(from.queries)};
  for (const double number : numbers) *to++ = static_cast<T>(number);
}
template <class T>
smoothing_choice get_choice(const T* from) {
  smoothing_choice to;
  for (double* const one : {&to.smoothing, &to.noise, &to.derivative, &to.noise_error,
                            &to.truncation_error, &to.error}) {
    *one = static_cast<double>(*from++);
  }
  to.ok = *from++ != T(0);
  to.why = static_cast<smoothing_end>(*from++);
  to.noise_why = static_cast<noise_end>(*from++);
  to.queries = static_cast<index_t>(*from);
  return to;
}

// Estimates by slopes, whose smoothing is a number or chosen in the first rounds of some of them.
//   name             of the estimator
//   lines(problem, options)   those that a search asks along, through the first row
//   smooth(mu)       from now on
template <class M, class Slopes>
class smoothed_run {
 public:
  using T = typename M::value_type;

  smoothed_run(M& machine, const smoothing_parameter& smoothing, Slopes slopes)
      : machine_(machine), smoothing_(smoothing), run_(machine, std::move(slopes)) {
    if (smoothing.is_automatic()) state_ = machine.vector(choice_numbers);
  }

  // Not inlined, so that programs take those of src/estimators.cpp.
  [[gnu::noinline]] void begin(const row_problem<T>& problem, const estimate_options& options) {
    failed_ = false;
    search_.reset();
    if (smoothing_.is_automatic()) {
      problem_ = problem;
      options_ = options;
      found_.reset();
      if (begin_search()) return;
      run_.slopes().smooth(known());
    }
    run_.begin(problem, options);
  }

  [[gnu::noinline]] bool pose() {
    if (search_) {
      if (search_->pose()) return true;
      end_search();
    }
    return !failed_ && run_.pose();
  }

  bool value_is_exact() const { return run_.value_is_exact(); }
  index_t extra_queries() const { return run_.extra_queries(); }

  [[gnu::noinline]] void end() {
    if (failed_) {
      machine_.open(problem_, options_, run_.slopes().failures());
      if (problem_.losses != nullptr) std::fill_n(problem_.losses, problem_.rows, failed_query);
      machine_.close(failed_query, flaw::query_failed);
      return;
    }
    run_.end();
    if (found_) put_choice(*found_, state_.data());
  }

  bool searches() const { return search_.has_value(); }
  std::vector<std::span<T>> state() {
    if (state_.empty()) return {};
    return {std::span<T>(state_)};
  }
  // What the last search found; null before.
  std::shared_ptr<const smoothing_choice> automatic() {
    if (state_.empty() || !(state_[0] > T(0))) return {};
    std::array<T, choice_numbers> told{};
    if (told_ != nullptr) put_choice(*told_, told.data());
    if (!std::ranges::equal(told, state_)) {
      told_ = std::make_shared<const smoothing_choice>(get_choice(state_.data()));
    }
    return told_;
  }

 private:
  bool begin_search() {
    const std::uint64_t step = options_.step;
    if (!smoothing_.is_searched_at(step)) return false;
    require(machine_.answers_points(), Slopes::name,
            ": zo::automatic asks whole points, and the objective answers differences of "
            "coordinates only: give a number as smoothing");
    std::unique_ptr<search_lines<T>> lines = run_.slopes().lines(problem_, options_);
    if (!is_finite(lines->lines().front().size)) return false;  // the slopes will say so
    estimate_options here = options_;
    here.known_values = {};  // of all rows
    failure_policy failures = run_.slopes().failures();
    if (failures != on_failure::stop) {
      failure_options dropping = failures.options();
      dropping.then = on_failure::drop;
      failures = dropping;
    }
    before_ = machine_.result().queries;
    machine_.open({problem_.x, 1, problem_.dimension, nullptr, nullptr}, here, failures);
    const automatic_smoothing& how = *smoothing_.how();
    search_.emplace(machine_, std::move(lines),
                    smoothing_search::plan{.central = !Slopes::uses_base,
                                           .noise = how.noise,
                                           .largest = how.largest,
                                           .most = how.max_queries});
    return true;
  }

  void end_search() {
    failed_ = machine_.stopped();
    const index_t made = machine_.result().queries - before_;
    smoothing_choice choice = search_->choice();
    const index_t retries = made - search_->asked();
    search_.reset();
    if (failed_) return;
    choice.queries = made;
    if (!choice.ok) choice.smoothing = known();
    // What is saved of it is all that is known of it.
    std::array<T, choice_numbers> numbers{};
    put_choice(choice, numbers.data());
    found_ = get_choice(numbers.data());
    run_.slopes().smooth(found_->smoothing);
    estimate_options rest = options_;
    rest.spare_queries -= retries;
    run_.begin(problem_, rest);
  }

  // mu without a new search.
  double known() const {
    if (state_[0] > T(0)) return static_cast<double>(state_[0]);
    const automatic_smoothing& how = *smoothing_.how();
    require(how.start.has_value() || smoothing_.is_searched_at(options_.step), Slopes::name,
            ": no smoothing is known at step ", options_.step,
            ", because zo::automatic chooses it at step 0: hand over what was chosen there, "
            "zo::automatic_smoothing{.start = …}, or let it be chosen here too, {.every = 1}");
    return static_cast<double>(static_cast<T>(how.start.value_or(1e-3)));
  }

  M& machine_;
  smoothing_parameter smoothing_;
  slope_run<M, Slopes> run_;
  row_problem<T> problem_;
  estimate_options options_;
  std::optional<search_run<T>> search_;      // that is under way
  std::optional<smoothing_choice> found_{};  // in this estimate
  std::shared_ptr<const smoothing_choice> told_;
  std::vector<T> state_;  // what was found in those before; zeros: nothing
  index_t before_ = 0;    // queries when the search began
  bool failed_ = false;   // and the policy is to stop
};

// The run of an estimator by slopes. Machines that are not the host's cannot search.
template <class Slopes, class M, class Options>
auto start_slopes(M& on, const Options& options) {
  if constexpr (std::same_as<M, machine<typename M::value_type>>) {
    return smoothed_run<M, Slopes>(on, options.smoothing, options);
  } else {
    require(!options.smoothing.is_automatic(), Slopes::name,
            ": zo::automatic asks on the CPU alone; on a GPU give a number as smoothing: "
            "zo::choose_smoothing finds one");
    return slope_run<M, Slopes>(on, options);
  }
}

}  // namespace detail
}  // namespace zo
