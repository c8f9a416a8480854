// The machine that estimates are made on: it asks questions, and turns their answers into slopes,
// weights and gradients. This is the host's; zo/cuda/machine.hpp has the one of a GPU.
//
// An estimator says what is asked and what becomes of it, once, for every machine
// (zo/estimator.hpp). What it has to work with is the public part here: vector, copy, each for its
// own state, and the operations of slopes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/direction.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/outcome.hpp"
#include "zo/rounding.hpp"
#include "zo/shared.hpp"
#include "zo/slope.hpp"

namespace zo {

/// B independent rows of d coordinates with a gradient and a loss each; an ordinary estimate has
/// one. All arrays are the machine's memory.
template <class T>
struct row_problem {
  const T* x = nullptr;  // rows * dimension
  index_t rows = 1;
  index_t dimension = 0;
  T* gradients = nullptr;    // rows * dimension
  double* losses = nullptr;  // rows, or null
};

namespace detail {

// Every array an estimate needs, kept so that the next one allocates nothing.
template <class T>
struct buffers {
  std::vector<T> candidates;
  std::vector<T> directions;         // raw values of a group, where that is small
  std::vector<index_t> rows;         // of the candidates of a chunk; coordinates of probes
  std::vector<double> base;          // f(x), by row
  std::vector<double> answers;       // of a round
  std::vector<double> factors;       // 1 / norm, by direction and row
  std::vector<double> partial;       // sums, by tile
  std::vector<T> weights;            // by row and direction; steps of probes
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

// Raw values of a group of directions that are kept while it is asked about and combined, instead
// of being generated for each: 1 MiB, which a second-level cache holds. A block that makes many
// values makes them in the time that another memory takes: of signs it is 32 KiB.
template <class L>
inline constexpr index_t kept_bytes = std::min(index_t{1} << 20,
                                               (index_t{1} << 22) / values_per_block<L>);
// From one direction to the next: whole groups of the law are generated, which is faster.
inline index_t kept_stride(index_t dimension) { return (dimension + 63) / 64 * 64; }

// Answers kept at once, a process: what makes the memory independent of the number of directions.
inline constexpr index_t answers_at_once = 4096;

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

template <class T>
class machine {
 public:
  using value_type = T;

  machine(detail::black_box<T>* answers, detail::team* others, workspace<T>& memory)
      : answerer_(answers), others_(others), memory_(memory.buffers()) {}

  // For the state of estimators ------------------------------------------------------------------

  /// `count` numbers of this machine's memory, zeros.
  std::vector<T> vector(index_t count) const {
    return std::vector<T>(static_cast<std::size_t>(count));
  }
  void copy(const T* from, index_t count, T* to) const { std::copy_n(from, count, to); }
  /// body(i) for i = 0 … count-1, in any order and at the same time; host and device code.
  template <class Body>
  void each(index_t count, const Body& body) const {
    detail::parallel_ranges(threads(), count, index_t{1} << 14, [&](index_t i, index_t end) {
      for (; i < end; ++i) body(i);
    });
  }

  // One estimate ---------------------------------------------------------------------------------

  /// A new estimate: nothing asked, nothing failed.
  void begin(const estimate_options& options) {
    options_ = options;
    result_ = {};
    parts_ = 0;
    map_ = nullptr;
    threads_.count = answerer_->threads();
  }
  /// A part of it, which has a point, a place in the run and known values of its own.
  void open(const row_problem<T>& problem, const estimate_options& options,
            const failure_policy& failures);
  const estimate_options& options() const { return options_; }
  const failure_policy& failures() const { return failures_; }
  /// Answers are kept in a log, and taken from it where it knows them.
  void keep(answer_log* log) { answerer_->keep(log); }
  const row_problem<T>& problem() const { return problem_; }
  bool knows_base() const { return !options_.known_values.empty(); }

