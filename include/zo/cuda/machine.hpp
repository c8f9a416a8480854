// The machine of a GPU: what zo/machine.hpp does on the host, with every number in device memory.
// Nothing waits, so a failed query cannot end an estimate early: all queries are made, and the end
// says what they are worth.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/cuda/device_code.hpp"
#if ZO_DEVICE_CODE
#include "zo/cuda/launch.hpp"
#endif
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/finite.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/shared.hpp"

namespace zo::cuda {

namespace detail {

// Calls an objective of the host. Its exceptions count as they do on the CPU, but for those of
// CUDA: they and errors that it leaves behind, such as a launch of its own that failed, are no
// answers.
template <class Call, class Failed>
void call_objective(on_failure failures, const Call& call, const Failed& failed) {
  const cudaError_t before = cudaPeekAtLastError();
  try {
    call();
  } catch (const error&) {
    throw;
  } catch (const interrupted&) {
    throw;
  } catch (const std::exception&) {
    if (failures == on_failure::stop) throw;
    failed();
  }
  const cudaError_t after = cudaPeekAtLastError();
  if (after == cudaSuccess || after == before) return;
  cudaGetLastError();
  throw error(std::string("zo::cuda: the objective has left a CUDA error behind: ") +
                  cudaGetErrorString(after) + " (" + cudaGetErrorName(after) + ")",
              after);
}

// For random coordinates.
inline void check_draws(const policy& on) {
  zo::detail::require(on.options().step_counter == nullptr,
                      "zo::cuda: random coordinates are drawn on the host, so a step counter "
                      "cannot change them; use a list, a mask or all coordinates");
}

// Questions, as ask() needs them:
//   begin(at, slots, buffer)             once
//   write(at, first, count, buffer)      candidates first … first+count-1
//   restore(at, first, count, buffer)    undoes it where the next write would not
// and as ask_lazily() knows them.

// x itself, as lazy objectives are asked at it.
template <class T>
struct plain_point {
  const T* x;
  index_t dimension;
};

/// Candidates of some directions of every row.
template <class T, class L>
struct direction_maker {
  row_directions directions;
  int sides = 1;
  double step = 0;
  const T* x = nullptr;
  index_t dimension = 0;

  void begin(const stream_context&, index_t, T*) const {}
  void write(const stream_context& at, index_t first, index_t count, T* to) const {
    enqueue<L>(at, candidates<T>{directions, sides, step, x, dimension, first, count, to});
  }
  void restore(const stream_context&, index_t, index_t, T*) const {}
};

/// Candidates along directions of a table.
template <class T>
struct listed_maker {
  listed_steps<T> steps;

  void begin(const stream_context&, index_t, T*) const {}
  void write(const stream_context& at, index_t first, index_t count, T* to) const {
    write_listed(at, steps, first, count, to);
  }
  void restore(const stream_context&, index_t, index_t, T*) const {}
};

/// Candidates that differ from x in one coordinate. With one row a slot stays a copy of x in which
/// a single coordinate is moved and put back.
template <class T>
struct coordinate_maker {
  coordinate_steps<T> steps;

  void begin(const stream_context& at, index_t slots, T* to) const {
    if (steps.rows == 1) begin_slots(at, steps, slots, to);
  }
  void write(const stream_context& at, index_t first, index_t count, T* to) const {
    if (steps.rows == 1) {
      move_coordinates(at, steps, first, count, false, to);
    } else {
      write_moved(at, steps, first, count, to);
    }
  }
  void restore(const stream_context& at, index_t first, index_t count, T* to) const {
    if (steps.rows == 1) move_coordinates(at, steps, first, count, true, to);
  }
};

// The lazy half is in zo/cuda/lazy.hpp, where device code is compiled: losses[j - first] of the
// candidates first … first+count-1, of which none is in memory.
template <class T, class F, class Maker>
void ask_lazily(const stream_context& at, const F& f, const Maker& maker, sample_id sample,
                index_t first, index_t count, double* partial, double* losses);

// An objective that needs memory of its own for each candidate of a call.
template <class F>
concept roomy = requires(F& f, workspace& memory, index_t candidates) {
  { f.bytes_a_candidate() } -> std::same_as<index_t>;
  f.reserve(memory, candidates);
};

}  // namespace detail

template <class T, class F>
class machine {
 public:
  using value_type = T;

