// What answers questions: an objective asked under a policy, its type forgotten, so that estimators
// are compiled once for each scalar type and not for each objective.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "zo/answer_log.hpp"
#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// Points that are described and not stored, for machine::pose: candidates in the order of
/// zo/candidate.hpp. What an estimator of your own derives from, if none of the machine's are its.
template <class T>
class point_source {
 public:
  point_source() = default;
  point_source(const point_source&) = default;
  point_source& operator=(const point_source&) = default;
  virtual ~point_source() = default;

  /// Turns coordinates at … at+count-1 into those of candidate j; `to` points at the first of them.
  /// From several threads.
  virtual void write(index_t j, index_t at, index_t count, T* to) const = 0;
  /// Whether a buffer stays a copy of x, in which restore(j) undoes what write(j) did.
  virtual bool moves_a_copy() const { return false; }
  virtual void restore(index_t /*j*/, T* /*buffer*/) const {}
  /// Coordinates to write before a second thread is worth it.
  virtual index_t worth_a_thread() const = 0;
};

}  // namespace zo

namespace zo::detail {

// Moves candidates after they are written: the numbers at … at+count-1, which `to` points at, of
// one that was made from `from`. What equals `from` stays as it is.
template <class T>
class point_map {
 public:
  point_map() = default;
  point_map(const point_map&) = default;
  point_map& operator=(const point_map&) = default;
  virtual ~point_map() = default;
  virtual void move(const T* from, index_t at, index_t count, T* to) const = 0;
};

inline constexpr double failed_query = std::numeric_limits<double>::quiet_NaN();

// Threads as a policy, for loops whose policy is not known by type.
struct thread_count {
  int count = 1;
  int threads() const { return count; }
};

// Runs body(row, first, count) over `rows` rows of `length` coordinates, `first` a multiple of
// `tile`, in pieces of about `least` coordinates or more.
template <class Body>
void parallel_tiles(const execution_policy auto& policy, index_t rows, index_t length,
                    index_t least, Body&& body) {
  const index_t tiles = (length + tile - 1) / tile;
  const index_t tiles_at_least = std::max<index_t>(1, least / std::min(tile, length));
  parallel_ranges(policy, rows * tiles, tiles_at_least, [&](index_t item, index_t end) {
    while (item < end) {
      const index_t row = tiles == 1 ? item : item / tiles;  // a division costs some nanoseconds
      const index_t next = std::min(end, (row + 1) * tiles);
      const index_t first = (item - row * tiles) * tile;
      body(row, first, std::min(length, (next - row * tiles) * tile) - first);
      item = next;
    }
  });
}

// Questions that are asked together: rows of x themselves, and candidates after them.
template <class T>
struct question_round {
  const T* x = nullptr;
  index_t dimension = 0;
  index_t rows = 1;
  int sides = 1;
  index_t base = 0;  // rows of x that are asked: all or none
  index_t candidates = 0;
  const point_source<T>* source = nullptr;
  const point_map<T>* map = nullptr;

