// Black boxes with vector answers: y = F(x), m numbers for each point. Recognised by concept, like
// objectives, and asked by zo::pullback, zo::jacobian, zo::jvp and zo::least_squares.
//
//   point     f(x, y)                       writes y
//             f(x) -> y                     returns a range of m numbers
//   sampled   f(x, y, sample)               one sample for all queries of an estimate
//   row       f(x, row, y)                  rows that differ, one at a time
//   batch     f(points, ys)                 many points in one call; ys is count x m, row-major
//   rowwise   f(points, rows, ys)           the same, with the row of each
//   difference  f.prepare(points, ys), f.differences(points, rows, dys)
//                                           forms F(point) - F(its row of x) itself
//               f.prepare(on, points, ys), f.differences(on, points, rows, dys)
//                                           on: the policy of the call, whose threads it may use
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/rounding.hpp"
#include "zo/shared.hpp"
#include "zo/team.hpp"

namespace zo {

template <class F, class T>
concept writing_map = requires(F& f, std::span<const T> x, std::span<T> y) {
  f(x, y);
};
template <class F, class T>
concept returning_map = requires(F& f, std::span<const T> x) {
  { f(x) } -> std::ranges::contiguous_range;
  requires std::same_as<std::ranges::range_value_t<decltype(f(x))>, T>;
};
template <class F, class T>
concept sampled_map = requires(F& f, std::span<const T> x, std::span<T> y, sample_id sample) {
  f(x, y, sample);
};
template <class F, class T>
concept row_map = requires(F& f, std::span<const T> x, index_t row, std::span<T> y) {
  f(x, row, y);
};
/// One call answers a chunk of points.
template <class F, class T>
concept batch_map = requires(F& f, points<T> candidates, std::span<T> ys) {
  f(candidates, ys);
};
/// Point j is a perturbed version of row rows[j].
template <class F, class T>
concept rowwise_map = requires(F& f, points<T> candidates, std::span<const index_t> rows,
                               std::span<T> ys) {
  f(candidates, rows, ys);
};
namespace detail {

template <class F, class T>
concept plain_difference_map = requires(F& f, points<T> x, std::span<const index_t> rows,
                                        std::span<T> ys) {
  f.prepare(x, ys);
  f.differences(x, rows, ys);
};
template <class F, class T, class Policy = sequential_policy>
concept threaded_difference_map = requires(F& f, const Policy& on, points<T> x,
                                           std::span<const index_t> rows, std::span<T> ys) {
  f.prepare(on, x, ys);
  f.differences(on, x, rows, ys);
};

}  // namespace detail

/// prepare writes F at all rows of x and may keep what it likes; differences then writes
/// F(candidates[j]) - F(x[rows[j]]): the difference itself, so that a map that can form it without
/// cancellation does. x stays valid and unchanged until the last call. A map that does both is
/// asked by differences. Each candidate counts as one query, and each row of prepare. One that can
/// share its own work among threads takes the policy of the call first, as coordinate objectives
/// do: prepare(on, x, ys) and differences(on, points, rows, dys).
template <class F, class T>
concept difference_map =
    detail::plain_difference_map<F, T> || detail::threaded_difference_map<F, T>;

/// A black box with vector answers, one that writes all m numbers of each. What it does not write
/// is NaN, a failed query.
template <class F, class T>
concept vector_map = detail::rule(
    writing_map<F, T> || returning_map<F, T> || sampled_map<F, T> || row_map<F, T> ||
        batch_map<F, T> || rowwise_map<F, T> || difference_map<F, T>,
    "zo: a black box with vector answers is called as f(std::span<const T> x, std::span<T> y) with "
    "T float or double as x, and writes y; zo/vector_map.hpp shows the other kinds");

namespace detail {

template <class F, class T>
inline constexpr bool asked_by_chunks =
    difference_map<F, T> || rowwise_map<F, T> || batch_map<F, T>;

// <v, y - base>, by lanes as all sums of zo: differences in double before the product. Without a
// base, <v, y>. Compiled in src/vector_map.cpp.
template <class T>
double pairing(index_t count, const T* v, const T* y, const T* base);

// NaN where an answer is to be written: everywhere, or, in long ones, at every 64th number and the
// last, because more would cost as much as a fast map itself.
template <class T>
void mark_unwritten(std::span<T> y) {
  constexpr std::size_t whole = 4096, apart = 64;
  const std::size_t by = y.size() <= whole ? 1 : apart;
  for (std::size_t i = 0; i < y.size(); i += by) y[i] = std::numeric_limits<T>::quiet_NaN();
  y.back() = std::numeric_limits<T>::quiet_NaN();
}

// A map asked as an objective of rows, under a policy that it may want to know. `use` has
//   T* place(question)        where the answer is to be written; null: into a buffer
//   double take(question, y)  what the answer is worth; NaN: the query failed
//   row_of(question)          the row of x that the map is told
// and is called from several threads.
template <class T, class Policy, class F, class Use>
class asked_map {
 public:
  asked_map(const Policy& on, F& f, index_t outputs, sample_id sample, const Use& use)
      : on_(on), f_(f), outputs_(outputs), sample_(sample), use_(use) {}