  machine(const policy& on, F& f, workspace& memory) : on_(on), at_(on), f_(f), memory_(memory) {
#if !ZO_DEVICE_CODE
    static_assert(
        !lazy,
        "zo::cuda: a lazy objective runs on the GPU: compile this file with nvcc (name it "
        "*.cu), or hand in a batch objective f(points, losses, stream)");
#endif
  }

  // For the state of estimators ------------------------------------------------------------------

  array<T> vector(index_t count) const {
    array<T> zeros(on_, count);
    if (count > 0) detail::fill_zero(on_.stream(), zeros.data(), bytes_of<T>(count));
    return zeros;
  }
  void copy(const T* from, index_t count, T* to) const {
    if (count > 0) detail::copy_on_device(on_.stream(), from, bytes_of<T>(count), to);
  }
  /// A kernel: compile this file with nvcc.
  template <class Body>
  void each(index_t count, const Body& body) const {
#if ZO_DEVICE_CODE
    detail::for_items(on_.stream(), count, body, "launching the kernel of an estimator");
#else
    static_assert(sizeof(Body) == 0,
                  "zo::cuda: an estimator of your own runs on the GPU as device code: compile this "
                  "file with nvcc (name it *.cu)");
#endif
  }

  // One estimate ---------------------------------------------------------------------------------

  void begin(const estimate_options& options) {
    options_ = options;
    queries_ = 0;
    parts_ = 0;
    memory_.begin("zo::estimate");
    report_ = memory_.take<detail::report>(detail::room::report, 1);
  }
  void open(const row_problem<T>& problem, const estimate_options& options,
            const failure_policy& failures) {
    failures.check();
    zo::detail::require(failures.options().retries == 0 && failures != on_failure::replace,
                        "zo::estimate on a GPU: nothing waits for an answer there, so that failed "
                        "queries are not asked again: use zo::on_failure::stop, drop or penalise, "
                        "without retries");
    options_ = options;
    problem_ = problem;
    failures_ = failures;
    const index_t numbers = detail::tally::numbers(problem.rows);
    tally_ = memory_.take<double>(detail::room::tally, numbers);
    detail::fill_zero(on_.stream(), tally_, numbers * 8);
    base_ = memory_.take<double>(detail::room::base, problem.rows);
    if (knows_base()) {
      detail::upload(at_, options_.known_values.data(), problem.rows, base_);
    }
    list_bytes_ = 0;
  }
  const estimate_options& options() const { return options_; }
  const row_problem<T>& problem() const { return problem_; }
  bool knows_base() const { return !options_.known_values.empty(); }
  static constexpr bool probes() { return coordinate_objective<F, T>; }
  static constexpr bool answers_points() {
    return point_objective<F, T> || rowwise_objective<F, T>;
  }
  index_t group_of(index_t slopes, int sides) const {
    return detail::group_of(problem_.rows, slopes, sides);
  }

  // Questions ------------------------------------------------------------------------------------

  template <class Maker>
  void pose(const Maker& maker, index_t candidates, int /*sides*/, bool with_base) {
    ask_points(maker.maker(), candidates, with_base);
  }
  void pose_base() {
    if constexpr (answers_points()) {
      slots_for(own_bytes_of_base());
      reserve_points(1);
      ask_points(detail::plain_point<T>{problem_.x, problem_.dimension}, 0, true);
    } else {
      pose_prepare();
    }
  }
  void pose_prepare() {
    if constexpr (probes()) prepare();
    detail::count_failed(at_, 1, base_, known());
  }
  /// Posed is asked: work is enqueued in the order in which it comes.
  static void ask() {}

  static constexpr bool base_missing() { return false; }  // not known yet
  static constexpr bool stopped() { return false; }
  static constexpr bool drops_the_rest() { return false; }
  /// Waits for the stream.
  bool base_answered() const {
    double base = 0;
    detail::copy_to_host(on_, base_, sizeof base, &base);
    return zo::detail::is_finite(base);
  }

  // Slopes along directions ----------------------------------------------------------------------

  template <distribution D>
  class directions {
   public:
    using law = typename D::law;
    const detail::direction_maker<T, law>& maker() const { return maker_; }

   private:
    friend machine;
    detail::direction_maker<T, law> maker_;
    index_t first_ = 0;
  };

