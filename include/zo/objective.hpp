// What a user may hand in: objectives, recognised by concept and never inherited from.
//
//   scalar      f(x) -> loss
//   lazy        f.part(share of x) -> part of the loss    see zo/lazy.hpp
//   sampled     f(x, sample) -> loss           one sample for all queries of an estimate
//   batch       f(points, losses)              many candidates in one call
//               f(points, losses, sample)
//   rowwise     f(points, rows, losses)        independent rows, a loss and a gradient each
//   coordinate  f.prepare(x, sample) -> loss   then f.probe(coordinates, steps, differences)
//
// Losses are double in every scalar type, because estimates subtract losses that lie close
// together.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/lazy.hpp"
#include "zo/rounding.hpp"
#include "zo/team.hpp"

namespace zo {

/// Candidate points, row-major: count rows of `dimension` coordinates each.
template <class T>
struct points {
  std::span<const T> data;
  index_t count = 0;
  index_t dimension = 0;

  std::span<const T> operator[](index_t k) const {
    return data.subspan(static_cast<std::size_t>(k * dimension),
                        static_cast<std::size_t>(dimension));
  }
};

/// A contiguous range of float or double: std::vector, std::array, std::span, … (zo/eigen.hpp adds
/// Eigen's vectors).
template <class X>
concept contiguous_vector = std::ranges::contiguous_range<X> && std::ranges::sized_range<X> &&
    detail::rule(scalar<std::remove_cvref_t<std::ranges::range_reference_t<X>>>,
                 "zo: a point consists of float or double");

template <contiguous_vector X>
using scalar_of = std::remove_cvref_t<std::ranges::range_reference_t<X>>;

/// Names the data an objective should use (a minibatch, a noise seed). Every query of one estimate
/// gets the same sample, so that its noise cancels in the differences.
using sample_id = std::uint64_t;

template <class F, class T>
concept scalar_objective = requires(F& f, std::span<const T> x) {
  { f(x) } -> std::convertible_to<double>;
};

template <class F, class T>
concept sampled_objective = requires(F& f, std::span<const T> x, sample_id sample) {
  { f(x, sample) } -> std::convertible_to<double>;
};

template <class F, class T>
concept plain_batch_objective = requires(F& f, points<T> candidates, std::span<double> losses) {
  f(candidates, losses);
};

template <class F, class T>
concept sampled_batch_objective = requires(F& f, points<T> candidates, std::span<double> losses,
                                           sample_id sample) {
  f(candidates, losses, sample);
};

/// One call answers a chunk of candidates: losses[k] = f(candidates[k]).
template <class F, class T>
concept batch_objective = plain_batch_objective<F, T> || sampled_batch_objective<F, T>;

/// Candidate j is a perturbed version of row rows[j]; losses[j] is that row's loss.
template <class F, class T>
concept rowwise_objective = requires(F& f, points<T> candidates, std::span<const index_t> rows,
                                     std::span<double> losses) {
  f(candidates, rows, losses);
};

/// prepare(x, sample) returns f(x) and may cache; probe then writes
/// differences[k] = f(x + steps[k] e_{coordinates[k]}) - f(x): the difference itself, so that an
/// objective that can form it without cancellation does. x stays valid and unchanged until the last
/// probe. Each coordinate probed counts as one query, prepare as one.
template <class F, class T>
concept coordinate_objective = requires(F& f, std::span<const T> x, sample_id sample,
                                        std::span<const index_t> coordinates,
                                        std::span<const T> steps, std::span<double> differences) {
  { f.prepare(x, sample) } -> std::convertible_to<double>;
  f.probe(coordinates, steps, differences);
};

/// A coordinate objective whose probes differ in price may say so by cost(coordinate), positive and
/// in any unit: processes that share the probes then have shares of equal cost.
template <class F>
concept priced_objective = requires(const F& f, index_t coordinate) {
  { f.cost(coordinate) } -> std::convertible_to<double>;
};

/// An objective that answers whole points: what RGE needs.
template <class F, class T>
concept point_objective = scalar_objective<F, T> || sampled_objective<F, T> ||
    batch_objective<F, T> || lazy_objective<F, T>;

namespace detail {

template <class F, class T>
concept some_objective = point_objective<F, T> || coordinate_objective<F, T>;

// Natural mistakes, told apart for the sake of the sentence.
template <class F, class T>
concept mistaken = !some_objective<F, T> && !std::invocable<F&, std::span<const T>>;
template <class F, class T>
concept point_objective_of_vectors = mistaken<F, T> && requires(F& f, const std::vector<T>& x) {
  f(x);
};
template <class F, class T>
concept point_objective_that_writes = mistaken<F, T> && std::invocable<F&, std::span<T>>;
template <class F, class T>
concept point_objective_of_another_scalar = mistaken<F, T> &&
    (std::invocable<F&, std::span<const float>> || std::invocable<F&, std::span<const double>>);

}  // namespace detail

template <class F, class T>
concept objective =
    detail::rule(!detail::point_objective_of_vectors<F, T>,
                 "zo: let the objective take std::span<const double> (or float, as x) instead of "
                 "std::vector: a view of the point, not a copy") &&
    detail::rule(!detail::point_objective_that_writes<F, T>,
                 "zo: let the objective take std::span<const double> (or float, as x): it must not "
                 "write the point") &&
    detail::rule(
        !detail::point_objective_of_another_scalar<F, T>,
        "zo: the objective takes float and x is double, or the reverse: use one of them") &&
    detail::rule(point_objective<F, T> || coordinate_objective<F, T>,
                 "zo: an objective is called as f(std::span<const double>) (or float, as x) and "
                 "returns a number; docs/objectives.md shows the other kinds");

/// What to do with a failed query: one that answers NaN or an infinity, or throws. Answers whose
/// slope overflows make no slope either.
enum class on_failure {
  stop,  ///< the estimate fails (`ok` is false, the gradient is zero); exceptions reach the caller
  drop,  ///< its direction or coordinate is left out, the mean is over the others; exceptions
         ///< derived from std::exception count as failed queries
};

/// One estimate's place in a run: everything random follows from seed and step.
struct estimate_options {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;                   ///< below 2^56
  std::optional<sample_id> sample{};        ///< handed to sampled objectives; unset: the step
  index_t chunk_bytes = index_t{64} << 20;  ///< candidates in memory at once for batch objectives
};

/// Why an estimate is none.
enum class flaw {
  none,
  query_failed,    ///< a query failed (on_failure::stop), or too many did (drop)
  smoothing_lost,  ///< mu is not far enough above the distance of x to its next number
  out_of_range,    ///< a number of x, a slope or the gradient is not finite in the scalar type
};

inline constexpr std::string_view to_string(flaw why) {
  switch (why) {
    case flaw::none:
      return "none";
    case flaw::query_failed:
      return "a query failed";
    case flaw::smoothing_lost:
      return "smoothing is lost in the rounding of x: use a larger one, double, or zo::cge";
    case flaw::out_of_range:
      return "a number is beyond the scalar type";
  }
  return "unknown";
}

/// What an estimate reports. Queries are those really made.
struct estimate_result {
  double value = 0;       ///< f(x); under central differences the mean of the answers
  index_t queries = 0;    ///< evaluations of the objective
  index_t failed = 0;     ///< those among them that failed
  bool ok = true;         ///< false: the gradient is all zeros and must not be used
  flaw why = flaw::none;  ///< of an estimate that is not ok
};

namespace detail {

// Every array an estimate needs, kept so that the next one allocates nothing.
template <class T>
struct buffers {
  std::vector<T> candidates;
  std::vector<index_t> rows;         // of the candidates of a chunk
  std::vector<double> base;          // f(x), by row
  std::vector<double> answers;       // by candidate of a group
  std::vector<double> factors;       // 1 / norm, by direction and row
  std::vector<double> partial;       // sums, by tile
  std::vector<T> weights;            // by row and direction
  std::vector<index_t> survivors;    // slopes that could be used, by row
  std::vector<double> sums, counts;  // of the answers, by row
  std::vector<double> small_sums;    // of the answers / 2^64
  std::vector<unsigned> faults;      // of rows: step_is_lost, beyond_range
};

template <class Value>
std::vector<Value>& cleared(std::vector<Value>& values, index_t count) {
  values.assign(static_cast<std::size_t>(count), Value(0));
  return values;
}

}  // namespace detail

/// Memory that may be kept between estimates (any size, any objective): with it, an estimate
/// allocates nothing that an earlier one has allocated. A workspace serves one estimate at a time
/// and never changes a result.
template <class T>
class workspace {
 public:
  detail::buffers<T>& buffers() { return buffers_; }
  detail::in_use& use() { return use_; }

