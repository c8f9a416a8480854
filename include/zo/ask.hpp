// Ask and tell: the runs of zo::minimize and the estimates of zo::boundary for those whose answers
// come from somewhere else, in any order, at any time, from any thread, and perhaps from another
// process after this one has ended.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/boundary.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/finite.hpp"
#include "zo/machine.hpp"
#include "zo/minimize.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/run.hpp"
#include "zo/shared.hpp"

namespace zo {

/// A point at which the objective is wanted.
template <class T>
struct question {
  std::uint64_t id = 0;      ///< to be told with the answer
  index_t row = 0;           ///< whose row it is (zo::ask_rows)
  std::span<const T> point;  ///< of the `questions` it came in
  index_t tries = 0;         ///< how often it was answered by a failure (failure_options::retries)
  sample_id sample = 0;      ///< for what is random in the answer: that of its estimate
};

/// Some open questions. False when there are none: the run is over, or all that are open have been
/// handed out and wait for their answers (zo::ask::over says which).
template <class T>
class questions {
 public:
  questions() = default;
  questions(std::vector<question<T>> all, std::vector<T> numbers)
      : all_(std::move(all)), numbers_(std::move(numbers)) {}
  questions(const questions&) = delete;  // points lie in here
  questions& operator=(const questions&) = delete;
  questions(questions&&) noexcept = default;
  questions& operator=(questions&&) noexcept = default;
  ~questions() = default;

  explicit operator bool() const { return !all_.empty(); }
  index_t size() const { return static_cast<index_t>(all_.size()); }
  const question<T>& operator[](index_t k) const { return all_[static_cast<std::size_t>(k)]; }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::vector<question<T>> all_;
  std::vector<T> numbers_;
};

namespace detail {

// Bytes of a saved run, with what is read bounded and what was changed noticed.
class saved_bytes {
 public:
  saved_bytes() = default;
  // Throws std::invalid_argument unless `bytes` are what finish() gave.
  explicit saved_bytes(std::string bytes);