  template <distribution D>
  directions<D> directions_of(const stream& from, index_t per_row, int sides,
                              double smoothing) const {
    directions<D> along;
    along.maker_ = {
        {from, per_row, problem_.rows, nullptr}, sides, smoothing, problem_.x, problem_.dimension};
    return along;
  }
  bool find_faults(const zo::detail::step_check<T>& check) const {
    detail::find_faults(at_, problem_.rows, problem_.dimension, check, problem_.x, known());
    return true;
  }
  template <distribution D>
  void reserve(const directions<D>& along, index_t group) {
    const index_t rows = problem_.rows, answers = group * along.maker_.sides * rows;
    const index_t norms = D::unit_norm ? group * rows : 0;
    const index_t plain =
        8 * (detail::tally::numbers(rows) + rows + answers + norms + 3) + bytes_of<T>(group * rows);
    if constexpr (D::unit_norm) {
      // Norms that are found together: some MiB of sums, and one candidate's place left beside
      // them.
      const index_t tiles = detail::tiles(problem_.dimension);
      const index_t sums = memory_.left_of(index_t{16} << 20, plain + bytes_of_candidate());
      norms_ = std::clamp(sums / (8 * tiles), index_t{1}, std::min(norms, detail::most_norms));
      slots_for(plain + 8 * norms_ * tiles);
      factors_ = memory_.take<double>(detail::room::factors, norms);
      partial_ = memory_.take<double>(detail::room::norms, norms_ * tiles);
    } else {
      slots_for(plain);
    }
    answers_ = memory_.take<double>(detail::room::answers, answers);
    weights_ = memory_.take<T>(detail::room::weights, group * rows);
    reserve_points(answers);
  }
  template <distribution D>
  void start_at(directions<D>& along, index_t first, index_t count) {
    along.first_ = first;
    along.maker_.directions.from.number = static_cast<std::uint32_t>(first);
    if constexpr (D::unit_norm) {
      along.maker_.directions.factors = nullptr;
      detail::inverse_norms<typename D::law>(at_, along.maker_.directions, count,
                                             problem_.dimension, norms_, partial_, factors_);
      along.maker_.directions.factors = factors_;
    }
  }
  template <distribution D>
  void weigh(const directions<D>& along, index_t count, bool uses_base, double scale) {
    const detail::direction_maker<T, typename D::law>& made = along.maker_;
    detail::find_weights(at_, problem_.rows, count, made.sides, answers_, base_,
                         made.directions.factors, {scale}, made.step, weights_, known());
    if (!uses_base) detail::add_answers(at_, problem_.rows, count * made.sides, answers_, known());
  }
  template <distribution D>
  void combine(const directions<D>& along, index_t count, bool fresh) {
    detail::enqueue<typename D::law>(
        at_, detail::weighted_sums<T>{along.maker_.directions, count, weights_, problem_.dimension,
                                      fresh, problem_.gradients});
  }

  // Slopes along given directions ----------------------------------------------------------------

  /// Directions of a table in host memory, the same for every row.
  class listed_directions {
   public:
    void start_at(index_t first) { first_ = first; }

   private:
    friend machine;
    const T* table_ = nullptr;
    const double* weights_ = nullptr;
    index_t first_ = 0;
    detail::listed_maker<T> maker_;  // of the group that is asked
  };

  /// `table` and `weights` must live until the last group is posed.
  listed_directions listed(const T* table, const double* weights, int sides,
                           double smoothing) const {
    listed_directions along;
    along.table_ = table;
    along.weights_ = weights;
    along.maker_.steps = {problem_.x, problem_.rows, problem_.dimension, nullptr, smoothing, sides};
    return along;
  }
  void pose(listed_directions& along, index_t candidates, int sides, bool with_base) {
    const index_t count = candidates / (sides * problem_.rows), dimension = problem_.dimension;
    if (along.first_ == 0) reserve(along, count);  // none of the groups to come is larger
    detail::upload(at_, along.table_ + along.first_ * dimension, count * dimension, listed_);
    detail::upload(at_, along.weights_ + along.first_, count, factors_);
    along.maker_.steps.table = listed_;
    ask_points(along.maker_, candidates, with_base);
  }
  void weigh(const listed_directions& along, index_t count, bool uses_base) {
    const detail::listed_steps<T>& steps = along.maker_.steps;
    detail::find_weights(at_, problem_.rows, count, steps.sides, answers_, base_, nullptr,
                         {1, factors_}, steps.smoothing, weights_, known());
    if (!uses_base) detail::add_answers(at_, problem_.rows, count * steps.sides, answers_, known());
  }
  void combine(const listed_directions& along, index_t count) {
    detail::add_listed(at_, along.maker_.steps, count, weights_, problem_.gradients, known());
  }

