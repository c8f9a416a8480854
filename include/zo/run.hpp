// A whole run, whoever answers its questions: estimate, step, count queries, stop for a stated
// reason. zo::minimize asks an objective; zo::ask hands the questions out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/line_search.hpp"
#include "zo/machine.hpp"
#include "zo/outcome.hpp"
#include "zo/shared.hpp"

namespace zo {

/// Why a run ended. All are expected ends, none is an error of the program. After the last three, x
/// is the last good point: where f(x) is a number, as far as it was asked.
enum class status {
  target_reached,    ///< f(x) <= target at the final x
  budget_spent,      ///< the next estimate would exceed max_queries
  steps_done,        ///< max_steps steps were made
  callback_stopped,  ///< on_step asked to stop
  converged,         ///< nothing is left to gain (zo::least_squares, zo::lbfgs)
  query_failed,      ///< an estimate or f(x) failed (on_failure)
  too_many_failed,   ///< more queries failed than failure_options::most_failed
  smoothing_lost,    ///< x has grown too large for the estimator's smoothing (flaw)
  out_of_range,      ///< the estimate, x or the optimizer's state left the finite numbers
};

inline constexpr std::string_view to_string(status why) {
  switch (why) {
    case status::target_reached:
      return "target reached";
    case status::budget_spent:
      return "query budget spent";
    case status::steps_done:
      return "steps done";
    case status::callback_stopped:
      return "stopped by the callback";
    case status::converged:
      return "converged";
    case status::query_failed:
      return "a query failed";
    case status::too_many_failed:
      return "more queries failed than allowed";
    case status::smoothing_lost:
      return "the smoothing is lost in the rounding of x";
    case status::out_of_range:
      return "a number is beyond the scalar type";
  }
  return "unknown";
}

/// x of a run whose scalar type the caller knows. Empty where x is in the memory of a GPU.
class point_view {
 public:
  point_view() = default;
  point_view(std::span<const float> x) : floats_(x) {}    // NOLINT: a view of it
  point_view(std::span<const double> x) : doubles_(x) {}  // NOLINT

  index_t size() const { return static_cast<index_t>(floats_.size() + doubles_.size()); }
  double operator[](index_t i) const {
    const auto at = static_cast<std::size_t>(i);
    return doubles_.empty() ? static_cast<double>(floats_[at]) : doubles_[at];
  }
  /// All of it; empty if the run's scalar is another.
  template <scalar T>
  std::span<const T> as() const {
    if constexpr (std::same_as<T, float>)
      return floats_;
    else
      return doubles_;
  }