  /// Whether the objective answers differences of coordinates.
  bool probes() const { return answerer_->probes(); }
  bool answers_points() const { return answerer_->answers_points(); }
  /// Slopes of each row that are found together.
  index_t group_of(index_t slopes, int sides) const {
    const index_t fit =
        detail::answers_at_once * detail::ranks_of(others_) / (problem_.rows * sides);
    return std::clamp(fit, index_t{1}, std::max(index_t{1}, slopes));
  }

  // Questions. Posed by an estimator, asked by whoever runs it ------------------------------------

  /// Candidates of a source, after the rows of x themselves if `with_base`.
  void pose(const point_source<T>& source, index_t candidates, int sides, bool with_base) {
    round_ = {problem_.x,
              problem_.dimension,
              problem_.rows,
              sides,
              with_base ? problem_.rows : 0,
              candidates,
              &source,
              map_};
    kind_ = kind::points;
  }
  /// Candidates that are posed from now on are moved by it; null: they are not.
  void map_points(const detail::point_map<T>* map) { map_ = map; }
  /// f(x) alone: at its rows, or by prepare.
  void pose_base() {
    round_ = {problem_.x, problem_.dimension, problem_.rows, 1, problem_.rows, 0, nullptr};
    kind_ = answers_points() ? kind::points : kind::prepare;
  }
  void pose_prepare() {
    pose_base();
    kind_ = kind::prepare;
  }

  /// Asks what is posed. What the objective throws leaves here.
  void ask();
  const detail::question_round<T>& round() const { return round_; }
  /// The answers to a round of points, for those who answer themselves: infinite where a query
  /// failed, NaN where there is no answer.
  void answer(std::span<const double> answers);
  void count_queries(index_t made) { result_.queries += made; }
  /// Answers are missing because nobody wants them any more: slopes without them are left out.
  void drop_the_rest() { dropped_ = true; }
  bool drops_the_rest() const { return dropped_; }
  /// Takes queries beyond those that the estimator states, if as many are left.
  bool take_spare(index_t queries) { return answerer_->spare.take(queries); }
  /// Of the only row's `slopes`, those that have failed so far.
  index_t missing_slopes(index_t slopes) const { return slopes - memory_.survivors[0]; }
  /// A slope of some row is known already.
  bool has_slopes() const {
    return std::ranges::any_of(memory_.survivors, [](index_t good) { return good > 0; });
  }

  /// Answers to the candidates of the last round, NaN where one failed.
  const double* answers() const { return memory_.answers.data() + round_.base; }
  /// No row's f(x) is known, as far as this machine knows at once.
  bool base_missing() const { return !base_answered(); }
  /// f(x) of some row is known.
  bool base_answered() const {
    return std::ranges::any_of(memory_.base, [](double f) { return !detail::is_nan(f); });
  }
  double base(index_t row) const { return memory_.base[static_cast<std::size_t>(row)]; }
  /// A query failed and the policy is to stop.
  bool stopped() const { return !drops() && result_.failed > failed_before_; }

  // Slopes along directions ----------------------------------------------------------------------

  /// Candidates of directions; number 0 of `from` is the first direction of row 0.
  template <distribution D>
  class directions final : public point_source<T> {
   public:
    directions() = default;
    directions(const row_problem<T>& problem, const stream& from, index_t per_row, int sides,
               double smoothing)
        : problem_(problem), from_(from), per_row_(per_row), sides_(sides), smoothing_(smoothing) {}

    stream number(index_t row, index_t k) const {
      stream at = from_;
      at.number = static_cast<std::uint32_t>(row * per_row_ + k);
      return at;
    }
    void start_at(index_t first, const double* factors, const T* table) {
      first_ = first;
      factors_ = factors;
      table_ = table;
    }
    index_t first() const { return first_; }
    int sides() const { return sides_; }
    double smoothing() const { return smoothing_; }