  double operator()(std::span<const T> x, index_t question) requires(!asked_by_chunks<F, T>) {
    if constexpr (returning_map<F, T> && !writing_map<F, T>) {
      const auto answer = f_(x);
      const auto numbers = static_cast<index_t>(std::ranges::size(answer));
      check_size(numbers);
      return use_.take(question, std::span<const T>(std::ranges::data(answer), size()));
    } else {
      lease buffer(*this, use_.place(question));
      const std::span<T> y(buffer.data(), size());
      mark_unwritten(y);
      if constexpr (row_map<F, T>) {
        f_(x, use_.row_of(question), y);
      } else if constexpr (sampled_map<F, T>) {
        f_(x, y, sample_);
      } else {
        f_(x, y);
      }
      return use_.take(question, y);
    }
  }

  void operator()(points<T> candidates, std::span<const index_t> questions,
                  std::span<double> worth) requires(asked_by_chunks<F, T>) {
    answers_.assign(static_cast<std::size_t>(candidates.count * outputs_),
                    std::numeric_limits<T>::quiet_NaN());
    const std::span<T> ys(answers_);
    rows_.resize(questions.size());
    std::ranges::transform(questions, rows_.begin(), [&](index_t q) { return use_.row_of(q); });
    const std::span<const index_t> rows(rows_);
    if constexpr (threaded_difference_map<F, T, Policy>) {
      f_.differences(on_, candidates, rows, ys);
    } else if constexpr (difference_map<F, T>) {
      f_.differences(candidates, rows, ys);
    } else if constexpr (rowwise_map<F, T>) {
      f_(candidates, rows, ys);
    } else {
      f_(candidates, ys);
    }
    for (std::size_t k = 0; k < worth.size(); ++k) {
      worth[k] = use_.take(questions[k], ys.subspan(k * size(), size()));
    }
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(outputs_); }
  void check_size(index_t numbers) const {
    if (numbers == outputs_) return;
    throw std::runtime_error("zo: the map must answer " + std::to_string(outputs_) +
                             " numbers at every point, and answered " + std::to_string(numbers));
  }

  // A buffer for one answer, from those that lie unused.
  class lease {
   public:
    lease(asked_map& from, T* place) : from_(from), data_(place) {
      if (data_ != nullptr) return;
      {
        const std::lock_guard lock(from_.mutex_);
        if (!from_.unused_.empty()) {
          own_ = std::move(from_.unused_.back());
          from_.unused_.pop_back();
        }
      }
      if (own_.empty()) own_.resize(from_.size());
      data_ = own_.data();
    }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() {
      if (own_.empty()) return;
      const std::lock_guard lock(from_.mutex_);
      from_.unused_.push_back(std::move(own_));
    }
    T* data() const { return data_; }

   private:
    asked_map& from_;
    std::vector<T> own_;
    T* data_;
  };

  const Policy& on_;
  F& f_;
  index_t outputs_;
  sample_id sample_;
  const Use& use_;
  std::mutex mutex_;
  std::vector<std::vector<T>> unused_;
  std::vector<T> answers_;
  std::vector<index_t> rows_;
};

// Bytes for candidates so that they and their answers together take `bytes`.
inline index_t candidate_bytes(index_t bytes, index_t dimension, index_t outputs) {
  const double part = static_cast<double>(dimension) / static_cast<double>(dimension + outputs);
  return std::max(index_t{1}, static_cast<index_t>(static_cast<double>(bytes) * part));
}

// Asks a map what a round describes; use as above.
template <class T, execution_policy Policy, class F, class Use>
class map_box {
 public:
  map_box(const Policy& policy, F& f, index_t outputs, const Use& use,
          const estimate_options& options, on_failure failures, std::vector<T>& buffer)
      : asked_(policy, f, outputs, options.sample.value_or(options.step), use),
        one_{asked_},
        box_(policy, objective(), buffer, rows_) {
    box_.begin(options, failures);
  }
  map_box(const map_box&) = delete;
  map_box& operator=(const map_box&) = delete;

  // Questions first … of the round, as many as `worth` has.
  void ask(const question_round<T>& round, index_t first, std::span<double> worth) {
    box_.thrown.clear();
    box_.ask(round, first, worth);
  }
  index_t queries() const { return box_.queries; }
  std::string thrown(index_t question) const { return box_.thrown.of(question); }

 private:
  using asked = asked_map<T, Policy, F, Use>;
  using one_by_one = one_row_at_a_time<asked>;
  static constexpr bool chunks = asked_by_chunks<F, T>;
  using shape = std::conditional_t<chunks, asked, one_by_one>;

  shape& objective() {
    if constexpr (chunks) {
      return asked_;
    } else {
      return one_;
    }
  }