 private:
  std::span<const float> floats_;
  std::span<const double> doubles_;
};

/// What a callback sees after each step.
struct step_report {
  std::uint64_t step = 0;  ///< number of the step just made; the next run's first_step is one more
  index_t queries = 0;     ///< made so far
  double value = 0;        ///< of the estimate before the step: see estimate_result::value
  index_t failed = 0;      ///< failed queries so far
  bool recalled = false;   ///< a log knew all answers of this step: it was made before
  double best = 0;         ///< lowest f(x) so far at points of the run; NaN while none is known
  double seconds = 0;      ///< since the run began
  point_view x{};          ///< after the step
  std::shared_ptr<const smoothing_choice> automatic{};  ///< mu of zo::automatic; null without it
};

enum class verdict { go_on, stop };

struct minimize_options {
  /// Must be set; never exceeded. With 0, what is left of a finished run, nothing is asked.
  std::optional<index_t> max_queries{};
  std::optional<double> target{};  ///< stop when f(x) is at or below
  std::optional<std::uint64_t> max_steps{};
  std::uint64_t seed = 0;
  /// Continue a run: minimize_result::next_step of the run before. An updater that is kept between
  /// calls must have made no more steps, or directions would repeat.
  std::uint64_t first_step = 0;
  index_t chunk_bytes = index_t{64} << 20;  ///< see estimate_options
  /// End at the point of the run with the lowest f(x), not at the last one. Costs d numbers, and
  /// under central differences one query a step.
  bool return_best = false;
  /// Under on_failure::drop: estimates that may fail in a row, f(x) or all of their slopes; each is
  /// skipped, and a step that led there is undone. One more ends the run.
  int max_failed_steps = 10;
  std::function<verdict(const step_report&)> on_step{};
  /// Keeps every answer, and is asked first: a run with the log of an earlier one, begun from the
  /// same x with the same estimator, optimizer and seed, goes on where that ended, with its bits
  /// (zo::journal). Must outlive the run. Not on a GPU, not for objectives that answer differences.
  answer_log* log = nullptr;
};

struct minimize_result {
  status why = status::budget_spent;
  double value = 0;     ///< f at the final x; NaN if no query was left for it or it failed (drop)
  index_t queries = 0;  ///< really made, the one for `value` included
  index_t failed = 0;   ///< failed ones among them
  std::uint64_t steps = 0;      ///< made in this call, without those that were undone
  std::uint64_t next_step = 0;  ///< first_step of a run that goes on from here
  index_t skipped = 0;          ///< estimates that failed and were passed over (drop)
  double best = 0;              ///< lowest f(x) known at points of the run; NaN if none is
  std::shared_ptr<const query_failure>
      failure{};  ///< the first failed query; null: none failed here
  std::shared_ptr<const smoothing_choice> automatic{};  ///< mu of zo::automatic; null without it
};

namespace detail {

inline status status_of(flaw why) {
  return why == flaw::query_failed     ? status::query_failed
         : why == flaw::smoothing_lost ? status::smoothing_lost
                                       : status::out_of_range;
}

enum class run_phase : std::uint32_t {
  step,
  begin,
  estimate,
  digest,
  ask_value,
  take_value,
  search,
  take_points,
  end,
  done
};

// What a run knows beside its vectors, at the beginning of an estimate or of asking f(x): all that
// zo::ask must save.
struct run_state {
  run_phase phase = run_phase::step;
  run_phase after_value = run_phase::end;
  std::uint64_t next_step = 0, steps = 0;
  index_t queries = 0, failed = 0, skipped = 0;
  double value = failed_query, best = failed_query, estimated = failed_query;
  double last_value = failed_query;  // f(x) before the last step
  std::int32_t why = 0, failed_in_a_row = 0;
  std::uint32_t value_known = 0, asked_at_the_end = 0;
  std::uint32_t x_is_good = 1;  // f(x) is a number, or nobody knows better
  std::uint32_t padding = 0;
};

template <class M>
class minimize_run {
 public:
  using T = typename M::value_type;
  using vector = decltype(std::declval<M&>().vector(index_t{}));

  // `step(x, gradient)` moves x and says whether that left finite numbers; `steps_before`: those
  // that a kept updater has made.
  // With a search, that makes the steps.
  minimize_run(M& machine, running_estimator<M>& how, T* x, index_t dimension,
               std::function<bool(T*, const T*)> step, std::optional<std::uint64_t> steps_before,
               minimize_options options, line_search<T>* search = nullptr)
      : machine_(machine),
        how_(how),
        step_(std::move(step)),
        search_(search),
        points_(search),
        options_(std::move(options)),
        x_(x),
        dimension_(dimension),
        exact_(how.value_is_exact()),
        asks_value_((options_.target.has_value() || options_.return_best || search != nullptr) &&
                    !exact_),
        next_step_(options_.first_step),
        gradient_(machine.vector(dimension)),
        last_(machine.vector(dimension)),
        best_(machine.vector(options_.return_best ? dimension : 0)),
        began_(std::chrono::steady_clock::now()) {
    constexpr const char* who = "zo::minimize";
    require(options_.max_queries.has_value(), who,
            ": max_queries must be set; every run says what it may cost, also one with "
            "max_steps or a target");
    require(*options_.max_queries >= 0, who, ": max_queries must be at least 0, got ",
            *options_.max_queries);
    require(!options_.target || !is_nan(*options_.target), who,
            ": target must be a number, got NaN");
    require(options_.max_failed_steps >= 0, who, ": max_failed_steps must be at least 0, got ",
            options_.max_failed_steps);
    if (steps_before) {
      require(*steps_before <= options_.first_step, who, ": the updater has made ", *steps_before,
              " steps and first_step is ", options_.first_step,
              ", so that directions would repeat; set first_step to next_step of the run before");
    }
    check_options(who, now());
    how_.queries(dimension, options_.first_step);  // checks selections
    if (search_ != nullptr) check_search();
    if (options_.log != nullptr) begin_log();
    result_.value = result_.best = failed_query;
    agree();
  }
  minimize_run(const minimize_run&) = delete;
  minimize_run& operator=(const minimize_run&) = delete;