    void write(index_t j, index_t at, index_t count, T* to) const override {
      const detail::candidate c = detail::candidate_of(j, problem_.rows, sides_);
      const double factor = D::unit_norm ? factors_[c.item * problem_.rows + c.row] : 1.0;
      const auto h = static_cast<T>(detail::side(c.side) * smoothing_ * factor);
      sum(c.row, c.item, 1, &h, at, count, problem_.x + c.row * problem_.dimension + at, to);
    }
    /// out = x + sum over k of weights[k] * raw values of direction item + k of this group.
    void sum(index_t row, index_t item, index_t several, const T* weights, index_t at,
             index_t count, const T* x, T* out) const {
      if (table_ == nullptr) {
        detail::sum_directions<typename D::law>(number(row, first_ + item), several, weights, at,
                                                count, x, out);
        return;
      }
      const index_t rows = problem_.rows, stride = detail::kept_stride(problem_.dimension);
      detail::table_sum(several, weights, table_ + (item * rows + row) * stride + at, rows * stride,
                        count, x, out);
    }
    index_t worth_a_thread() const override { return detail::worth_a_thread<typename D::law>(); }

   private:
    row_problem<T> problem_;
    stream from_;
    index_t per_row_ = 1;
    int sides_ = 1;
    double smoothing_ = 0;
    index_t first_ = 0;
    const double* factors_ = nullptr;  // by direction, then row; unused unless D::unit_norm
    const T* table_ = nullptr;         // raw values, by direction, then row; null: not kept
  };

  template <distribution D>
  directions<D> directions_of(const stream& from, index_t per_row, int sides,
                              double smoothing) const {
    return {problem_, from, per_row, sides, smoothing};
  }
  template <distribution D>
  void reserve(const directions<D>&, index_t /*group*/) const {}

  /// Notes the rows at which a step along a direction is not what it was meant to be; false if
  /// there is nothing left to estimate.
  bool find_faults(const detail::step_check<T>& check);

  /// The next `count` directions of every row.
  template <distribution D>
  void start_at(directions<D>& along, index_t first, index_t count) {
    const T* const table = kept(along, first, count);
    if constexpr (D::unit_norm) find_factors(along, first, count, table != nullptr);
    along.start_at(first, memory_.factors.data(), table);
  }

  /// Weights of `count` directions from their answers: scale * slope / norm, 0 where that fails.
  template <distribution D>
  void weigh(const directions<D>& along, index_t count, bool uses_base, double scale) {
    const index_t rows = problem_.rows;
    memory_.weights.resize(static_cast<std::size_t>(count * rows));
    for (index_t k = 0; k < count; ++k) {
      const double* const answers = this->answers() + k * along.sides() * rows;
      for (index_t b = 0; b < rows; ++b) {
        const auto row = static_cast<std::size_t>(b);
        for (int p = 0; p < along.sides(); ++p) add_to_mean(row, answers[p * rows + b]);
        const double factor =
            D::unit_norm ? memory_.factors[static_cast<std::size_t>(k * rows + b)] : 1.0;
        const double lower = uses_base ? memory_.base[row] : answers[rows + b];
        const double slope =
            memory_.faults[row] == 0
                ? detail::slope_along(answers[b], lower, uses_base, along.smoothing())
                : detail::failed_query;
        bool good = false;
        memory_.weights[static_cast<std::size_t>(b * count + k)] =
            detail::weight_of<T>(scale, slope, factor, good);
        memory_.survivors[row] += good ? 1 : 0;
      }
    }
  }

  /// gradients (+)= the weighted directions. Threads own disjoint tiles, so that the order of
  /// summation depends on nothing.
  template <distribution D>
  void combine(const directions<D>& along, index_t count, bool fresh) {
    const index_t dimension = problem_.dimension;
    detail::parallel_tiles(threads(), problem_.rows, dimension, along.worth_a_thread() / count,
                           [&](index_t b, index_t first, index_t length) {
                             for (index_t at = first; at < first + length; at += detail::tile) {
                               const index_t here = std::min(detail::tile, first + length - at);
                               T* const to = problem_.gradients + b * dimension + at;
                               if (fresh) std::fill_n(to, here, T(0));
                               along.sum(b, 0, count, memory_.weights.data() + b * count, at, here,
                                         to, to);
                               if (!detail::all_finite(here, to))
                                 add_fault(b, detail::beyond_range);
                             }
                           });
  }