 private:
  detail::buffers<T> buffers_;
  detail::in_use use_;
};

namespace detail {

inline constexpr double failed_query = std::numeric_limits<double>::quiet_NaN();

// f(x) of rows that have not been asked.
inline std::vector<double>& unanswered(std::vector<double>& values, index_t count) {
  values.assign(static_cast<std::size_t>(count), failed_query);
  return values;
}

ZO_HD constexpr flaw flaw_of(unsigned faults, index_t failed) {
  if (faults & beyond_range) return flaw::out_of_range;
  if (faults & step_is_lost) return flaw::smoothing_lost;
  return failed > 0 ? flaw::query_failed : flaw::out_of_range;
}

inline void check_options(const char* who, const estimate_options& options) {
  require(options.step < (std::uint64_t{1} << 56), who, ": step must be below 2^56, got ",
          options.step);
  require(options.chunk_bytes >= 1, who, ": chunk_bytes must be at least 1, got ",
          options.chunk_bytes);
}

// Runs body(row, first, count) over `rows` rows of `length` coordinates, `first` a multiple of
// `tile`, in pieces of about `least` coordinates or more.
template <class Body>
void parallel_tiles(const execution_policy auto& policy, index_t rows, index_t length,
                    index_t least, Body&& body) {
  const index_t tiles = (length + tile - 1) / tile;
  const index_t tiles_at_least = std::max<index_t>(1, least / std::min(tile, length));
  parallel_ranges(policy, rows * tiles, tiles_at_least, [&](index_t item, index_t end) {
    while (item < end) {
      const index_t row = item / tiles;
      const index_t next = std::min(end, (row + 1) * tiles);
      const index_t first = (item - row * tiles) * tile;
      body(row, first, std::min(length, (next - row * tiles) * tile) - first);
      item = next;
    }
  });
}

// Makes one call of the objective under the failure policy; `thrown` notes that it threw.
template <class Call, class Thrown>
void call_guarded(on_failure failures, const Call& call, const Thrown& thrown) {
  if (failures == on_failure::stop) {
    call();
    return;
  }
  try {
    call();
  } catch (const std::exception&) {
    thrown();
  }
}

// The candidates first … of another maker.
template <class Maker>
struct later_candidates {
  const Maker& maker;
  index_t first;