  // Takes the answers of what was posed and poses the next questions; false at the end.
  [[gnu::noinline]] bool pose() {
    for (;;) {
      switch (phase_) {
        case phase::step:
          if (const auto why = end_before(next_step_, result_.steps, result_.queries)) {
            end(*why);
          } else {
            phase_ = phase::begin;
          }
          break;
        case phase::begin:
          begin_estimate();
          break;
        case phase::estimate:
          if (how_.pose()) return true;
          how_.end();
          phase_ = phase::digest;
          take_estimate();
          break;
        case phase::digest:  // f(x) is known, or nobody asks for it
          digest();
          break;
        case phase::end:
          if (prepare_end()) break;
          phase_ = phase::done;
          finish();
          note_begin();
          break;
        case phase::ask_value:
          if (pose_value()) return true;
          break;
        case phase::take_value:
          take_value();
          break;
        case phase::search:
          if (pose_points()) return true;
          break;
        case phase::take_points:
          take_points();
          break;
        case phase::done:
          return false;
      }
    }
  }

  // An exception leaves x at the last good point.
  void interrupt() {
    const bool good = exact_ && phase_ == phase::estimate && machine_.base_answered();
    if (!x_is_good_ && !good && !calling_back_) step_back();
  }

  const minimize_result& result() const { return result_; }
  bool over() const { return phase_ == phase::done; }

  // As it was when what is posed now was begun; and a run that goes on from there. `answered`: some
  // of what was posed is answered.
  const run_state& begun() const { return begun_; }
  std::uint64_t times_begun() const { return times_begun_; }
  void resume(const run_state& from, bool answered) {
    begun_ = from;
    phase_ = from.phase;
    after_value_ = from.after_value;
    next_step_ = from.next_step;
    result_ = {};
    result_.why = static_cast<status>(from.why);
    result_.steps = from.steps;
    result_.queries = from.queries;
    result_.failed = from.failed;
    result_.skipped = from.skipped;
    result_.value = from.value;
    result_.best = from.best;
    result_.next_step = from.next_step;
    result_.automatic = how_.automatic();
    estimated_.value = from.estimated;
    last_value_ = from.last_value;
    failed_in_a_row_ = from.failed_in_a_row;
    value_known_ = from.value_known != 0;
    asked_at_the_end_ = from.asked_at_the_end != 0;
    x_is_good_ = from.x_is_good != 0;
    // One that ended as planned goes on where these options let it.
    const status why = result_.why;
    const bool planned =
        why == status::budget_spent || why == status::steps_done || why == status::target_reached;
    if (phase_ == phase::done && planned && !reaches_target()) {
      phase_ = phase::step;
      asked_at_the_end_ = asked_at_the_end_ && value_known_;
    }
    if (phase_ == phase::begin && !answered) phase_ = phase::step;
  }
  // Whether what is posed are points of a search.
  bool searches() const { return phase_ == phase::take_points; }
  // Whether these options would begin the estimate that is under way there.
  bool allows(const run_state& from) const {
    return from.phase != phase::begin || !end_before(from.next_step, from.steps, from.queries);
  }
  vector& gradient() { return gradient_; }
  vector& last() { return last_; }
  vector& best() { return best_; }
  const vector& gradient() const { return gradient_; }
  const vector& last() const { return last_; }
  const vector& best() const { return best_; }

 private:
  using phase = run_phase;

  void begin_log() {
    constexpr const char* who = "zo::minimize";
    if constexpr (requires { machine_.keep(options_.log); }) {
      require(!machine_.probes(), who,
              ": a log keeps answers at points, and this objective answers differences; leave out "
              "log, or give one f(point) -> loss");
      fingerprint print;
      how_.describe(print);
      const std::vector<double> start = widened(x_, dimension_);
      options_.log->begin({sizeof(T), options_.seed, options_.first_step, print.value(), start});
      machine_.keep(options_.log);
    } else {
      require(false, who, ": on a GPU no log is kept; leave it out");
    }
  }
  // Whether a log knew all answers since the last call.
  bool was_recalled() {
    if (options_.log == nullptr) return false;
    return std::exchange(recorded_, options_.log->recorded()) == options_.log->recorded();
  }