  // Slopes along given directions ----------------------------------------------------------------

  /// Candidates along directions of a table (count x dimension), the same for every row.
  class listed_directions final : public point_source<T> {
   public:
    listed_directions() = default;
    listed_directions(const row_problem<T>& problem, const T* table, const double* weights,
                      int sides, double smoothing)
        : problem_(problem),
          table_(table),
          weights_(weights),
          sides_(sides),
          smoothing_(smoothing) {}

    void start_at(index_t first) { first_ = first; }
    int sides() const { return sides_; }
    double smoothing() const { return smoothing_; }
    /// Direction k of this group.
    const T* numbers(index_t k) const { return table_ + (first_ + k) * problem_.dimension; }
    double weight(index_t k) const { return weights_[first_ + k]; }

    void write(index_t j, index_t at, index_t count, T* to) const override {
      const detail::candidate c = detail::candidate_of(j, problem_.rows, sides_);
      const T* const u = numbers(c.item) + at;
      const T* const x = problem_.x + c.row * problem_.dimension + at;
      const auto h = static_cast<T>(detail::side(c.side) * smoothing_);
      detail::table_sum(1, &h, u, 0, count, x, to);
    }
    index_t worth_a_thread() const override { return index_t{1} << 16; }

   private:
    row_problem<T> problem_;
    const T* table_ = nullptr;
    const double* weights_ = nullptr;
    int sides_ = 1;
    double smoothing_ = 0;
    index_t first_ = 0;
  };

  /// `table` and `weights` must live as long as what is returned.
  listed_directions listed(const T* table, const double* weights, int sides,
                           double smoothing) const {
    return {problem_, table, weights, sides, smoothing};
  }
  void weigh(const listed_directions& along, index_t count, bool uses_base);
  /// gradients += the weighted directions.
  void combine(const listed_directions& along, index_t count);

  // Slopes along coordinates ---------------------------------------------------------------------

  /// Candidates that differ from x in one coordinate. With one row a buffer stays a copy of x in
  /// which a single coordinate is moved and put back.
  class coordinates final : public point_source<T> {
   public:
    coordinates() = default;
    coordinates(const row_problem<T>& problem, const detail::chosen_coordinates& chosen, int sides,
                double smoothing, bool relative)
        : problem_(problem),
          chosen_(&chosen),
          sides_(sides),
          smoothing_(smoothing),
          relative_(relative) {}

    void start_at(index_t first) { first_ = first; }
    int sides() const { return sides_; }
    /// Coordinate k of this group.
    index_t coordinate(index_t k) const { return (*chosen_)[first_ + k]; }
    T moved(index_t row, index_t i, int side) const {
      return detail::step_from(problem_.x[row * problem_.dimension + i], detail::side(side),
                               smoothing_, relative_);
    }

    bool moves_a_copy() const override { return problem_.rows == 1; }
    void write(index_t j, index_t at, index_t count, T* to) const override {
      const detail::candidate c = detail::candidate_of(j, problem_.rows, sides_);
      if (problem_.rows > 1) std::copy_n(problem_.x + c.row * problem_.dimension + at, count, to);
      const index_t i = coordinate(c.item);
      if (i >= at && i < at + count) to[i - at] = moved(c.row, i, c.side);
    }
    void restore(index_t j, T* buffer) const override {
      if (problem_.rows > 1) return;
      const index_t i = coordinate(detail::candidate_of(j, 1, sides_).item);
      buffer[i] = problem_.x[i];
    }
    index_t worth_a_thread() const override { return index_t{1} << 16; }

   private:
    row_problem<T> problem_;
    const detail::chosen_coordinates* chosen_ = nullptr;
    index_t first_ = 0;
    int sides_ = 1;
    double smoothing_ = 0;
    bool relative_ = false;
  };