  static constexpr bool begins = Maker::begins;
  index_t worth_a_thread() const { return maker.worth_a_thread(); }
  template <class T>
  void begin(index_t at, index_t count, T* to) const {
    maker.begin(at, count, to);
  }
  template <class T>
  void write(index_t j, index_t at, index_t count, T* to) const {
    maker.write(first + j, at, count, to);
  }
  template <class T>
  void restore(index_t j, T* buffer) const {
    maker.restore(first + j, buffer);
  }
  index_t row(index_t j) const { return maker.row(first + j); }
};

// The rows of x themselves, and after them the candidates of another maker.
template <class T, class Maker>
struct candidates_after_rows {
  const Maker& maker;
  const T* x;
  index_t rows;
  index_t dimension;

  static constexpr bool begins = Maker::begins;
  index_t worth_a_thread() const { return maker.worth_a_thread(); }
  void begin(index_t at, index_t count, T* to) const { maker.begin(at, count, to); }
  void write(index_t j, index_t at, index_t count, T* to) const {
    if (j < rows) {
      std::copy_n(x + j * dimension + at, count, to);
    } else {
      maker.write(j - rows, at, count, to);
    }
  }
  void restore(index_t j, T* buffer) const {
    if (j >= rows) maker.restore(j - rows, buffer);
  }
  index_t row(index_t j) const { return j < rows ? j : maker.row(j - rows); }
};

// Puts a candidate's buffer back in order, whatever way the query ends.
template <class Maker, class T>
class restored_after {
 public:
  restored_after(const Maker& maker, index_t j, T* buffer)
      : maker_(maker), j_(j), buffer_(buffer) {}
  restored_after(const restored_after&) = delete;
  restored_after& operator=(const restored_after&) = delete;
  ~restored_after() { maker_.restore(j_, buffer_); }

 private:
  const Maker& maker_;
  index_t j_;
  T* buffer_;
};

// Calls the objective at points that a `Maker` describes:
//   maker.begin(first, count, buffer)     once for each buffer, where Maker::begins
//   maker.write(j, first, count, buffer)  turns these coordinates into those of candidate j
//   maker.restore(j, buffer)              undoes it where the next write would not
//   maker.row(j)                          row of candidate j (rowwise objectives)
//   maker.worth_a_thread()                coordinates to write before a thread is worth it
// and keeps the buffers between calls, so that no query allocates.
template <class T, class F, class Policy>
class asker {
 public:
  asker(const Policy& policy, F& f, index_t dimension, const estimate_options& options,
        on_failure failures, workspace<T>& memory)
      : policy_(policy),
        f_(f),
        dimension_(dimension),
        options_(options),
        failures_(failures),
        memory_(memory.buffers()) {
    if constexpr (one_at_a_time) {
      slots_ = threads_of(policy);
    } else {
      const index_t bytes = dimension * static_cast<index_t>(sizeof(T));
      slots_ = std::max<index_t>(1, options.chunk_bytes / bytes);
    }
  }