  // Slopes along coordinates ---------------------------------------------------------------------

  class coordinates {
   public:
    void start_at(index_t first) { maker_.steps.first = first; }
    const detail::coordinate_maker<T>& maker() const { return maker_; }

   private:
    friend machine;
    detail::coordinate_maker<T> maker_;
    const zo::detail::chosen_coordinates* chosen_ = nullptr;
  };

  void check_draws() const { detail::check_draws(on_); }
  coordinates coordinates_of(const zo::detail::chosen_coordinates& chosen, int sides,
                             double smoothing, bool relative) {
    coordinates along;
    along.chosen_ = &chosen;
    along.maker_.steps = {problem_.x, problem_.rows, problem_.dimension, nullptr,
                          0,          smoothing,     relative,           sides};
    if (!chosen.all) {
      index_t* const list = memory_.take<index_t>(detail::room::list, chosen.count());
      detail::upload(at_, chosen.list.data(), chosen.count(), list);
      along.maker_.steps.list = list;
      list_bytes_ = 8 * chosen.count();
    }
    return along;
  }
  void reserve(const coordinates& along, index_t group, bool by_probes) {
    const index_t rows = problem_.rows, answers = group * along.maker_.steps.sides * rows;
    if (!by_probes)
      slots_for(list_bytes_ + 8 * (detail::tally::numbers(rows) + rows + answers + 3));
    answers_ = memory_.take<double>(detail::room::answers, answers);
    if (by_probes) {
      probed_ = memory_.take<index_t>(detail::room::rows, answers);
      lengths_ = memory_.take<T>(detail::room::steps, answers);
    } else {
      reserve_points(answers);
    }
  }
  void clear_gradients() const {
    detail::fill_zero(on_.stream(), problem_.gradients,
                      bytes_of<T>(problem_.rows * problem_.dimension));
  }
  void write_slopes(const coordinates& along, index_t count, bool uses_base, double scale) {
    const detail::coordinate_steps<T>& steps = along.maker_.steps;
    detail::write_slopes(at_, steps, count, answers_, base_, scale, problem_.gradients, known());
    if (!uses_base) detail::add_answers(at_, problem_.rows, count * steps.sides, answers_, known());
  }
  void pose_probes(const coordinates& along, index_t count) {
    if constexpr (probes()) {
      const detail::coordinate_steps<T>& steps = along.maker_.steps;
      detail::write_probes(at_, steps, count, probed_, lengths_);
      std::vector<index_t> asked;  // in host memory, for whom it matters
      if (planning_objective<F, T> || on_.team() != nullptr) {
        for (int side = 0; side < steps.sides; ++side) {
          for (index_t k = 0; k < count; ++k) asked.push_back((*along.chosen_)[steps.first + k]);
        }
      }
      queries_ += on_.team() == nullptr ? probe(asked, count * steps.sides) : probe_share(asked);
    }
  }
  void write_rises(const coordinates& along, index_t count, double scale) {
    detail::write_rises(at_, count, along.maker_.steps.sides, probed_, lengths_, answers_, scale,
                        problem_.gradients, known());
  }

  // The end --------------------------------------------------------------------------------------

  void close(index_t slopes, bool uses_base, bool rescale, bool /*complete*/) {
    const detail::ending end{problem_.rows,    slopes,  zo::detail::goes_on(failures_),
                             uses_base,        rescale, parts_++ == 0,
                             memory_.watched()};
    if (rescale) {
      detail::check_gradients(at_, end, known(), problem_.dimension, problem_.gradients);
    }
    detail::close(at_, end, known(), base_, report_, problem_.losses);
    detail::mend(at_, end, known(), report_, problem_.dimension, problem_.gradients);
  }
  /// Whether a part of the estimate that has ended makes none. Waits for the stream.
  bool failed_so_far() const { return !result().ok; }
  void zero_if_failed(T* gradient, index_t count) const {
    detail::zero_if_failed(at_, report_, count, gradient);
  }
  index_t queries() const { return queries_; }
  const detail::report* report() const { return report_; }
  /// Waits for the stream.
  estimate_result result() const {
    detail::report found{};
    detail::copy_to_host(on_, report_, sizeof found, &found);
    const auto why = static_cast<flaw>(found.why);
    return {found.value, queries_, static_cast<index_t>(found.failed), why == flaw::none, why, {}};
  }