  /// `chosen` must live as long as what is returned.
  coordinates coordinates_of(const detail::chosen_coordinates& chosen, int sides, double smoothing,
                             bool relative) const {
    return {problem_, chosen, sides, smoothing, relative};
  }
  void reserve(const coordinates&, index_t /*group*/, bool /*probes*/) const {}
  /// Coordinates are drawn anew at each step, on the host.
  void check_draws() const {}

  void clear_gradients() {
    std::fill_n(problem_.gradients, problem_.rows * problem_.dimension, T(0));
  }

  /// Gradients of `count` coordinates from their answers; a coordinate whose slope fails stays 0.
  void write_slopes(const coordinates& along, index_t count, bool uses_base, double scale);

  /// Coordinates and steps of `count` coordinates: all upper sides, then (central) all lower ones.
  void pose_probes(const coordinates& along, index_t count);
  /// Gradients from the differences that were answered.
  void write_rises(const coordinates& along, index_t count, double scale);

  // The end --------------------------------------------------------------------------------------

  /// Ends a part of `slopes` slopes a row. `complete`: all its questions were asked. Losses are
  /// f(x) or the means of the answers; gradients are means over the slopes that are left
  /// (`rescale`), or zeros.
  void close(index_t slopes, bool uses_base, bool rescale, bool complete);
  /// The same of a part whose gradient its estimator has written itself.
  void close(double value, flaw why) {
    if (why != flaw::none && result_.ok) {
      result_.ok = false;
      result_.why = why;
    }
    if (!result_.ok) clear_gradients();
    if (parts_++ == 0) result_.value = value;
  }
  /// Whether a part of the estimate that has ended makes none.
  bool failed_so_far() const { return !result_.ok; }
  /// Zeroes what must not be used: the gradient of an estimate of several parts of which one
  /// failed.
  void zero_if_failed(T* gradient, index_t count) const {
    if (!result_.ok) std::fill_n(gradient, count, T(0));
  }
  const estimate_result& result() const { return result_; }

  // For runs -------------------------------------------------------------------------------------

  /// f(x) that was posed alone, NaN where it failed, and its price.
  std::pair<double, estimate_result> value_result() const { return {base(0), result_}; }
  /// Whether all steps left finite numbers; those of this machine say so at once.
  static bool finite() { return true; }
  std::uint64_t print(const T* x, index_t count) const;
  /// x, where the host can read it.
  std::span<const T> readable(const T* x, index_t count) const {
    return {x, static_cast<std::size_t>(count)};
  }
  detail::team* others() const { return others_; }

 private:
  enum class kind { points, prepare, probes };

  const detail::thread_count& threads() const { return threads_; }
  bool drops() const { return detail::goes_on(failures_) || dropped_; }

  void ask_points();

  void take_answers();
  void take_base();

  void ask_prepare();

  void ask_probes();

  void note_failure(index_t question, double answer);
  void note_failed_probe(std::size_t k);
  void describe_failure(query_failure& failure, index_t question, double answer) const;

  void add_fault(index_t row, unsigned fault) {
    if (fault == 0) return;
    std::atomic_ref(memory_.faults[static_cast<std::size_t>(row)])
        .fetch_or(fault, std::memory_order_relaxed);
  }

  void add_to_mean(std::size_t row, double answer) {
    if (detail::is_nan(answer)) return;
    memory_.sums[row] = detail::rounded(memory_.sums[row] + answer);
    memory_.small_sums[row] = detail::rounded(memory_.small_sums[row] + answer * detail::small);
    memory_.counts[row] += 1;
  }

  void write_slope(index_t row, index_t coordinate, double scale, double slope) {
    bool good = false;
    const T value = detail::gradient_of<T>(scale, slope, good);
    if (!good) return;
    problem_.gradients[row * problem_.dimension + coordinate] = value;
    memory_.survivors[static_cast<std::size_t>(row)] += 1;
  }