  void note_begin() {
    ++times_begun_;
    begun_ = {phase_,
              after_value_,
              next_step_,
              result_.steps,
              result_.queries,
              result_.failed,
              result_.skipped,
              result_.value,
              result_.best,
              estimated_.value,
              last_value_,
              static_cast<std::int32_t>(result_.why),
              failed_in_a_row_,
              value_known_ ? 1U : 0U,
              asked_at_the_end_ ? 1U : 0U,
              x_is_good_ ? 1U : 0U,
              0};
  }

  estimate_options now() const {
    estimate_options place{options_.seed, next_step_};
    place.chunk_bytes = options_.chunk_bytes;
    return place;
  }
  row_problem<T> problem() { return {x_, 1, dimension_, gradient_.data(), nullptr}; }
  bool drops() const { return goes_on(how_.failures()); }
  bool too_many_failed() const { return result_.failed > how_.failures().options().most_failed; }
  index_t left(index_t asked) const { return *options_.max_queries - asked; }

  void end(status why) {
    result_.why = why;
    phase_ = phase::end;
  }

  // Why a step must not be begun. One query is always kept for the value of the final point.
  std::optional<status> end_before(std::uint64_t step, std::uint64_t made, index_t asked) const {
    if (options_.max_steps && made >= *options_.max_steps) return status::steps_done;
    const index_t cost = how_.queries(dimension_, step) + (asks_value_ ? 1 : 0);
    if (left(asked) <= cost) return status::budget_spent;
    return {};
  }
  // What an estimate need not ask again.
  bool knows_value() const { return search_ != nullptr && exact_ && value_known_; }

  void begin_estimate() {
    note_begin();
    estimate_options place = now();
    const index_t cost = how_.queries(dimension_, next_step_) + (asks_value_ ? 1 : 0);
    place.spare_queries = left(result_.queries) - cost - 1;  // one is for the value at the end
    known_value_ = result_.value;
    if (knows_value()) place.known_values = std::span(&known_value_, 1);
    phase_ = phase::estimate;
    asked_at_the_end_ = false;
    agree_on_estimate<T>(
        machine_.others(), dimension_, 1, [this](fingerprint& print) { how_.describe(print); },
        place, [this] { return machine_.print(x_, dimension_); });
    machine_.begin(place);
    how_.begin(problem(), place);
  }

  void count(const estimate_result& asked) {
    result_.queries += asked.queries;
    result_.failed += asked.failed;
    if (result_.failure == nullptr) result_.failure = asked.failure;
  }

  void take_estimate() {
    estimated_ = machine_.result();
    count(estimated_);
    result_.automatic = how_.automatic();
    if (estimated_.why == flaw::out_of_range && !x_is_good_) {
      go_back();
      end(status::out_of_range);
      return;
    }
    x_is_good_ = x_is_good_ || (exact_ ? is_finite(estimated_.value) : estimated_.ok);
    if (exact_ && estimated_.queries > 0) know_value(estimated_.value);
    if (!estimated_.ok) {
      fail();
      return;
    }
    if (too_many_failed()) {
      end(status::too_many_failed);
      return;
    }
    if (search_ == nullptr) failed_in_a_row_ = 0;  // else where a step is found
    if (asks_value_ && !(search_ != nullptr && value_known_)) {
      after_value_ = phase::digest;
      phase_ = phase::ask_value;
    }
  }

  // Of an estimate that is none: the run passes over it, or ends.
  void fail() {
    if (drops() && estimated_.why == flaw::query_failed) {
      pass_over();
    } else {
      end(status_of(estimated_.why));
    }
  }
  // An estimate of which too much failed; again, with other questions if they are random.
  void pass_over() {
    if (failed_in_a_row_ >= options_.max_failed_steps || too_many_failed()) {
      end(too_many_failed() && failed_in_a_row_ < options_.max_failed_steps
              ? status::too_many_failed
              : status::query_failed);
      return;
    }
    ++failed_in_a_row_;
    ++result_.skipped;
    ++next_step_;
    if (!x_is_good_) go_back();
    phase_ = phase::step;
  }