  template <class Value>
  requires std::is_trivially_copyable_v<Value>
  void put(const Value& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class Value>
  void put_all(std::span<const Value> values) {
    put(static_cast<std::uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  void put_text(std::string_view text) { put_all(std::span(text.data(), text.size())); }

  template <class Value>
  Value get() {
    Value value{};
    take(&value, sizeof value);
    return value;
  }
  // As many as there is room for in `to`; only looked at if not `wanted`.
  template <class Value>
  void get_all(std::span<Value> to, bool wanted) {
    expect(get<std::uint64_t>() == to.size());
    take(wanted ? to.data() : nullptr, to.size_bytes());
  }
  template <class Value>
  std::vector<Value> get_vector() {
    const auto count = get<std::uint64_t>();
    expect(count <= left() / sizeof(Value));
    std::vector<Value> values(static_cast<std::size_t>(count));
    take(values.data(), values.size() * sizeof(Value));
    return values;
  }
  std::string get_text() {
    const std::vector<char> text = get_vector<char>();
    return {text.begin(), text.end()};
  }
  void expect_end() const { expect(left() == 0); }
  void rewind();

  // With a head and a sum that any change of a bit changes.
  std::string finish() const;

 private:
  std::size_t left() const { return bytes_.size() - at_; }
  void take(void* to, std::size_t count);  // null: passes over them
  static void expect(bool holds);

  std::string bytes_;
  std::size_t at_ = 0;
};

// A whole file, replaced at once: a process that is killed leaves the old one or the new one.
void replace_file(const std::string& path, const std::string& bytes);
std::string whole_file(const std::string& path);
std::string whole_stream(std::istream& from);

// Answers no question itself: texts of failures are left here.
template <class T>
class nobody final : public black_box<T> {
 public:
  int threads() const override { return 1; }
  void make_queries(const question_round<T>&, index_t, std::span<double> losses) override {
    std::ranges::fill(losses, failed_query);
  }
};

// Questions of a round handed out, and their answers taken in.
template <class T>
class desk {
 public:
  desk(const desk&) = delete;
  desk& operator=(const desk&) = delete;
  virtual ~desk() = default;

  questions<T> ask(index_t most) {
    require(most >= 1, who_, ": ask for at least 1 question, got ", most);
    const auto lock = entered();
    std::vector<index_t> due;
    const auto count = static_cast<index_t>(round_.fates.size());
    for (index_t j = next_due_; !over_ && j < count; ++j) {
      if (static_cast<index_t>(due.size()) == most) break;
      if (round_.fates[static_cast<std::size_t>(j)] == fate::due) due.push_back(j);
      next_due_ = j + 1;
    }
    const question_round<T>& round = machine_.round();
    const auto dimension = static_cast<std::size_t>(round.dimension);
    std::vector<T> numbers(due.size() * dimension);
    std::vector<question<T>> all;
    for (std::size_t k = 0; k < due.size(); ++k) {
      T* const point = numbers.data() + k * dimension;
      round.write_whole(due[k], point);
      all.push_back({first_id_ + static_cast<std::uint64_t>(due[k]),
                     round.row(due[k]),
                     {point, dimension},
                     round_.queries[static_cast<std::size_t>(due[k])] - 1,
                     machine_.options().sample.value_or(machine_.options().step)});
      round_.fates[static_cast<std::size_t>(due[k])] = fate::out;
      if (log_ != nullptr) asked_at_[static_cast<std::size_t>(due[k])] = clock::now();
    }
    return {std::move(all), std::move(numbers)};
  }

  void tell(std::uint64_t id, double loss) { tell(id, loss, {}); }
  void tell(std::uint64_t id, std::span<const T> point, double loss) {
    {
      const auto lock = entered();
      const index_t j = checked(id);
      const question_round<T>& round = machine_.round();
      require(static_cast<index_t>(point.size()) == round.dimension, who_,
              ": the point of question ", id, " has ", round.dimension, " coordinates, got ",
              point.size());
      std::vector<T> asked(point.size());
      round.write_whole(j, asked.data());
      require(std::ranges::equal(asked, point), who_, ": this is not the point that question ", id,
              " asks");
    }
    tell(id, loss);
  }
  /// While failure_options::retries and the budget allow, the question is due again, counted once
  /// more; else it has failed.
  void tell_failed(std::uint64_t id, std::string_view why = "told that it failed") {
    tell(id, failed_answer, why);
  }

  /// Unanswered questions are due again, under the same ids: for answers that will not come.
  void ask_again() {
    const auto lock = entered();
    for (fate& one : round_.fates) one = one == fate::out ? fate::due : one;
    next_due_ = 0;
  }

  /// Ends the open estimate (of an estimator in several parts: the open part) with the answers
  /// there are: the others are left out, as dropped ones are, and those that were handed out count
  /// as queries. Throws while it would be left without a slope: forward differences need f(x) and
  /// one answer more, central ones both sides of a direction.
  void close() {
    const auto lock = entered();
    require(!over_, who_, ": there is nothing to close");
    require(!searches(), who_,
            ": these questions choose the smoothing, or how far a step goes; all must be answered");
    require(machine_.round().candidates > 0, who_, ": f(x) itself is asked; it must be answered");
    require(has_slopes(), who_,
            ": an estimate needs f(x) and one more answer before it can be closed, central "
            "differences both sides of a direction");
    if (log_ != nullptr) log_close();
    for (fate& one : round_.fates) {
      if (one == fate::due) one = fate::never_asked;
      if (one == fate::out) one = fate::unanswered;
    }
    take_round();
    open();
  }

  /// tell, or tell_failed where the loss is not finite, but false where the question is not open
  /// any more, because its estimate was closed: for answers that may come too late.
  bool offer(std::uint64_t id, double loss, std::string_view why = {}) {
    const auto lock = entered();
    if (!is_open(id)) return false;
    tell(id, loss, why);
    return true;
  }
  /// Whether whoever failed at a question may ask it once more, before saying so: counted as a
  /// query, as failure_options::retries and the budget allow.
  bool retry(std::uint64_t id) {
    const auto lock = entered();
    return is_open(id) && take_retry(static_cast<std::size_t>(id - first_id_));
  }
  /// close, but false, and nothing happens, while fewer than `answers` questions of the open round
  /// are answered or it would be left without a slope.
  bool close_after(index_t answers) {
    const auto lock = entered();
    if (over_ || searches() || machine_.round().candidates == 0 ||
        std::ranges::count(round_.fates, fate::told) < answers || !has_slopes()) {
      return false;
    }
    close();
    return true;
  }

  bool over() const {
    const auto lock = entered();
    return over_;
  }
  /// Questions that wait for their answers.
  index_t waiting() const {
    const auto lock = entered();
    return std::ranges::count(round_.fates, fate::out);
  }

 protected:
  explicit desk(const char* who) : who_(who) {}

  // Poses the next round of questions; false: there are no more.
  virtual bool pose() = 0;
  // Whether what is posed must be answered whole.
  virtual bool searches() const = 0;
  // Whether what is posed begins a new estimate, whose earlier rounds need not be remembered.
  virtual bool begins() = 0;

  // The right to look at this object and to change it.
  std::unique_lock<std::recursive_mutex> entered(bool also_broken = false) const {
    std::unique_lock lock(mutex_);
    require(!opening_, who_, ": on_step must not use the run that calls it; do it after tell");
    require(also_broken || !broken_, who_,
            ": an exception of on_step or of the updater has ended this run; load what was saved");
    return lock;
  }

  // Opens the round that is posed next; those whose answers are all remembered are taken.
  void open() {
    opening_ = true;
    try {
      do {
        open_round();
      } while (!over_ && take_if_answered());
    } catch (...) {
      opening_ = false;
      broken_ = true;
      throw;
    }
    opening_ = broken_ = false;
    coming_ = {};
  }

  void put_answers(saved_bytes& to) const {
    to.put(first_id_of_estimate_);
    record all = past_;
    all.append(round_);
    std::ranges::replace(all.fates, fate::out, fate::due);
    to.put_all(std::span<const double>(all.answers));
    to.put_all(std::span<const fate>(all.fates));
    to.put_all(std::span<const index_t>(all.queries));
  }
  // Whether there are any.
  bool get_answers(saved_bytes& from, bool wanted) {
    const auto first = from.get<std::uint64_t>();
    record all{from.get_vector<double>(), from.get_vector<fate>(), from.get_vector<index_t>()};
    const bool some = std::ranges::any_of(all.fates, [](fate one) { return one != fate::due; });
    if (wanted) {
      first_id_ = first;
      past_ = {};
      coming_ = std::move(all);
    }
    return some;
  }

  const char* who_;
  workspace<T> memory_;
  nobody<T> nobody_;
  machine<T> machine_{&nobody_, nullptr, memory_};
  bool over_ = false;
  answer_log* log_ = nullptr;  // set before open

 private:
  // due: to be handed out; out: handed out; the last two were closed.
  enum class fate : unsigned char { due, out, told, unanswered, never_asked };
  static constexpr double failed_answer = std::numeric_limits<double>::infinity();

  // Answers to the questions of some rounds; infinite: failed.
  struct record {
    std::vector<double> answers;
    std::vector<fate> fates;
    std::vector<index_t> queries;  // made for each, if it is asked

    void append(const record& more) {
      answers.insert(answers.end(), more.answers.begin(), more.answers.end());
      fates.insert(fates.end(), more.fates.begin(), more.fates.end());
      queries.insert(queries.end(), more.queries.begin(), more.queries.end());
    }
    // Its first `count`, which leave it; fewer where there are not as many.
    record take(std::size_t count) {
      const auto some = static_cast<std::ptrdiff_t>(std::min(count, fates.size()));
      record first{{answers.begin(), answers.begin() + some},
                   {fates.begin(), fates.begin() + some},
                   {queries.begin(), queries.begin() + some}};
      answers.erase(answers.begin(), answers.begin() + some);
      fates.erase(fates.begin(), fates.begin() + some);
      queries.erase(queries.begin(), queries.begin() + some);
      return first;
    }
  };

  bool is_open(std::uint64_t id) const {
    return id >= first_id_ && id < first_id_ + static_cast<std::uint64_t>(round_.fates.size()) &&
           round_.fates[static_cast<std::size_t>(id - first_id_)] != fate::told;
  }
  bool take_retry(std::size_t j) {
    const bool again =
        round_.queries[j] <= machine_.failures().options().retries && machine_.take_spare(1);
    if (again) ++round_.queries[j];
    return again;
  }

  index_t checked(std::uint64_t id) const {
    const auto count = static_cast<std::uint64_t>(round_.fates.size());
    require(id < first_id_ + count, who_, ": question ", id, " was never asked");
    require(id >= first_id_, who_, ": question ", id,
            " is answered already, or its estimate was closed");
    const auto j = static_cast<index_t>(id - first_id_);
    require(round_.fates[static_cast<std::size_t>(j)] != fate::told, who_, ": question ", id,
            " is answered already");
    return j;
  }

  // Whether the answers there are make a slope.
  bool has_slopes() const {
    const question_round<T>& round = machine_.round();
    const auto good = [&](index_t j) {
      const auto at = static_cast<std::size_t>(j);
      return round_.fates[at] == fate::told && is_finite(round_.answers[at]);
    };
    for (index_t b = 0; b < round.base; ++b) {
      if (round_.fates[static_cast<std::size_t>(b)] != fate::told) return false;
    }
    if (machine_.has_slopes()) return true;
    for (index_t k = 0; k < round.candidates; ++k) {
      const candidate c = candidate_of(k, round.rows, round.sides);
      const bool other = round.sides == 1 || (c.side == 0 && good(round.base + k + round.rows));
      if (other && good(round.base + k) && (round.base == 0 || good(c.row))) return true;
    }
    return false;
  }

  void tell(std::uint64_t id, double loss, std::string_view why) {
    const auto lock = entered();
    const index_t j = checked(id);
    const auto at = static_cast<std::size_t>(j);
    const bool good = is_finite(loss);
    const std::string text = good          ? ""
                             : why.empty() ? "the answer is " + text_of(loss)
                                           : std::string(why);
    if (!good && take_retry(at)) {
      round_.fates[at] = fate::due;
      next_due_ = std::min(next_due_, j);
      return;
    }
    if (log_ != nullptr) log_answer(j, loss, text);
    if (!good) nobody_.thrown.note(j, text.c_str());
    round_.answers[at] = good ? loss : failed_answer;
    round_.fates[at] = fate::told;
    if (take_if_answered()) open();
  }

  // The round, if all of it is answered or closed.
  bool take_if_answered() {
    const auto open = [](fate one) { return one == fate::due || one == fate::out; };
    if (std::ranges::any_of(round_.fates, open)) return false;
    take_round();
    return true;
  }
  void take_round() {
    const auto closed = [](fate one) { return one != fate::told; };
    if (std::ranges::any_of(round_.fates, closed)) machine_.drop_the_rest();
    for (std::size_t j = 0; j < round_.fates.size(); ++j) {
      if (round_.fates[j] != fate::never_asked) machine_.count_queries(round_.queries[j]);
    }
    machine_.answer(round_.answers);
    nobody_.thrown.clear();
    past_.append(round_);
    first_id_ += static_cast<std::uint64_t>(round_.fates.size());
  }
  void open_round() {
    over_ = !pose();
    if (begins() || over_) {
      first_id_of_estimate_ = first_id_;
      past_ = {};
    }
    const auto count = over_ ? std::size_t{0} : static_cast<std::size_t>(machine_.round().count());
    round_ = coming_.take(count);
    round_.answers.resize(count, failed_query);
    round_.fates.resize(count, fate::due);
    round_.queries.resize(count, 1);
    next_due_ = 0;
    if (log_ != nullptr) recall_round();
  }

  // The log of the answers
  // -------------------------------------------------------------------------

  using clock = std::chrono::steady_clock;

  logged_question logged(index_t j, std::vector<double>& point) const {
    return question_of(machine_.round(), j, first_id_, machine_.options().step, point);
  }
  void recall_round() {
    asked_at_.assign(round_.fates.size(), {});
    for (std::size_t j = 0; j < round_.fates.size(); ++j) {
      if (round_.fates[j] != fate::due || !log_->knows(first_id_ + j)) continue;
      std::vector<double> point;
      const logged_answer known = log_->recall(logged(static_cast<index_t>(j), point));
      const bool good = is_finite(known.loss);
      if (!good) nobody_.thrown.note(static_cast<index_t>(j), known.failure.c_str());
      round_.answers[j] = good ? known.loss : failed_answer;
      round_.fates[j] = fate::told;
      round_.queries[j] = known.queries;
      machine_.take_spare(known.queries - 1);
    }
    const std::optional<logged_close> closed = log_->closed(first_id_);
    for (std::size_t j = 0; closed && j < round_.fates.size(); ++j) {
      if (round_.fates[j] != fate::told) round_.fates[j] = fate::never_asked;
    }
    for (std::size_t k = 0; closed && k < closed->late.size(); ++k) {
      const auto j = static_cast<std::size_t>(closed->late[k] - first_id_);
      round_.fates.at(j) = fate::unanswered;
      round_.queries[j] = closed->queries.at(k);
    }
  }
  void log_answer(index_t j, double loss, const std::string& why) {
    logged_answer answer{loss, why, round_.queries[static_cast<std::size_t>(j)]};
    const clock::time_point asked = asked_at_[static_cast<std::size_t>(j)];
    if (asked != clock::time_point{}) {
      answer.seconds = std::chrono::duration<double>(clock::now() - asked).count();
    }
    std::vector<double> point;
    log_->record(logged(j, point), answer);
  }
  void log_close() {
    logged_close closed{first_id_, machine_.options().step};
    for (std::size_t j = 0; j < round_.fates.size(); ++j) {
      if (round_.fates[j] != fate::out) continue;
      closed.late.push_back(first_id_ + j);
      closed.queries.push_back(round_.queries[j]);
    }
    log_->record(closed);
  }

  mutable std::recursive_mutex mutex_;  // on_step may come back, and is told not to
  bool opening_ = false;
  bool broken_ = false;
  std::uint64_t first_id_ = 0;  // of the round
  std::uint64_t first_id_of_estimate_ = 0;
  record round_;   // that is open
  record past_;    // rounds of the estimate before it
  record coming_;  // loaded, and not posed again yet
  index_t next_due_ = 0;
  std::vector<clock::time_point> asked_at_;  // questions of the round, for the log
};

// Any updater, its type forgotten.
template <class T>
class held_updater {
 public:
  held_updater() = default;
  held_updater(const held_updater&) = delete;
  held_updater& operator=(const held_updater&) = delete;
  virtual ~held_updater() = default;
  virtual bool step(std::span<T> x, std::span<const T> gradient) = 0;
  virtual line_search<T>* search() = 0;
  virtual std::optional<std::uint64_t> steps() const = 0;
  virtual void put(saved_bytes& to) = 0;
  virtual void get(saved_bytes& from, bool wanted) = 0;
};

template <class T, class Updater>
class held final : public held_updater<T> {
 public:
  explicit held(Updater updater) : updater_(std::move(updater)) {}

  bool step([[maybe_unused]] std::span<T> x,
            [[maybe_unused]] std::span<const T> gradient) override {
    if constexpr (kept_search<Updater, T>) {
      return false;
    } else {
      return step_of(sequential_policy{}, updater_, x, gradient);
    }
  }
  line_search<T>* search() override { return search_of<T>(updater_); }
  std::optional<std::uint64_t> steps() const override { return steps_of(updater_); }
  void put(saved_bytes& to) override {
    if constexpr (has_state) {
      to.put_text(type_name<Updater>());
      to.put(static_cast<std::uint64_t>(updater_.steps()));
      for (const std::span<T> one : updater_.state()) to.put_all(std::span<const T>(one));
    } else {
      require(false,
              "zo::ask: this updater has no steps(), state() and resume_at(), so that it "
              "cannot be saved");
    }
  }
  void get(saved_bytes& from, bool wanted) override {
    if constexpr (has_state) {
      require(from.get_text() == type_name<Updater>(),
              "zo::ask: the saved run has another optimizer");
      const auto steps = from.get<std::uint64_t>();
      if (wanted) updater_.resume_at(steps);
      for (const std::span<T> one : updater_.state()) from.get_all(one, wanted);
    }
  }

 private:
  static constexpr bool has_state = requires(Updater & u, std::uint64_t steps) {
    u.steps();
    u.state();
    u.resume_at(steps);
  };
  Updater updater_;
};

template <class T, class Optimizer>
std::unique_ptr<held_updater<T>> hold(Optimizer&& optimizer, index_t dimension) {
  using O = std::remove_cvref_t<Optimizer>;
  if constexpr (updater_for<O, T> || kept_search<O, T>) {
    return std::make_unique<held<T, O>>(std::forward<Optimizer>(optimizer));
  } else if constexpr (search_rule<O, T>) {
    auto search = optimizer.template search<T>(dimension);
    return std::make_unique<held<T, decltype(search)>>(std::move(search));
  } else {
    return std::make_unique<held<T, updater<O, T>>>(
        updater<O, T>(std::forward<Optimizer>(optimizer), dimension));
  }
}

}  // namespace detail

/// A run of zo::minimize whose questions are handed out:
///   zo::ask<double> run(x, zo::rge({.directions = 16}), zo::adam(), {.max_queries = 50'000});
///   while (auto questions = run.ask(8)) {
///     for (const auto& q : questions) run.tell(q.id, loss_at(q.point));
///   }
/// It has the bits of zo::minimize with the same options, in whatever order answers arrive, and the
/// same ends. All functions may be called from any thread. Steps are made in the call of tell that
/// answers the last question of an estimate.
///
/// save() writes all of it, for programs of the same compiler: numbers of O(d), and the answers of
/// the open estimate. A run made with the same estimator, optimizer and seed and load()ed with that
/// goes on where it was, in whatever process; open questions are due again, under the same ids.
/// Budget and target may be other ones: with more of them a run that has ended goes on. Queries:
/// those of zo::minimize, counted when their estimate ends. Memory: that of zo::minimize and 9
/// bytes for each query of an estimate. Throws std::invalid_argument for bad options, an answer
/// told twice, an unknown id, a point that was not asked, a file that is damaged or of another run;
/// nothing has changed then. An exception of on_step or of the updater leaves tell and ends the
/// run: load() brings a saved one back.
template <scalar T>
class ask_and_tell : public detail::desk<T> {
  using desk = detail::desk<T>;

 public:
  template <contiguous_vector X, class How, class Optimizer>
  requires std::same_as<scalar_of<X>, T> && estimator_on<How, machine<T>> &&
      detail::optimizer_for<Optimizer, T>
      ask_and_tell(const X& x, const How& how, Optimizer&& optimizer,
                   const minimize_options& options)
      : desk("zo::ask"),
        x_(std::ranges::begin(x), std::ranges::end(x)),
        how_(std::make_unique<detail::running<machine<T>, How>>(this->machine_, how)),
        updater_(detail::hold<T>(std::forward<Optimizer>(optimizer), checked(x_))),
        run_(
            this->machine_, *how_, x_.data(), static_cast<index_t>(x_.size()),
            [this](T* to, const T* gradient) {
              return updater_->step({to, x_.size()}, {gradient, x_.size()});
            },
            updater_for<Optimizer, T> || detail::kept_search<Optimizer, T> ? updater_->steps()
                                                                           : std::nullopt,
            options, updater_->search()),
        seed_(options.seed) {
    this->log_ = options.log;
    this->open();
  }

  /// x after the last step; do not read it while another thread may tell the last answer of one.
  std::span<const T> x() const { return x_; }
  /// So far; at the end, of the whole run.
  minimize_result result() const {
    const auto lock = this->entered();
    return run_.result();
  }

  void save(std::ostream& to) const {
    const std::string all = bytes();
    to.write(all.data(), static_cast<std::streamsize>(all.size()));
    detail::require(static_cast<bool>(to), "zo::ask: the run could not be written");
  }
  /// Replaces the file at once: a process that is killed leaves the old one or the new one.
  void save(const std::string& path) const { detail::replace_file(path, bytes()); }

  void load(std::istream& from) { load_bytes(detail::whole_stream(from)); }
  void load(const std::string& path) { load_bytes(detail::whole_file(path)); }

 private:
  static index_t checked(const std::vector<T>& x) {
    detail::check_dimension("zo::ask", static_cast<index_t>(x.size()));
    return static_cast<index_t>(x.size());
  }
  bool pose() override { return run_.pose(); }
  bool searches() const override { return how_->searches() || run_.searches(); }
  bool begins() override {
    return std::exchange(times_begun_, run_.times_begun()) != run_.times_begun();
  }

  std::uint64_t identity() const {
    detail::fingerprint print;
    print.add(sizeof(T)).add(x_.size()).add(seed_);
    how_->describe(print);
    return print.value();
  }

  std::string bytes() const {
    const auto lock = this->entered();
    detail::saved_bytes to;
    to.put(identity());
    to.put(run_.begun());
    this->put_answers(to);
    to.put_all(std::span<const T>(x_));
    to.put_all(std::span<const T>(run_.last()));
    to.put_all(std::span<const T>(run_.best()));
    to.put_all(std::span<const T>(run_.gradient()));
    updater_->put(to);
    for (const std::span<T> one : how_->state()) to.put_all(std::span<const T>(one));
    return to.finish();
  }

  void load_bytes(std::string saved) {
    const auto lock = this->entered(true);
    detail::saved_bytes from(std::move(saved));
    get(from, false);  // all of it is looked at before anything changes
    from.rewind();
    get(from, true);
    this->open();
  }
  void get(detail::saved_bytes& from, bool wanted) {
    detail::require(from.get<std::uint64_t>() == identity(),
                    "zo::ask: the saved run has another dimension, scalar type, seed or estimator");
    const auto state = from.get<detail::run_state>();
    const bool answered = this->get_answers(from, wanted);
    detail::require(!answered || run_.allows(state),
                    "zo::ask: the saved run is in the middle of an estimate that these max_queries "
                    "or max_steps would not begin; set them higher");
    from.get_all(std::span<T>(x_), wanted);
    from.get_all(std::span<T>(run_.last()), wanted);
    from.get_all(std::span<T>(run_.best()), wanted);
    from.get_all(std::span<T>(run_.gradient()), wanted);
    updater_->get(from, wanted);
    for (const std::span<T> one : how_->state()) from.get_all(one, wanted);
    from.expect_end();
    if (wanted) run_.resume(state, answered);
  }

  std::vector<T> x_;
  std::unique_ptr<detail::running_estimator<machine<T>>> how_;
  std::unique_ptr<detail::held_updater<T>> updater_;
  detail::minimize_run<machine<T>> run_;
  std::uint64_t seed_;
  std::uint64_t times_begun_ = 0;
};

template <scalar T>
using ask = ask_and_tell<T>;  // a class has no function of its own name

/// One estimate of zo::boundary (with one row: of zo::estimate) whose questions are handed out. The
/// same bits, in whatever order answers arrive. `z` is copied.
template <scalar T>
class ask_rows : public detail::desk<T> {
  using desk = detail::desk<T>;

 public:
  template <class How>
  requires estimator_on<How, machine<T>> ask_rows(points<T> z, const How& how,
                                                  const estimate_options& options = {})
      : desk("zo::ask_rows"),
        z_(z.data.begin(), z.data.end()),
        known_(options.known_values.begin(), options.known_values.end()),
        how_(std::make_unique<detail::running<machine<T>, How>>(this->machine_, how)) {
    detail::check_rows("zo::ask_rows", z, options);
    estimate_options place = options;
    place.known_values = known_;
    found_.losses.resize(static_cast<std::size_t>(z.count));
    found_.gradients.resize(z_.size());
    this->machine_.begin(place);
    how_->begin({z_.data(), z.count, z.dimension, found_.gradients.data(), found_.losses.data()},
                place);
    this->open();
  }

  /// Complete when over().
  boundary_result<T> result() const {
    const auto lock = this->entered();
    return found_;
  }

 private:
  bool pose() override {
    if (how_->pose()) return true;
    how_->end();
    const estimate_result& all = this->machine_.result();
    found_.queries = all.queries;
    found_.failed = all.failed;
    found_.ok = all.ok;
    found_.why = all.why;
    found_.failure = all.failure;
    found_.automatic = how_->automatic();
    return false;
  }
  bool searches() const override { return how_->searches(); }
  bool begins() override { return true; }  // nothing is saved

  std::vector<T> z_;
  std::vector<double> known_;
  std::unique_ptr<detail::running_estimator<machine<T>>> how_;
  boundary_result<T> found_;
};

}  // namespace zo