  // The mean over the directions that are left (`rescale`); zeros where it is no number.
  void end_row(index_t b, index_t slopes, bool rescale);

  // Raw values of whole groups of coordinates, by direction, then row, and the squares of their
  // tiles where a norm is wanted; null where they are too many.
  template <distribution D>
  const T* kept(const directions<D>& along, index_t first, index_t count) {
    using L = typename D::law;
    const index_t rows = problem_.rows, dimension = problem_.dimension;
    const index_t stride = detail::kept_stride(dimension), tiles = tiles_of(dimension);
    const index_t zeros = std::min(stride, detail::tile);
    const index_t values = zeros + count * rows * stride;
    if (values > detail::kept_bytes<L> / static_cast<index_t>(sizeof(T))) return nullptr;
    memory_.directions.resize(static_cast<std::size_t>(values));
    if (D::unit_norm) memory_.partial.resize(static_cast<std::size_t>(count * rows * tiles));
    const T* const from = memory_.directions.data();
    T* const table = std::fill_n(memory_.directions.data(), zeros, -T(0));  // leaves -0 as it is
    detail::parallel_tiles(
        threads(), count * rows, stride, detail::worth_a_thread<L>(),
        [&](index_t item, index_t at, index_t length) {
          const detail::candidate u = detail::candidate_of(item, rows, 1);
          const stream number = along.number(u.row, first + u.item);
          T* const to = table + item * stride;
          for (const index_t end = at + length; at < end; at += detail::tile) {
            const index_t here = std::min(detail::tile, end - at);
            detail::perturb<L>(number, at, here, from, T(1), to + at);
            if constexpr (D::unit_norm) {
              memory_.partial[static_cast<std::size_t>(item * tiles + at / detail::tile)] =
                  detail::table_squares(to + at, std::min(here, dimension - at));
            }
          }
        });
    return table;
  }
  static index_t tiles_of(index_t dimension) {
    return (dimension + detail::tile - 1) / detail::tile;
  }

  template <distribution D>
  void find_factors(const directions<D>& along, index_t first, index_t count, bool keeps) {
    using L = typename D::law;
    const index_t rows = problem_.rows, dimension = problem_.dimension, norms = count * rows;
    memory_.factors.resize(static_cast<std::size_t>(norms));
    double* const factors = memory_.factors.data();
    const auto direction = [&](index_t item) {
      return along.number(item % rows, first + item / rows);
    };
    if (keeps) {
      const auto tiles = static_cast<std::size_t>(tiles_of(dimension));
      for (index_t item = 0; item < norms; ++item) {
        factors[item] = detail::inverse_root_of_sum(
            {memory_.partial.data() + static_cast<std::size_t>(item) * tiles, tiles});
      }
      return;
    }
    if (norms < threads().threads()) {
      for (index_t item = 0; item < norms; ++item) {
        factors[item] =
            detail::inverse_norm<L>(threads(), direction(item), dimension, memory_.partial);
      }
      return;
    }
    detail::parallel_ranges(threads(), norms, detail::worth_a_thread<L>() / dimension,
                            [&](index_t item, index_t end) {
                              for (; item < end; ++item) {
                                factors[item] = detail::raw_factor<D>(direction(item), dimension);
                              }
                            });
  }

  detail::black_box<T>* answerer_;
  detail::team* others_;
  detail::buffers<T>& memory_;
  detail::thread_count threads_;
  estimate_options options_;
  row_problem<T> problem_;
  failure_policy failures_{};
  bool dropped_ = false;
  kind kind_ = kind::points;
  detail::question_round<T> round_;
  const detail::point_map<T>* map_ = nullptr;
  estimate_result result_;
  index_t failed_before_ = 0;  // in earlier parts of the estimate
  index_t missing_ = 0;        // answers nobody waited for
  int parts_ = 0;
};

// Compiled in src/machine.cpp.
extern template class machine<float>;
extern template class machine<double>;

}  // namespace zo