  index_t count() const { return base + candidates; }
  index_t row(index_t j) const { return j < base ? j : candidate_of(j - base, rows, sides).row; }
  bool moves_a_copy() const { return source != nullptr && source->moves_a_copy(); }
  index_t worth_a_thread() const {
    return source != nullptr ? source->worth_a_thread() : index_t{1} << 16;
  }
  void write(index_t j, index_t at, index_t length, T* to) const {
    if (j >= base) {
      source->write(j - base, at, length, to);
      if (map != nullptr) map->move(x + row(j) * dimension, at, length, to);
    } else if (!moves_a_copy()) {
      std::copy_n(x + j * dimension + at, length, to);
    }
  }
  void restore(index_t j, T* buffer) const {
    if (j >= base) source->restore(j - base, buffer);
  }
  // Question j, whole, into a buffer that holds anything.
  void write_whole(index_t j, T* to) const {
    if (j < base || moves_a_copy()) std::copy_n(x + row(j) * dimension, dimension, to);
    write(j, 0, dimension, to);
  }
};

// Queries that may still be made beyond those that an estimator states.
class spare_queries {
 public:
  void set(index_t queries) { left_.store(queries, std::memory_order_relaxed); }
  // All of them or none.
  bool take(index_t queries) {
    index_t left = left_.load(std::memory_order_relaxed);
    while (left >= queries) {
      if (left_.compare_exchange_weak(left, left - queries, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  index_t left() const { return left_.load(std::memory_order_relaxed); }
  void give_back(index_t queries) { left_.fetch_add(queries, std::memory_order_relaxed); }

 private:
  std::atomic<index_t> left_{0};
};

// What questions threw: the first of them, or all where a log wants to know.
class thrown_text {
 public:
  void keep_all() { keeps_all_ = true; }
  void clear() { texts_.clear(); }
  void note(index_t question, const char* text) {
    const std::lock_guard lock(mutex_);
    if (!keeps_all_ && !texts_.empty()) {
      if (question >= texts_.begin()->first) return;
      texts_.clear();
    }
    texts_[question] = text;
  }
  // Empty if it did not throw.
  std::string of(index_t question) const {
    const std::lock_guard lock(mutex_);
    const auto found = texts_.find(question);
    return found == texts_.end() ? std::string() : found->second;
  }

 private:
  mutable std::mutex mutex_;
  bool keeps_all_ = false;
  std::map<index_t, std::string> texts_;
};

// A point of either scalar type in doubles.
template <class T>
std::vector<double> widened(const T* point, index_t dimension) {
  return {point, point + dimension};
}
// Question j of a round, as a log knows it; `point` keeps its numbers.
template <class T>
logged_question question_of(const question_round<T>& round, index_t j, std::uint64_t first_id,
                            std::uint64_t step, std::vector<double>& point) {
  std::vector<T> asked(static_cast<std::size_t>(round.dimension));
  round.write_whole(j, asked.data());
  point = widened(asked.data(), round.dimension);
  return {first_id + static_cast<std::uint64_t>(j), step, point};
}

template <class F>
double probe_cost(const F& f, index_t coordinate) {
  if constexpr (priced_objective<F>) {
    const auto cost = static_cast<double>(f.cost(coordinate));
    require(cost > 0 && is_finite(cost), "zo::cge: the cost of coordinate ", coordinate,
            " must be a positive number, got ", cost);
    return cost;
  }
  return 1;
}
// Coordinate objectives, asked in the form that takes the policy where they have that.
template <class T, class Policy, class F>
double prepared_value(const Policy& on, F& f, std::span<const T> x, sample_id sample) {
  if constexpr (threaded_coordinate_objective<F, T, Policy>) {
    return static_cast<double>(f.prepare(on, x, sample));
  } else {
    return static_cast<double>(f.prepare(x, sample));
  }
}
// Returns the queries that were made.
template <class T, class Policy, class F>
index_t probed(const Policy& on, F& f, std::span<const index_t> coordinates,
               std::span<const T> steps, std::span<double> differences) {
  const auto call = [&] {
    if constexpr (threaded_coordinate_objective<F, T, Policy>) {
      return f.probe(on, coordinates, steps, differences);
    } else {
      return f.probe(coordinates, steps, differences);
    }
  };
  if constexpr (std::integral<decltype(call())>) {
    return static_cast<index_t>(call());
  } else {
    call();
    return static_cast<index_t>(coordinates.size());
  }
}
inline void check_probe_queries(index_t made, index_t asked) {
  require(made >= 0 && made <= asked, "zo::cge: a probe of ", asked,
          " coordinates must return how many queries it made, from 0 to ", asked, ", got ", made);
}

template <class T>
class black_box {
 public:
  black_box() = default;
  black_box(const black_box&) = delete;
  black_box& operator=(const black_box&) = delete;
  virtual ~black_box() = default;

  void begin(const estimate_options& options, const failure_policy& failures) {
    step_ = options.step;
    sample_ = options.sample.value_or(options.step);
    chunk_bytes_ = options.chunk_bytes;
    failures_ = failures;
    spare.set(options.spare_queries);
  }

  // Answers are kept in a log, and not asked where it knows them; null: there is none.
  void keep(answer_log* log) {
    log_ = log;
    if (log != nullptr) thrown.keep_all();
  }
  // The round is over: numbers of its questions are not used again.
  void end_round(index_t questions) { first_id_ += static_cast<std::uint64_t>(questions); }

  // losses[k] = answer to question first + k, anything but a finite number where it failed.
  void ask(const question_round<T>& round, index_t first, std::span<double> losses) {
    if (log_ == nullptr) {
      make_queries(round, first, losses);
    } else {
      ask_unknown(round, first, losses);
    }
  }

  virtual int threads() const = 0;
  // ask, where nothing is known.
  virtual void make_queries(const question_round<T>& round, index_t first,
                            std::span<double> losses) = 0;

  // Coordinate objectives.
  virtual bool probes() const { return false; }
  virtual bool answers_points() const { return true; }
  virtual double prepare(std::span<const T>) { return failed_query; }
  virtual index_t probe(std::span<const index_t>, std::span<const T>, std::span<double>) {
    return 0;
  }
  virtual double cost(index_t) const { return 1; }

  index_t queries = 0;  // made
  thrown_text thrown;   // by questions of this round; whoever asks clears it before
  spare_queries spare;  // of this estimate

 protected:
  // Makes one call under the failure policy; `failed` makes its answers those of a failed query. If
  // it throws and `again`, nothing is said: it will be made again.
  template <class Call, class Failed>
  void guarded(index_t question, bool again, const Call& call, const Failed& failed) {
    try {
      call();
    } catch (const interrupted&) {
      failed();
      throw;
    } catch (const std::exception& error) {
      failed();
      if (again) return;
      if (failures_ == on_failure::stop) throw;
      thrown.note(question, error.what());
    } catch (...) {
      failed();
      throw;
    }
  }
  template <class Call, class Failed>
  void guarded(index_t question, const Call& call, const Failed& failed) {
    guarded(question, false, call, failed);
  }

  // Makes the call of one question until it answers a finite number, as often as the policy and the
  // spare queries allow; `tries` were made before. Retries are counted by made().
  template <class Call, class Made>
  void retried(index_t question, double& answer, int tries, const Call& call, const Made& made) {
    const failure_options& policy = failures_.options();
    for (;; ++tries) {
      // What may be needed is taken before, so that threads share it, and given back.
      const bool again = tries < policy.retries && spare.take(1);
      guarded(question, again, call, [&] { answer = failed_query; });
      if (is_finite(answer) || !again) {
        if (again) spare.give_back(1);
        return;
      }
      made();
      failures_.wait_before(tries);
    }
  }

  // When a query began, where a log wants to know.
  using moment = std::chrono::steady_clock::time_point;
  moment now() const { return log_ == nullptr ? moment{} : std::chrono::steady_clock::now(); }
  // Keeps an answer that `queries` were made for, and `share` of the time since `began`.
  void record(const question_round<T>& round, index_t question, double loss, index_t made,
              moment began, double share = 1) {
    if (log_ == nullptr) return;
    const std::chrono::duration<double> passed = now() - began;
    logged_answer answer{loss, {}, made, share * passed.count()};
    if (!is_finite(loss)) {
      answer.failure = thrown.of(question);
      if (answer.failure.empty()) answer.failure = "the answer is " + text_of(loss);
    }
    std::vector<double> point;
    log_->record(question_of(round, question, first_id_, step_, point), answer);
  }

  sample_id sample_ = 0;
  index_t chunk_bytes_ = 1;
  failure_policy failures_{};

 private:
  // Recalls what the log knows, and asks the questions between.
  void ask_unknown(const question_round<T>& round, index_t first, std::span<double> losses) {
    const auto count = static_cast<index_t>(losses.size());
    index_t begin = 0;  // of those that are asked together
    const auto ask_until = [&](index_t end) {
      if (end == begin) return;
      make_queries(
          round, first + begin,
          losses.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    };
    for (index_t k = 0; k < count; ++k) {
      const index_t j = first + k;
      if (!log_->knows(first_id_ + static_cast<std::uint64_t>(j))) continue;
      ask_until(k);
      begin = k + 1;
      std::vector<double> point;
      const logged_answer known = log_->recall(question_of(round, j, first_id_, step_, point));
      queries += known.queries;
      spare.take(known.queries - 1);
      if (!is_finite(known.loss)) thrown.note(j, known.failure.c_str());
      losses[static_cast<std::size_t>(k)] = known.loss;
    }
    ask_until(count);
  }

  answer_log* log_ = nullptr;
  std::uint64_t first_id_ = 0;  // of the round
  std::uint64_t step_ = 0;
};

// Rows asked one at a time (row_objective), told apart from sampled objectives.
template <class F>
struct one_row_at_a_time {
  F& f;
};
template <class F>
inline constexpr bool asks_one_row = false;
template <class F>
inline constexpr bool asks_one_row<one_row_at_a_time<F>> = true;

// An objective of this process. Candidates lie in `buffer`, kept so that no query allocates.
template <class T, class F, class Policy>
class local_black_box final : public black_box<T> {
 public:
  local_black_box(const Policy& policy, F& f, std::vector<T>& buffer, std::vector<index_t>& rows)
      : policy_(policy), f_(f), buffer_(buffer), rows_(rows) {}

  int threads() const override { return threads_of(policy_); }

  void make_queries(const question_round<T>& round, index_t first,
                    std::span<double> losses) override {
    const auto count = static_cast<index_t>(losses.size());
    const index_t at_once = one_at_a_time
                                ? threads_of(policy_)
                                : this->chunk_bytes_ / (round.dimension * index_t{sizeof(T)});
    slots_ = std::clamp(at_once, index_t{1}, std::max(index_t{1}, count));
    if constexpr (one_at_a_time) {
      ask_each(round, first, losses);
    } else {
      ask_chunks(round, first, losses);
    }
  }

  bool probes() const override { return coordinate; }
  bool answers_points() const override { return !coordinate || point_objective<F, T>; }

  double prepare(std::span<const T> x) override {
    double value = failed_query;
    if constexpr (coordinate) {
      this->guarded(
          0, [&] { value = prepared_value(policy_, f_, x, this->sample_); },
          [&] { value = failed_query; });
    }
    return value;
  }

  index_t probe(std::span<const index_t> coordinates, std::span<const T> steps,
                std::span<double> differences) override {
    const auto asked = static_cast<index_t>(coordinates.size());
    index_t made = asked;
    if constexpr (coordinate) {
      this->guarded(
          0, [&] { made = probed(policy_, f_, coordinates, steps, differences); },
          [&] { std::ranges::fill(differences, failed_query); });
    }
    check_probe_queries(made, asked);  // a fault of the program, whatever the policy
    return made;
  }

  double cost(index_t coordinate_number) const override {
    return probe_cost(f_, coordinate_number);
  }

 private:
  static constexpr bool coordinate = coordinate_objective<F, T>;
  static constexpr bool at_a_point =
      asks_one_row<F> || scalar_objective<F, T> || sampled_objective<F, T>;
  static constexpr bool rowwise = rowwise_objective<F, T>;
  static constexpr bool one_at_a_time =
      at_a_point || (!batch_objective<F, T> && lazy_objective<F, T>);

  T* slot(index_t k) { return buffer_.data() + k * dimension_; }

  void make_slots(const question_round<T>& round) {
    dimension_ = round.dimension;
    const auto needed = static_cast<std::size_t>(slots_ * dimension_);
    if (buffer_.size() < needed) buffer_.resize(needed);
    if (round.moves_a_copy()) {
      parallel_tiles(policy_, slots_, dimension_, index_t{1} << 16,
                     [&](index_t k, index_t at, index_t length) {
                       std::copy_n(round.x + at, length, slot(k) + at);
                     });
    }
  }
  // Questions first … into the first `count` slots.
  void write_slots(const question_round<T>& round, index_t first, index_t count) {
    parallel_tiles(policy_, count, dimension_, round.worth_a_thread(),
                   [&](index_t k, index_t at, index_t length) {
                     round.write(first + k, at, length, slot(k) + at);
                   });
  }

  double loss_at(const T* point, [[maybe_unused]] index_t row) {
    const std::span<const T> x(point, static_cast<std::size_t>(dimension_));
    if constexpr (asks_one_row<F>) {
      return static_cast<double>(f_.f(x, row));
    } else if constexpr (sampled_objective<F, T>) {
      return static_cast<double>(f_(x, this->sample_));
    } else if constexpr (at_a_point) {
      return static_cast<double>(f_(x));
    } else if constexpr (lazy_objective<F, T>) {
      return whole_loss<F, T>(f_, x, this->sample_);
    } else {
      return failed_query;
    }
  }

  // A question for each thread, which writes and asks it; with no more questions than threads all
  // threads write each of them. Rows of x are handed over as they are.
  void ask_each(const question_round<T>& round, index_t first, std::span<double> losses) {
    const auto total = static_cast<index_t>(losses.size());
    const bool only_rows = first + total <= round.base;
    const bool written = !only_rows && total == slots_;
    if (only_rows) {
      dimension_ = round.dimension;
    } else {
      make_slots(round);
    }
    if (written) write_slots(round, first, total);
    std::atomic<index_t> made{0};
    auto ask_one = [&](index_t k, int worker) {
      const index_t j = first + k;
      double& loss = losses[static_cast<std::size_t>(k)];
      const auto answer = [&](const T* point) {
        const auto began = this->now();
        index_t tries = 0;
        const auto count = [&] {
          made.fetch_add(1, std::memory_order_relaxed);
          ++tries;
        };
        count();
        this->retried(
            j, loss, 0, [&] { loss = loss_at(point, round.row(j)); }, count);
        this->record(round, j, loss, tries, began);
      };
      if (j < round.base) {
        answer(round.x + j * dimension_);
        return;
      }
      T* const buffer = slot(written ? k : worker);
      if (!written) round.write(j, 0, dimension_, buffer);
      const restored after{round, j, buffer};
      answer(buffer);
    };
    // As many threads as there are buffers: the objective itself may change OpenMP's number.
    run_loop(static_cast<int>(slots_), total, loop_body(ask_one));
    this->queries += made;
  }

  void ask_chunks(const question_round<T>& round, index_t first, std::span<double> losses) {
    const auto total = static_cast<index_t>(losses.size());
    if (first + total <= round.base) {  // rows of x are handed over as they are
      dimension_ = round.dimension;
      for (index_t start = 0; start < total; start += slots_) {
        const index_t count = std::min(slots_, total - start);
        call(round, round.x + (first + start) * dimension_, first + start,
             losses.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(count)));
      }
      return;
    }
    make_slots(round);
    for (index_t start = 0; start < total; start += slots_) {
      const index_t count = std::min(slots_, total - start);
      write_slots(round, first + start, count);
      call(round, buffer_.data(), first + start,
           losses.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(count)));
      for (index_t k = 0; k < count; ++k) round.restore(first + start + k, slot(k));
    }
  }

  void call([[maybe_unused]] const question_round<T>& round, const T* candidates, index_t first,
            std::span<double> answers) {
    const auto count = static_cast<index_t>(answers.size());
    this->queries += count;
    std::ranges::fill(answers, failed_query);  // an answer that is never written is a failed one
    // What all of them may need is taken before the call, whose exception is then not the end.
    const bool again = this->failures_.options().retries > 0 && this->spare.take(count);
    auto began = this->now();
    this->guarded(
        first, again, [&] { call_once(round, candidates, first, answers); },
        [&] { std::ranges::fill(answers, failed_query); });
    for (index_t k = 0; k < count; ++k) {
      const double answer = answers[static_cast<std::size_t>(k)];
      if (!again || is_finite(answer)) {
        this->record(round, first + k, answer, 1, began, 1 / static_cast<double>(count));
      }
    }
    for (index_t k = 0; again && k < count; ++k) {
      double& answer = answers[static_cast<std::size_t>(k)];
      if (is_finite(answer)) {
        this->spare.give_back(1);
        continue;
      }
      began = this->now();
      index_t tries = 1;
      const auto made = [&] {
        ++this->queries;
        ++tries;
      };
      made();
      this->failures_.wait_before(0);
      this->retried(
          first + k, answer, 1,
          [&] {
            answer = failed_query;
            call_once(round, candidates + k * dimension_, first + k, std::span(&answer, 1));
          },
          made);
      this->record(round, first + k, answer, tries, began);
    }
  }

  void call_once(const question_round<T>& round, const T* candidates, index_t first,
                 std::span<double> answers) {
    const auto count = static_cast<index_t>(answers.size());
    const points<T> chunk{
        {candidates, static_cast<std::size_t>(count * dimension_)}, count, dimension_};
    if constexpr (rowwise) {
      rows_.resize(answers.size());
      for (index_t k = 0; k < count; ++k) rows_[static_cast<std::size_t>(k)] = round.row(first + k);
      f_(chunk, std::span<const index_t>(rows_), answers);
    } else if constexpr (sampled_batch_objective<F, T>) {
      f_(chunk, answers, this->sample_);
    } else if constexpr (batch_objective<F, T>) {
      f_(chunk, answers);
    }
  }

  // Puts a question's buffer back in order, whatever way the query ends.
  struct restored {
    const question_round<T>& round;
    index_t j;
    T* buffer;
    restored(const question_round<T>& of, index_t question, T* at)
        : round(of), j(question), buffer(at) {}
    restored(const restored&) = delete;
    restored& operator=(const restored&) = delete;
    ~restored() { round.restore(j, buffer); }
  };

  const Policy& policy_;
  F& f_;
  std::vector<T>& buffer_;
  std::vector<index_t>& rows_;
  index_t slots_ = 1;
  index_t dimension_ = 0;
};

}  // namespace zo::detail