  // For runs -------------------------------------------------------------------------------------

  /// f(x) that was posed alone, NaN where it failed, and its price. Waits for the stream.
  std::pair<double, estimate_result> value_result() const {
    double found = zo::detail::failed_query;
    detail::copy_to_host(on_, base_, sizeof found, &found);
    const bool good = zo::detail::is_finite(found);
    const double value = good ? found : zo::detail::failed_query;
    unsigned long long failed = good ? 0 : 1;
    if (failures_ == on_failure::penalise) {  // its answer is a number, too
      detail::copy_to_host(on_, known().failed, sizeof failed, &failed);
    }
    return {value, {value, queries_, static_cast<index_t>(failed), good, flaw::none, {}}};
  }
  /// Whether all steps left finite numbers. Waits for the stream.
  bool finite() const {
    if (memory_.watched() == nullptr) return true;
    unsigned long long found = 0;
    detail::copy_to_host(on_, memory_.watched(), sizeof found, &found);
    return found == 0;
  }
  std::uint64_t print(const T* x, index_t count) const {
    return detail::fingerprint_of(on_, span<const T>(x, count));
  }
  static std::span<const T> readable(const T*, index_t) { return {}; }
  zo::detail::team* others() const { return on_.team(); }

 private:
  static constexpr bool lazy =
      !batch_objective<F, T> && !rowwise_objective<F, T> && lazy_objective<F, T>;
  using range = zo::detail::share_range;

  template <class N>
  static constexpr index_t bytes_of(index_t count) {
    return count * static_cast<index_t>(sizeof(N));
  }
  detail::tally known() const { return {tally_, problem_.rows}; }
  sample_id sample() const { return options_.sample.value_or(options_.step); }
  index_t own_bytes_of_base() const {
    return 8 * (detail::tally::numbers(problem_.rows) + problem_.rows + 3);
  }

  void reserve(const listed_directions& along, index_t group) {
    const index_t rows = problem_.rows, answers = group * along.maker_.steps.sides * rows;
    const index_t numbers = group * problem_.dimension;
    slots_for(8 * (detail::tally::numbers(rows) + rows + answers + group + 3) +
              bytes_of<T>(group * rows + numbers));
    listed_ = memory_.take<T>(detail::room::listed, numbers);
    factors_ = memory_.take<double>(detail::room::factors, group);
    answers_ = memory_.take<double>(detail::room::answers, answers);
    weights_ = memory_.take<T>(detail::room::weights, group * rows);
    reserve_points(answers);
  }

  index_t bytes_of_candidate() const {
    index_t bytes = bytes_of<T>(problem_.dimension);
    if constexpr (rowwise_objective<F, T>) bytes += bytes_of<index_t>(1);
    if constexpr (detail::roomy<F>) bytes += f_.bytes_a_candidate();
    return bytes;
  }

  // Candidates that fit at once beside `others` bytes of the estimate.
  void slots_for(index_t others) {
    if constexpr (lazy) {
      constexpr index_t bytes_at_once = index_t{16} << 20, most_at_once = 65535;
      const index_t bytes = bytes_of<double>(zo::detail::slices(problem_.dimension));
      slots_ = std::clamp(memory_.left_of(bytes_at_once, others) / bytes, index_t{1}, most_at_once);
    } else {
      slots_ = std::max<index_t>(
          1, memory_.left_of(options_.chunk_bytes, others) / bytes_of_candidate());
    }
  }
  // Takes the memory for asking `count` candidates, before anything is asked.
  void reserve_points(index_t count) {
    slots_ = std::min(slots_, std::max(count, problem_.rows));
    if constexpr (lazy) {
      const index_t parts = slots_ * zo::detail::slices(problem_.dimension);
      partial_parts_ = memory_.take<double>(detail::room::partial, parts);
    } else {
      candidates_ =
          memory_.take<T>(detail::room::candidates, std::min(slots_, count) * problem_.dimension);
      if constexpr (rowwise_objective<F, T>) {
        rows_ = memory_.take<index_t>(detail::room::rows, slots_);
      }
      if constexpr (detail::roomy<F>) f_.reserve(memory_, slots_);
    }
  }