  void digest() {
    if (reaches_target()) {
      end(status::target_reached);
      return;
    }
    last_value_ = exact_ || asks_value_ ? result_.value : failed_query;
    if (search_ != nullptr) {
      begin_search();
      return;
    }
    value_known_ = false;
    x_is_good_ = false;
    const std::uint64_t step = next_step_++;
    ++result_.steps;
    machine_.copy(x_, dimension_, last_.data());
    if (!step_(x_, gradient_.data())) {
      go_back();
      end(status::out_of_range);
      return;
    }
    after_step(step);
  }
  void after_step(std::uint64_t step) {
    phase_ = phase::step;
    if (!options_.on_step) return;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began_;
    const step_report report{step,
                             result_.queries,
                             estimated_.value,
                             result_.failed,
                             was_recalled(),
                             result_.best,
                             passed.count(),
                             machine_.readable(x_, dimension_),
                             result_.automatic};
    calling_back_ = true;
    const bool stops =
        any_says(machine_.others(), [&] { return options_.on_step(report) == verdict::stop; });
    calling_back_ = false;
    if (stops) end(status::callback_stopped);
  }

  // Steps that ask f themselves ------------------------------------------------------------------

  void check_search() {
    constexpr const char* who = "zo::minimize";
    if constexpr (requires { machine_.keep(options_.log); }) {
      const index_t cost =
          how_.queries(dimension_, std::max<std::uint64_t>(1, options_.first_step));
      require(cost >= dimension_, who, ": an optimizer that searches along a line knows the ",
              "curvature from differences of whole gradients, and an estimate of ", cost,
              " queries is none of ", dimension_,
              " numbers; take zo::cge of all coordinates, or zo::adam");
    } else {
      require(false, who, ": on a GPU no optimizer searches along a line; take zo::adam");
    }
  }
  class searched_points final : public point_source<T> {
   public:
    explicit searched_points(const line_search<T>* of) : of_(of) {}
    void write(index_t j, index_t at, index_t count, T* to) const override {
      of_->write(j, at, count, to);
    }
    index_t worth_a_thread() const override { return index_t{1} << 16; }

   private:
    const line_search<T>* of_;
  };

  void begin_search() {
    const auto d = static_cast<std::size_t>(dimension_);
    search_start<T> from{{x_, d}, {gradient_.data(), d}, result_.value};
    from.whole = estimated_.failed == 0;
    if (const auto found = how_.automatic(); found != nullptr && found->ok) {
      from.noise = found->noise;
      from.gradient_error = found->gradient_error(dimension_);
    }
    go_on(search_->begin(from));
  }
  void go_on(typename line_search<T>::next how) {
    using next = typename line_search<T>::next;
    if (how == next::ask) {
      phase_ = phase::search;
    } else if (how == next::stuck) {
      if (estimated_.failed == 0) {
        end(status::converged);
      } else {
        pass_over();
      }
    } else {
      failed_in_a_row_ = 0;
      machine_.copy(x_, dimension_, last_.data());
      machine_.copy(search_->accepted().data(), dimension_, x_);
      search_->accept();
      ++result_.steps;
      x_is_good_ = true;
      know_value(search_->value());
      after_step(next_step_++);
    }
  }
  bool pose_points() {
    if constexpr (requires { machine_.answers(); }) {  // the host's: others say so at the beginning
      const index_t points = search_->points();
      const index_t spare = left(result_.queries) - points;
      if (spare < 0) {
        end(status::budget_spent);
        return false;
      }
      phase_ = phase::take_points;
      estimate_options place = now();
      place.spare_queries = spare;
      machine_.begin(place);
      machine_.open(problem(), place, how_.failures());
      machine_.pose(points_, points, 1, false);
    }
    return true;
  }
  void take_points() {
    if constexpr (requires { machine_.answers(); }) {
      count(machine_.result());
      const auto points = static_cast<std::size_t>(search_->points());
      const auto how = search_->take({machine_.answers(), points});
      if (too_many_failed()) {
        end(status::too_many_failed);
      } else {
        go_on(how);
      }
    }
  }

  bool reaches_target() const {
    return options_.target && !is_nan(result_.value) && result_.value <= *options_.target;
  }

  void step_back() { machine_.copy(last_.data(), dimension_, x_); }

  // To the point before the last step.
  void go_back() {
    step_back();
    --result_.steps;
    x_is_good_ = true;
    value_known_ = false;
    if (!is_nan(last_value_)) know_value(last_value_);
  }

  // f(x) alone -----------------------------------------------------------------------------------