  asked asked_;
  one_by_one one_;
  std::vector<index_t> rows_;
  local_black_box<T, shape, Policy> box_;
};

// A failed query in words.
inline std::string why_failed(std::string thrown) {
  return thrown.empty() ? "a number of the answer is not finite, or was not written"
                        : std::move(thrown);
}

struct map_report {
  index_t queries = 0;
  index_t failed = 0;
  std::shared_ptr<const query_failure> failure{};

  void note(query_failure what) {
    ++failed;
    if (failure == nullptr) failure = std::make_shared<query_failure>(std::move(what));
  }
};

template <class T>
std::vector<double> reported_point(std::span<const T> x) {
  if (static_cast<index_t>(x.size()) > most_reported) return {};
  return {x.begin(), x.end()};
}

// Answers kept, one after another. If they are looked at, those of a failed query become NaN.
template <class T>
struct kept_answers {
  T* answers = nullptr;  // of row `first` and those after it
  index_t outputs = 0;
  index_t first = 0;
  bool of_one_row = false;  // several questions about a single row of x
  bool looked_at = true;

  index_t row_of(index_t question) const { return of_one_row ? 0 : question; }
  T* place(index_t question) const { return answers + (question - first) * outputs; }
  double take(index_t question, std::span<const T> y) const {
    T* const to = place(question);
    if (y.data() != to) std::ranges::copy(y, to);
    if (!looked_at || all_finite(outputs, to)) return 0;
    std::fill_n(to, outputs, std::numeric_limits<T>::quiet_NaN());
    return failed_query;
  }
};

// What remains to be done by one process of a team, or by all of this one: ask(first, count) writes
// `outputs` numbers for each of these items at numbers + first * outputs.
template <class T, class Ask>
void ask_vectors(team* others, index_t items, index_t outputs, T* numbers, const Ask& ask) {
  if (others == nullptr) {
    ask(index_t{0}, items);
    return;
  }
  std::vector<index_t> ends = even_shares(items, others->ranks());
  const share_range mine = share_of(ends, others->rank());
  std::vector<double> exchanged(static_cast<std::size_t>(items * outputs));
  const std::exception_ptr thrown = caught([&] {
    if (mine.count() == 0) return;
    ask(mine.first, mine.count());
    std::copy(numbers + mine.first * outputs, numbers + mine.end * outputs,
              exchanged.begin() + mine.first * outputs);
  });
  for (index_t& end : ends) end *= outputs;
  others->exchange(exchanged, ends, thrown);
  for (std::size_t k = 0; k < exchanged.size(); ++k) numbers[k] = static_cast<T>(exchanged[k]);
}

// y = F at the rows of x, asked by all processes together; NaN in a row that failed.
template <class T, class Policy, class F>
void ask_at_rows(const Policy& policy, F& f, const points<T>& x, index_t outputs,
                 const estimate_options& options, on_failure failures, T* y, map_report& report) {
  report.queries += x.count;
  std::vector<std::string> why(static_cast<std::size_t>(x.count));
  if constexpr (difference_map<F, T>) {  // which everybody asks, to be prepared
    const std::span<T> ys(y, static_cast<std::size_t>(x.count * outputs));
    std::ranges::fill(ys, std::numeric_limits<T>::quiet_NaN());
    try {
      if constexpr (threaded_difference_map<F, T, Policy>) {
        f.prepare(policy, x, ys);
      } else {
        f.prepare(x, ys);
      }
    } catch (const interrupted&) {
      throw;
    } catch (const std::exception& error) {
      if (failures == on_failure::stop) throw;
      std::ranges::fill(ys, std::numeric_limits<T>::quiet_NaN());
      std::ranges::fill(why, error.what());
    }
  } else {
    std::fill_n(y, x.count * outputs, std::numeric_limits<T>::quiet_NaN());
    const kept_answers<T> kept{y, outputs, 0};
    ask_vectors(team_of(policy), x.count, outputs, y, [&](index_t first, index_t count) {
      std::vector<T> buffer;
      map_box<T, Policy, F, kept_answers<T>> box(policy, f, outputs, kept, options, failures,
                                                 buffer);
      std::vector<double> worth(static_cast<std::size_t>(count));
      box.ask({x.data.data(), x.dimension, x.count, 1, x.count, 0, nullptr}, first, worth);
      for (index_t b = first; b < first + count; ++b) {
        why[static_cast<std::size_t>(b)] = box.thrown(b);
        if (is_nan(worth[static_cast<std::size_t>(b - first)])) {  // which a throw left as it was
          std::fill_n(kept.place(b), outputs, std::numeric_limits<T>::quiet_NaN());
        }
      }
    });
  }
  for (index_t b = 0; b < x.count; ++b) {
    if (all_finite(outputs, y + b * outputs)) continue;
    report.note(
        {options.step, b, why_failed(why[static_cast<std::size_t>(b)]), reported_point(x[b])});
  }
}

}  // namespace detail
}  // namespace zo