  // base_[b] = objective at row b of x, and answers_[j] = objective at candidate j; NaN where no
  // answer was written.
  template <class Maker>
  void ask_points(const Maker& maker, index_t count, bool with_base) {
    const index_t rows = with_base ? problem_.rows : 0;
    queries_ += rows + count;
    if (on_.team() == nullptr) {
      if (rows > 0) ask_rows({0, rows});
      ask_candidates(maker, {0, count});
    } else {
      ask_share(maker, rows, count);
    }
    if (failures_ == on_failure::penalise) {
      const double penalty = failures_.options().penalty;
      if (rows > 0) detail::penalise(at_, rows, base_, penalty, known());
      if (count > 0) detail::penalise(at_, count, answers_, penalty, known());
    } else if (with_base) {
      detail::count_failed(at_, rows, base_, known());
    }
  }
  template <class Maker>
  void ask_candidates(const Maker& maker, range asked) {
    const index_t slots = std::min(slots_, asked.count());
    if (slots <= 0) return;
    if constexpr (lazy) {
      lazily(maker, asked, answers_);
    } else if constexpr (!std::same_as<Maker, detail::plain_point<T>>) {
      maker.begin(at_, slots, candidates_);
      for (index_t first = asked.first; first < asked.end; first += slots) {
        const index_t here = std::min(slots, asked.end - first);
        maker.write(at_, first, here, candidates_);
        call(candidates_, first, here, answers_ + first);
        maker.restore(at_, first, here, candidates_);
      }
    }
  }
  template <class Maker>
  void lazily(const Maker& maker, range asked, double* losses) {
    if constexpr (lazy) {
      for (index_t first = asked.first; first < asked.end; first += slots_) {
        detail::ask_lazily<T>(at_, f_, maker, sample(), first, std::min(slots_, asked.end - first),
                              partial_parts_, losses + first);
      }
    }
  }
  // The rows themselves are handed over, nothing is copied.
  void ask_rows(range asked) {
    if constexpr (lazy) {
      lazily(detail::plain_point<T>{problem_.x, problem_.dimension}, asked, base_);
    } else {
      for (index_t first = asked.first; first < asked.end; first += slots_) {
        call(problem_.x + first * problem_.dimension, first, std::min(slots_, asked.end - first),
             base_ + first);
      }
    }
  }
  // This process's share of rows and candidates, and the answers of the others'.
  template <class Maker>
  void ask_share(const Maker& maker, index_t rows, index_t count) {
    std::vector<double> answers(static_cast<std::size_t>(rows + count));
    zo::detail::ask_all(on_.team(), answers, [&](index_t first, std::span<double> mine) {
      const index_t end = first + static_cast<index_t>(mine.size());
      const range of_rows{std::min(first, rows), std::min(end, rows)};
      const range of_candidates{std::max(first, rows) - rows, std::max(end, rows) - rows};
      ask_rows(of_rows);
      ask_candidates(maker, of_candidates);
      detail::copy_to_host(on_, base_ + of_rows.first, of_rows.count() * 8, mine.data());
      detail::copy_to_host(on_, answers_ + of_candidates.first, of_candidates.count() * 8,
                           mine.data() + of_rows.count());
    });
    detail::copy_to_device(on_, answers.data(), rows * 8, base_);
    detail::copy_to_device(on_, answers.data() + rows, count * 8, answers_);
  }
  void call(const T* candidates, index_t first, index_t count, double* losses) {
    if constexpr (batch_objective<F, T> || rowwise_objective<F, T>) {
      const points<T> chunk{{candidates, count * problem_.dimension}, count, problem_.dimension};
      const span<double> answers(losses, count);
      // An answer that is never written is a failed one.
      detail::fill_nan(at_.stream, losses, bytes_of<double>(count));
      if constexpr (rowwise_objective<F, T>) {
        detail::write_rows(at_, first, count, problem_.rows, rows_);
      }
      detail::call_objective(
          failures_,
          [&] {
            if constexpr (rowwise_objective<F, T>) {
              f_(chunk, span<const index_t>(rows_, count), answers, at_.stream);
            } else if constexpr (sampled_batch_objective<F, T>) {
              f_(chunk, answers, at_.stream, sample());
            } else {
              f_(chunk, answers, at_.stream);
            }
          },
          [&] { detail::fill_nan(at_.stream, losses, bytes_of<double>(count)); });
    }
  }