  bool pose_value() {
    note_begin();
    result_.value = failed_query;
    if (left(result_.queries) <= 0) {
      phase_ = after_value_;
      return false;
    }
    phase_ = phase::take_value;
    estimate_options place = now();
    place.spare_queries = left(result_.queries) - 1;
    machine_.begin(place);
    row_problem<T> here = problem();
    here.gradients = nullptr;
    machine_.open(here, place, how_.failures());
    machine_.pose_base();
    return true;
  }
  void take_value() {
    phase_ = after_value_;
    const auto [value, asked] = machine_.value_result();
    count(asked);
    know_value(value);
  }
  void know_value(double value) {
    result_.value = value;
    value_known_ = true;
    if (!is_finite(value) || (!is_nan(result_.best) && value >= result_.best)) return;
    result_.best = value;
    if (options_.return_best) machine_.copy(x_, dimension_, best_.data());
  }

  // What is left to do at the end, in steps; false when nothing is.
  bool prepare_end() {
    if (!x_is_good_ && !asked_at_the_end_ && !machine_.finite()) {
      go_back();
      result_.why = status::out_of_range;
    }
    if (!value_known_ && !asked_at_the_end_) {
      asked_at_the_end_ = true;
      after_value_ = phase::end;
      phase_ = phase::ask_value;
      return true;
    }
    // Where a run goes on in spite of failures, its end may be one.
    const bool at_fault = result_.why == status::query_failed || !drops();
    if (!x_is_good_ && at_fault && value_known_ && is_nan(result_.value)) {
      go_back();
      result_.why = status::query_failed;
      asked_at_the_end_ = false;
      return true;
    }
    return false;
  }
  void finish() {
    const bool best_known = options_.return_best && !is_nan(result_.best);
    if (best_known && (is_nan(result_.value) || result_.best < result_.value)) {
      machine_.copy(best_.data(), dimension_, x_);
      result_.value = result_.best;
    }
    const bool planned = result_.why == status::budget_spent || result_.why == status::steps_done;
    if (planned && reaches_target()) result_.why = status::target_reached;
    result_.next_step = next_step_;
  }

  // Processes that share the run must also share its options.
  void agree() const {
    team* const others = machine_.others();
    if (others == nullptr) return;
    fingerprint print;
    print.add(dimension_).add(*options_.max_queries).add(options_.seed);
    print.add(options_.target.has_value()).add(options_.target.value_or(0));
    print.add(options_.max_steps.has_value()).add(options_.max_steps.value_or(0));
    print.add(options_.return_best).add(options_.max_failed_steps);
    print.add(static_cast<bool>(options_.on_step));
    others->agree(
        {options_.first_step, print.value(), [this] { return machine_.print(x_, dimension_); }});
  }

  M& machine_;
  running_estimator<M>& how_;
  std::function<bool(T*, const T*)> step_;
  line_search<T>* search_;
  searched_points points_;
  minimize_options options_;
  T* x_;
  index_t dimension_;
  bool exact_;       // an estimate's value is f(x)
  bool asks_value_;  // f(x) is asked for at each step
  std::uint64_t next_step_;
  vector gradient_, last_, best_;  // last_: x before the last step
  std::chrono::steady_clock::time_point began_;
  phase phase_ = phase::step;
  phase after_value_ = phase::end;
  estimate_result estimated_;
  minimize_result result_;
  run_state begun_;
  std::uint64_t times_begun_ = 0;
  double known_value_ = 0;  // f(x) for an estimate that need not ask it
  index_t recorded_ = 0;    // answers in the log at the last step
  int failed_in_a_row_ = 0;
  bool value_known_ = false;
  bool asked_at_the_end_ = false;
  bool calling_back_ = false;
  bool x_is_good_ = true;             // f(x) is a number, or nobody knows better
  double last_value_ = failed_query;  // f(x) before the last step
};

// Compiled in src/estimators.cpp.
extern template class minimize_run<machine<float>>;
extern template class minimize_run<machine<double>>;

// Runs to the end, asking the machine.
template <class M>
minimize_result run_to_the_end(M& machine, minimize_run<M>& run) {
  try {
    while (run.pose()) machine.ask();
  } catch (...) {
    run.interrupt();
    throw;
  }
  return run.result();
}

}  // namespace detail
}  // namespace zo