  // losses[j] = objective at candidate j, for j = 0 … losses.size()-1; NaN where the query failed.
  template <class Maker>
  void ask(const Maker& maker, std::span<double> losses) {
    if constexpr (team_policy<Policy>) {
      const index_t before = queries;
      ask_share(policy_.team(), losses, [&](index_t first, std::span<double> mine) {
        ask_here(later_candidates<Maker>{maker, first}, mine);
      });
      queries = before + static_cast<index_t>(losses.size());
    } else {
      ask_here(maker, losses);
    }
    note_failures(losses);
  }

  // base[b] = objective at row b of x, and the candidates, in one round: no process of a team waits
  // while another asks f(x).
  template <class Maker>
  void ask_with_rows(const Maker& maker, const T* x, std::vector<double>& base,
                     std::vector<double>& losses) {
    const auto rows = static_cast<std::ptrdiff_t>(base.size());
    losses.resize(losses.size() + base.size());
    ask(candidates_after_rows<T, Maker>{maker, x, static_cast<index_t>(rows), dimension_}, losses);
    std::copy_n(losses.begin(), rows, base.begin());
    losses.erase(losses.begin(), losses.begin() + rows);
  }

  // losses[b] = objective at row b of x: the rows themselves are handed over, nothing is copied.
  void ask_rows(const T* x, std::span<double> losses) {
    if constexpr (team_policy<Policy>) {
      const index_t before = queries;
      ask_share(policy_.team(), losses,
                [&](index_t first, std::span<double> mine) { ask_rows_here(x, first, mine); });
      queries = before + static_cast<index_t>(losses.size());
    } else {
      ask_rows_here(x, 0, losses);
    }
    note_failures(losses);
  }

  index_t queries = 0;
  index_t failed = 0;

 private:
  static constexpr bool at_a_point = scalar_objective<F, T> || sampled_objective<F, T>;
  static constexpr bool one_at_a_time =
      at_a_point || (!batch_objective<F, T> && lazy_objective<F, T>);

  sample_id sample() const { return options_.sample.value_or(options_.step); }
  T* slot(index_t k) { return memory_.candidates.data() + k * dimension_; }

  template <class Maker>
  void ask_here(const Maker& maker, std::span<double> losses) {
    used_ = std::min(slots_, static_cast<index_t>(losses.size()));
    const auto needed = static_cast<std::size_t>(used_ * dimension_);
    if (memory_.candidates.size() < needed) memory_.candidates.resize(needed);
    if constexpr (one_at_a_time) {
      ask_each(maker, losses);
    } else {
      ask_chunks(maker, losses);
    }
  }

  // Rows first … of x.
  void ask_rows_here(const T* x, index_t first, std::span<double> losses) {
    const auto rows = static_cast<index_t>(losses.size());
    if constexpr (one_at_a_time) {
      ++queries;
      guarded(
          [&] {
            losses[0] = loss_at({x, static_cast<std::size_t>(dimension_)});
          },
          [&] { losses[0] = failed_query; });
    } else {
      for (index_t start = 0; start < rows; start += slots_) {
        const index_t count = std::min(slots_, rows - start);
        call_chunk(x + (first + start) * dimension_,
                   losses.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(count)),
                   [&](index_t k) { return first + start + k; });
      }
    }
  }

  void note_failures(std::span<double> losses) {
    for (double& loss : losses) {
      if (is_finite(loss)) continue;
      loss = failed_query;
      ++failed;
    }
  }

  template <class Call, class Thrown>
  void guarded(const Call& call, const Thrown& thrown) {
    call_guarded(failures_, call, thrown);
  }

  double loss_at(std::span<const T> x) {
    if constexpr (sampled_objective<F, T>) {
      return static_cast<double>(f_(x, sample()));
    } else if constexpr (at_a_point) {
      return static_cast<double>(f_(x));
    } else {
      return whole_loss<F, T>(f_, x, sample());
    }
  }