  // base_[0] = f(x) by f.prepare, NaN where no answer was written.
  void prepare() {
    ++queries_;
    const span<const T> x(problem_.x, problem_.dimension);
    const auto ask_it = [&] {
      detail::fill_nan(on_.stream(), base_, 8);
      detail::call_objective(
          failures_, [&] { f_.prepare(x, span<double>(base_, 1), on_.stream(), sample()); },
          [&] { detail::fill_nan(on_.stream(), base_, 8); });
    };
    if (on_.team() == nullptr) {
      ask_it();
      return;
    }
    zo::detail::ask_everywhere(on_.team(), options_.step, [&] {
      double value = zo::detail::failed_query;
      ask_it();
      detail::copy_to_host(on_, base_, 8, &value);
      return value;
    });
  }
  // The first `probes` of probed_ and lengths_; `asked`: the coordinates, in host memory, where the
  // objective wants them. Returns the queries made.
  index_t probe(const std::vector<index_t>& asked, index_t probes) {
    index_t made = probes;
    if constexpr (coordinate_objective<F, T>) {
      detail::fill_nan(at_.stream, answers_, probes * 8);
      detail::call_objective(
          failures_,
          [&] {
            const span<const index_t> these(probed_, probes);
            const span<const T> by(lengths_, probes);
            const span<double> answers(answers_, probes);
            const auto call_it = [&] {
              if constexpr (planning_objective<F, T>) {
                return f_.probe(asked, these, by, answers, at_.stream);
              } else {
                return f_.probe(these, by, answers, at_.stream);
              }
            };
            if constexpr (std::integral<decltype(call_it())>) {
              made = static_cast<index_t>(call_it());
              zo::detail::check_probe_queries(made, probes);
            } else {
              call_it();
            }
          },
          [&] { detail::fill_nan(at_.stream, answers_, probes * 8); });
    }
    return made;
  }
  // The same of this process's share, asked from the front of the arrays, which are then put back.
  index_t probe_share(const std::vector<index_t>& all) {
    const auto probes = static_cast<index_t>(all.size());
    std::vector<T> steps(all.size());
    detail::copy_to_host(on_, lengths_, bytes_of<T>(probes), steps.data());
    std::vector<double> differences(all.size());
    const index_t made = zo::detail::probe_all<T>(
        on_.team(), all, steps, differences,
        [&](index_t coordinate) { return zo::detail::probe_cost(f_, coordinate); },
        [&](std::span<const index_t> mine, std::span<const T> by, std::span<double> answers) {
          const auto count = static_cast<index_t>(mine.size());
          detail::copy_to_device(on_, mine.data(), count * 8, probed_);
          detail::copy_to_device(on_, by.data(), bytes_of<T>(count), lengths_);
          const index_t asked = probe({mine.begin(), mine.end()}, count);
          detail::copy_to_host(on_, answers_, count * 8, answers.data());
          return asked;
        });
    detail::copy_to_device(on_, all.data(), probes * 8, probed_);
    detail::copy_to_device(on_, steps.data(), bytes_of<T>(probes), lengths_);
    detail::copy_to_device(on_, differences.data(), probes * 8, answers_);
    return made;
  }

  const policy& on_;
  detail::stream_context at_;
  F& f_;
  workspace& memory_;
  estimate_options options_;
  row_problem<T> problem_;
  failure_policy failures_{};
  index_t queries_ = 0;
  int parts_ = 0;
  index_t slots_ = 1, norms_ = 1, list_bytes_ = 0;
  detail::report* report_ = nullptr;
  double* tally_ = nullptr;
  double* base_ = nullptr;
  double* answers_ = nullptr;
  T* weights_ = nullptr;
  T* listed_ = nullptr;              // directions of a group
  double* factors_ = nullptr;        // of directions
  double* partial_ = nullptr;        // sums of tiles, on the way to norms
  double* partial_parts_ = nullptr;  // sums of slices of lazy losses
  T* candidates_ = nullptr;
  index_t* rows_ = nullptr;    // of candidates
  index_t* probed_ = nullptr;  // coordinates of probes
  T* lengths_ = nullptr;       // steps of probes
};

}  // namespace zo::cuda
