// Ask and tell: the runs of zo::minimize and the estimates of zo::boundary for those whose answers
// come from somewhere else, in any order, at any time, from any thread, and perhaps from another
// process after this one has ended.
#pragma once

#include <algorithm>
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
#include <typeinfo>
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

namespace zo {

/// A point at which the objective is wanted.
template <class T>
struct question {
  std::uint64_t id = 0;      ///< to be told with the answer
  index_t row = 0;           ///< whose row it is (zo::ask_rows)
  std::span<const T> point;  ///< of the `questions` it came in
};

/// Some open questions. False when there are none: the run is over, or all that are open have been
/// handed out and wait for their answers (zo::ask::over says which).
template <class T>
class questions {
 public:
  questions() = default;
  questions(std::vector<question<T>> all, std::vector<T> numbers)
      : all_(std::move(all)), numbers_(std::move(numbers)) {}

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
  // As many as there is room for in `to`.
  template <class Value>
  void get_all(std::span<Value> to) {
    expect(get<std::uint64_t>() == to.size());
    take(to.data(), to.size_bytes());
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

  // With a head and a sum that any change of a bit changes.
  std::string finish() const;

 private:
  std::size_t left() const { return bytes_.size() - at_; }
  void take(void* to, std::size_t count);
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
  void ask(const question_round<T>&, index_t, std::span<double> losses) override {
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
    const std::lock_guard lock(mutex_);
    std::vector<index_t> due;
    const auto count = static_cast<index_t>(answers_.size());
    for (index_t j = next_due_; !over_ && j < count; ++j) {
      if (static_cast<index_t>(due.size()) == most) break;
      if (states_[static_cast<std::size_t>(j)] == state::due) due.push_back(j);
      next_due_ = j + 1;
    }
    const question_round<T>& round = machine_.round();
    const auto dimension = static_cast<std::size_t>(round.dimension);
    std::vector<T> numbers(due.size() * dimension);
    std::vector<question<T>> all;
    for (std::size_t k = 0; k < due.size(); ++k) {
      T* const point = numbers.data() + k * dimension;
      round.write_whole(due[k], point);
      all.push_back(
          {first_id_ + static_cast<std::uint64_t>(due[k]), round.row(due[k]), {point, dimension}});
      states_[static_cast<std::size_t>(due[k])] = state::out;
    }
    return {std::move(all), std::move(numbers)};
  }

  void tell(std::uint64_t id, double loss) { tell(id, loss, {}); }
  void tell(std::uint64_t id, std::span<const T> point, double loss) {
    {
      const std::lock_guard lock(mutex_);
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
  void tell_failed(std::uint64_t id, std::string_view why = "told that it failed") {
    tell(id, failed_answer, why);
  }

  /// Unanswered questions are due again, under the same ids: for answers that will not come.
  void ask_again() {
    const std::lock_guard lock(mutex_);
    for (state& one : states_) one = one == state::out ? state::due : one;
    next_due_ = 0;
  }

  /// Ends the open estimate with the answers there are: the others are left out, as dropped ones
  /// are, and those that were handed out count as queries. Throws while f(x), which forward
  /// differences need, or every answer, is missing.
  void close() {
    const std::lock_guard lock(mutex_);
    require(!over_, who_, ": there is nothing to close");
    const auto told = [](state one) { return one == state::told; };
    const auto base = machine_.round().base;
    require(std::ranges::any_of(states_, told) &&
                std::all_of(states_.begin(), states_.begin() + base, told),
            who_, ": an estimate needs f(x) and one more answer before it can be closed");
    require(machine_.round().candidates > 0, who_, ": f(x) itself is asked; it must be answered");
    machine_.drop_the_rest();
    index_t asked = 0;
    for (std::size_t j = 0; j < states_.size(); ++j) {
      if (states_[j] != state::due) ++asked;
      if (states_[j] != state::told) answers_[j] = failed_query;
    }
    dropped_ = true;
    next_round(asked);
  }

  bool over() const {
    const std::lock_guard lock(mutex_);
    return over_;
  }
  /// Questions that wait for their answers.
  index_t waiting() const {
    const std::lock_guard lock(mutex_);
    return over_ ? 0 : std::ranges::count(states_, state::out);
  }

 protected:
  explicit desk(const char* who) : who_(who) {}

  enum class state : unsigned char { due, out, told };

  // Poses the next round of questions; false: there are no more.
  virtual bool pose() = 0;
  // Whether what is posed begins a new estimate, whose earlier rounds need not be remembered.
  virtual bool begins() = 0;

  // Opens the round that is posed next, and all those whose answers are remembered.
  void open() {
    for (;;) {
      over_ = !pose();
      if (begins() || over_) {
        first_id_of_estimate_ = first_id_;
        if (replayed_ == remembered_.size()) {
          remembered_.clear();
          replayed_ = 0;
        }
        dropped_ = false;
      }
      const auto count =
          over_ ? std::size_t{0} : static_cast<std::size_t>(machine_.round().count());
      answers_.assign(count, failed_query);
      states_.assign(count, state::due);
      next_due_ = 0;
      if (over_ || replayed_ == remembered_.size()) return;
      const std::size_t here = std::min(count, remembered_.size() - replayed_);
      std::size_t told = 0;
      for (std::size_t j = 0; j < here; ++j) {
        answers_[j] = remembered_[replayed_ + j];
        if (is_nan(answers_[j])) continue;
        states_[j] = state::told;
        ++told;
      }
      if (told < count) {
        remembered_.resize(replayed_);
        return;
      }
      replayed_ += count;
      finish_round(static_cast<index_t>(count));
    }
  }

  // Called under the mutex.
  void put_answers(saved_bytes& to) const {
    to.put(first_id_of_estimate_);
    std::vector<double> all = remembered_;
    for (std::size_t j = 0; j < answers_.size(); ++j) {
      all.push_back(states_[j] == state::told ? answers_[j] : failed_query);
    }
    to.put_all(std::span<const double>(all));
  }
  void get_answers(saved_bytes& from) {
    first_id_ = from.get<std::uint64_t>();
    remembered_ = from.get_vector<double>();
    replayed_ = 0;
  }

  const char* who_;
  mutable std::mutex mutex_;
  workspace<T> memory_;
  nobody<T> nobody_;
  machine<T> machine_{&nobody_, nullptr, memory_};
  bool over_ = false;

 private:
  static constexpr double failed_answer = std::numeric_limits<double>::infinity();

  index_t checked(std::uint64_t id) const {
    const auto count = static_cast<std::uint64_t>(answers_.size());
    require(id < first_id_ + count, who_, ": question ", id, " was never asked");
    require(!over_ && id >= first_id_, who_, ": question ", id,
            " is answered already, or its estimate was closed");
    const auto j = static_cast<index_t>(id - first_id_);
    require(states_[static_cast<std::size_t>(j)] != state::told, who_, ": question ", id,
            " is answered already");
    return j;
  }

  void tell(std::uint64_t id, double loss, std::string_view why) {
    const std::lock_guard lock(mutex_);
    const index_t j = checked(id);
    const auto at = static_cast<std::size_t>(j);
    if (!why.empty()) nobody_.thrown.note(j, std::string(why).c_str());
    answers_[at] = is_finite(loss) ? loss : failed_answer;
    states_[at] = state::told;
    if (!std::ranges::all_of(states_, [](state one) { return one == state::told; })) return;
    remembered_.insert(remembered_.end(), answers_.begin(), answers_.end());
    replayed_ = remembered_.size();
    next_round(static_cast<index_t>(answers_.size()));
  }

  void finish_round(index_t asked) {
    machine_.count_queries(asked);
    machine_.answer(answers_);
    nobody_.thrown.clear();
    first_id_ += static_cast<std::uint64_t>(answers_.size());
  }
  void next_round(index_t asked) {
    finish_round(asked);
    open();
  }

  std::uint64_t first_id_ = 0;  // of the round
  std::uint64_t first_id_of_estimate_ = 0;
  std::vector<double> answers_;  // to the round; infinite: failed
  std::vector<state> states_;
  std::vector<double> remembered_;  // of earlier rounds of the estimate
  std::size_t replayed_ = 0;        // those among them that this object has been told
  index_t next_due_ = 0;
  bool dropped_ = false;
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
  virtual void put(saved_bytes& to) = 0;
  virtual void get(saved_bytes& from) = 0;
};

template <class T, class Updater>
class held final : public held_updater<T> {
 public:
  explicit held(Updater updater) : updater_(std::move(updater)) {}

  bool step(std::span<T> x, std::span<const T> gradient) override {
    return step_of(sequential_policy{}, updater_, x, gradient);
  }
  void put(saved_bytes& to) override {
    if constexpr (has_state) {
      to.put_text(typeid(Updater).name());
      to.put(static_cast<std::uint64_t>(updater_.steps()));
      for (const std::span<T> one : updater_.state()) to.put_all(std::span<const T>(one));
    } else {
      require(false,
              "zo::ask: this updater has no steps(), state() and resume_at(), so that it "
              "cannot be saved");
    }
  }
  void get(saved_bytes& from) override {
    if constexpr (has_state) {
      require(from.get_text() == typeid(Updater).name(),
              "zo::ask: the saved run has another optimizer");
      updater_.resume_at(from.get<std::uint64_t>());
      for (const std::span<T> one : updater_.state()) from.get_all(one);
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
  if constexpr (updater_for<O, T>) {
    return std::make_unique<held<T, O>>(std::forward<Optimizer>(optimizer));
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
/// save() writes all of it: numbers of O(d), and the answers of the open estimate. A run made with
/// the same estimator, optimizer and seed and load()ed with that goes on where it was, in whatever
/// process; open questions are due again, under the same ids. Budget and target may be other ones.
/// Queries: those of zo::minimize; questions without an answer are not counted yet. Memory: that of
/// zo::minimize and 8 bytes for each query of an estimate. Throws std::invalid_argument for bad
/// options, an answer told twice, an unknown id, a point that was not asked; nothing has changed
/// then.
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
            steps_before(optimizer), options),
        seed_(options.seed) {
    this->open();
  }

  /// x after the last step; do not read it while another thread may tell the last answer of one.
  std::span<const T> x() const { return x_; }
  /// So far; at the end, of the whole run.
  minimize_result result() const {
    const std::lock_guard lock(this->mutex_);
    return run_.result();
  }

  void save(std::ostream& to) const {
    const std::string bytes = locked_bytes();
    to.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    detail::require(static_cast<bool>(to), "zo::ask: the run could not be written");
  }
  /// Replaces the file at once: a process that is killed leaves the old one or the new one.
  void save(const std::string& path) const { detail::replace_file(path, locked_bytes()); }

  void load(std::istream& from) { load_bytes(detail::whole_stream(from)); }
  void load(const std::string& path) { load_bytes(detail::whole_file(path)); }

 private:
  static index_t checked(const std::vector<T>& x) {
    detail::check_dimension("zo::ask", static_cast<index_t>(x.size()));
    return static_cast<index_t>(x.size());
  }
  template <class Optimizer>
  static std::optional<std::uint64_t> steps_before(const Optimizer& optimizer) {
    if constexpr (updater_for<std::remove_cvref_t<Optimizer>, T>)
      return detail::steps_of(optimizer);
    return {};
  }

  bool pose() override { return run_.pose(); }
  bool begins() override {
    return std::exchange(times_begun_, run_.times_begun()) != run_.times_begun();
  }

  std::uint64_t identity() const {
    detail::fingerprint print;
    print.add(sizeof(T)).add(x_.size()).add(seed_);
    how_->describe(print);
    return print.value();
  }

  std::string locked_bytes() const {
    const std::lock_guard lock(this->mutex_);
    return bytes();
  }
  std::string bytes() const {
    detail::saved_bytes to;
    to.put(identity());
    to.put(run_.begun());
    to.put_all(std::span<const T>(x_));
    to.put_all(std::span<const T>(run_.last()));
    to.put_all(std::span<const T>(run_.best()));
    to.put_all(std::span<const T>(run_.gradient()));
    updater_->put(to);
    for (const std::span<T> one : how_->state()) to.put_all(std::span<const T>(one));
    this->put_answers(to);
    return to.finish();
  }

  // All or nothing.
  void load_bytes(std::string saved) {
    const std::lock_guard lock(this->mutex_);
    const std::string before = bytes();
    try {
      set(std::move(saved));
    } catch (...) {
      set(before);
      this->open();
      throw;
    }
    this->open();
  }
  void set(std::string saved) {
    detail::saved_bytes from(std::move(saved));
    detail::require(from.get<std::uint64_t>() == identity(),
                    "zo::ask: the saved run has another dimension, scalar type, seed or estimator");
    const auto state = from.get<detail::run_state>();
    from.get_all(std::span<T>(x_));
    from.get_all(std::span<T>(run_.last()));
    from.get_all(std::span<T>(run_.best()));
    from.get_all(std::span<T>(run_.gradient()));
    updater_->get(from);
    for (const std::span<T> one : how_->state()) from.get_all(one);
    this->get_answers(from);
    from.expect_end();
    run_.resume(state);
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
        how_(std::make_unique<detail::running<machine<T>, How>>(this->machine_, how)) {
    detail::check_rows("zo::ask_rows", z, options);
    found_.losses.resize(static_cast<std::size_t>(z.count));
    found_.gradients.resize(z_.size());
    this->machine_.begin(options);
    how_->begin({z_.data(), z.count, z.dimension, found_.gradients.data(), found_.losses.data()},
                options);
    this->open();
  }

  /// Complete when over().
  boundary_result<T> result() const {
    const std::lock_guard lock(this->mutex_);
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
    return false;
  }
  bool begins() override { return false; }

  std::vector<T> z_;
  std::unique_ptr<detail::running_estimator<machine<T>>> how_;
  boundary_result<T> found_;
};

}  // namespace zo