  template <class Maker>
  void begin_slots(const Maker& maker) {
    if constexpr (Maker::begins) {
      parallel_tiles(
          policy_, used_, dimension_, maker.worth_a_thread(),
          [&](index_t k, index_t at, index_t length) { maker.begin(at, length, slot(k) + at); });
    }
  }

  // Candidates first … first+count-1 into the first `count` slots.
  template <class Maker>
  void write_slots(const Maker& maker, index_t first, index_t count) {
    parallel_tiles(policy_, count, dimension_, maker.worth_a_thread(),
                   [&](index_t k, index_t at, index_t length) {
                     maker.write(first + k, at, length, slot(k) + at);
                   });
  }

  // A candidate for each thread, which writes and asks it; with no more candidates than threads all
  // threads write each of them.
  template <class Maker>
  void ask_each(const Maker& maker, std::span<double> losses) {
    const auto total = static_cast<index_t>(losses.size());
    const bool written = total == used_;
    begin_slots(maker);
    if (written) write_slots(maker, 0, total);
    std::atomic<index_t> made{0};
    auto ask_one = [&](index_t j, int worker) {
      T* const buffer = slot(written ? j : worker);
      double& loss = losses[static_cast<std::size_t>(j)];
      if (!written) maker.write(j, 0, dimension_, buffer);
      const restored_after<Maker, T> after(maker, j, buffer);
      made.fetch_add(1, std::memory_order_relaxed);
      guarded(
          [&] {
            loss = loss_at({buffer, static_cast<std::size_t>(dimension_)});
          },
          [&] { loss = failed_query; });
    };
    // As many threads as there are buffers: the objective itself may change OpenMP's number.
    run_loop(static_cast<int>(used_), total, loop_body(ask_one));
    queries += made;
  }

  template <class Maker>
  void ask_chunks(const Maker& maker, std::span<double> losses) {
    begin_slots(maker);
    const auto total = static_cast<index_t>(losses.size());
    for (index_t start = 0; start < total; start += used_) {
      const index_t count = std::min(used_, total - start);
      write_slots(maker, start, count);
      call_chunk(memory_.candidates.data(),
                 losses.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(count)),
                 [&](index_t k) { return maker.row(start + k); });
      for (index_t k = 0; k < count; ++k) maker.restore(start + k, slot(k));
    }
  }

  template <class Row>
  void call_chunk(const T* candidates, std::span<double> answers, const Row& row) {
    const auto count = static_cast<index_t>(answers.size());
    const points<T> chunk{
        {candidates, static_cast<std::size_t>(count * dimension_)}, count, dimension_};
    queries += count;
    std::ranges::fill(answers, failed_query);  // an answer that is never written is a failed one
    guarded(
        [&] {
          if constexpr (rowwise_objective<F, T>) {
            memory_.rows.resize(answers.size());
            for (index_t k = 0; k < count; ++k) memory_.rows[static_cast<std::size_t>(k)] = row(k);
            f_(chunk, std::span<const index_t>(memory_.rows), answers);
          } else if constexpr (sampled_batch_objective<F, T>) {
            f_(chunk, answers, sample());
          } else {
            f_(chunk, answers);
          }
        },
        [&] { std::ranges::fill(answers, failed_query); });
  }

  const Policy& policy_;
  F& f_;
  index_t dimension_;
  estimate_options options_;
  on_failure failures_;
  buffers<T>& memory_;
  index_t slots_ = 1;
  index_t used_ = 0;
};

// Throws unless all processes of a team make the same estimate, of rows of as many scalars T in
// all.
template <class T, class How>
void agree_on_estimate(team& others, index_t size, index_t rows, const How& how,
                       const estimate_options& options, std::function<std::uint64_t()> point) {
  fingerprint print;
  print.add(sizeof(T)).add(size).add(rows).add(options.seed);
  print.add(options.sample.value_or(options.step));
  describe(how, print);
  others.agree({options.step, print.value(), std::move(point)});
}

template <class T, class How>
void agree_on_estimate(team& others, std::span<const T> x, index_t rows, const How& how,
                       const estimate_options& options) {
  agree_on_estimate<T>(others, static_cast<index_t>(x.size()), rows, how, options,
                       [x] { return fingerprint().add(x).value(); });
}

// A failed base point or no surviving slope leaves nothing to estimate from.
template <class T>
estimate_result give_up(estimate_result result, std::span<T> gradient, unsigned faults = 0) {
  std::ranges::fill(gradient, T(0));
  result.ok = false;
  result.why = flaw_of(faults, result.failed);
  return result;
}

}  // namespace detail
}  // namespace zo
