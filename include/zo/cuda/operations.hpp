// The compiled kernels as host functions (cuda/*.cu). All pointers are device memory unless said;
// everything is enqueued on the stream of the context and waits for nothing; failures throw
// zo::cuda::error. The numbers are the bits of the CPU's.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "zo/bfloat16.hpp"
#include "zo/config.hpp"
#include "zo/cuda/device_code.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/difference.hpp"
#include "zo/law.hpp"
#include "zo/random.hpp"
#include "zo/rounding.hpp"

namespace zo::cuda::detail {

// The type in which sums over parameters stored as T are formed.
template <class T>
using working = std::conditional_t<std::same_as<T, bfloat16>, float, T>;

/// Where kernels run, and what is added to the step of directions when they do.
struct stream_context {
  cudaStream_t stream = nullptr;
  const std::uint64_t* step_counter = nullptr;

  stream_context(const policy& on)  // NOLINT: a policy is one
      : stream(on.stream()), step_counter(on.options().step_counter) {}
};

/// Directions of rows: direction k of row b has the number from.number + b * per_row + k.
struct row_directions {
  stream from{};
  index_t per_row = 0;
  index_t rows = 1;
  const double* factors = nullptr;  ///< of direction k of row b: [k * rows + b]; null: all 1
};

// What is done with directions of some law, by enqueue<L>(at, work):

/// out[j - first] = candidate j (zo::detail::candidate_of) for j = first … first+count-1, of
/// `dimension` coordinates each: x of its row plus or minus step times the direction.
template <class T>
struct candidates {
  row_directions directions;
  int sides;
  double step;
  const T* x;
  index_t dimension;
  index_t first;
  index_t count;
  T* out;
};

/// g (+)= sum over k < count of weights[b * count + k] * raw values of direction k of row b, for
/// every row b; `fresh` starts from zero. x is read once and g written once whatever `count` is.
template <class T>
struct weighted_sums {
  row_directions directions;
  index_t count;
  const T* weights;
  index_t dimension;
  bool fresh;
  T* g;
};

/// zo::cuda::perturb and zo::cuda::accumulate, without checks.
template <class T>
struct perturbed {
  stream from;
  working<T> h;
  index_t dimension;
  const T* x;
  T* out;
};
template <class T>
struct accumulated {
  stream from;
  index_t count;
  const working<T>* weights;
  index_t dimension;
  T* x;
};

/// out[k * tiles(dimension) + t] = sum of squares of tile t of direction first + k, for k < count,
/// which is at most most_norms; the rows of a direction lie innermost.
struct tile_squares {
  row_directions directions;
  index_t first;
  index_t count;
  index_t dimension;
  double* out;
};
inline constexpr index_t most_norms = 65535;

/// For the laws of compiled_laws, in the library.
template <class Work>
void enqueue_compiled(int law, const stream_context& at, const Work& work);

template <direction_law L, class Work>
void enqueue(const stream_context& at, const Work& work) {
  if constexpr (zo::detail::is_compiled<L>) {
    enqueue_compiled(zo::detail::law_number<L>, at, work);
  } else {
#if ZO_DEVICE_CODE
    launch<L>(at, work);  // zo/cuda/law_kernels.hpp
#else
    static_assert(zo::detail::is_compiled<L>,
                  "zo::cuda: a law of your own runs on the GPU as device code: compile this file "
                  "with nvcc (name it *.cu)");
#endif
  }
}

constexpr index_t tiles(index_t dimension) {
  return (dimension + zo::detail::tile - 1) / zo::detail::tile;
}

/// factors[k] = 1 / root of the sum of tile_sums[k * tile_count …], added in order, for k < count.
void invert_norms(const stream_context& at, index_t count, index_t tile_count,
                  const double* tile_sums, double* factors);

/// factors[k * rows + b] = 1 / norm of the raw values of direction k of row b, for k < count.
/// `at_once` of them are found together, at most most_norms; `partial` holds at_once *
/// tiles(dimension) numbers.
template <direction_law L>
void inverse_norms(const stream_context& at, const row_directions& directions, index_t count,
                   index_t dimension, index_t at_once, double* partial, double* factors) {
  const index_t all = count * directions.rows;
  for (index_t first = 0; first < all; first += at_once) {
    const index_t here = std::min(at_once, all - first);
    enqueue<L>(at, tile_squares{directions, first, here, dimension, partial});
    invert_norms(at, here, tiles(dimension), partial, factors + first);
  }
}

/// Slopes of each row that are found together: what makes the memory independent of their number.
constexpr index_t group_of(index_t rows, index_t slopes, int sides) {
  constexpr index_t answers_at_once = index_t{1} << 16;
  const index_t fit = answers_at_once / (rows * sides);
  return fit < 1 ? 1 : fit < slopes ? fit : slopes;
}

/// What is known of each row, and of all rows.
struct tally {
  double* sums;                   // of the answers, by row
  double* small_sums;             // of them / 2^64
  double* counts;                 // of them
  unsigned long long* survivors;  // slopes that could be used, by row
  unsigned long long* lost;       // rows with a step that is lost in rounding: not 0
  unsigned long long* beyond;     // rows with a number that is not finite: not 0
  unsigned long long* failed;     // queries, one number

  static index_t numbers(index_t rows) { return 6 * rows + 1; }  // of 8 bytes, to be zeroed
  tally(double* memory, index_t rows)
      : sums(memory),
        small_sums(memory + rows),
        counts(memory + 2 * rows),
        survivors(reinterpret_cast<unsigned long long*>(memory + 3 * rows)),
        lost(survivors + rows),
        beyond(lost + rows),
        failed(beyond + rows) {}

  ZO_HD unsigned faults(index_t row) const {
    return (lost[row] != 0 ? zo::detail::step_is_lost : 0U) |
           (beyond[row] != 0 ? zo::detail::beyond_range : 0U);
  }
};

/// Notes the rows of x at which a step along a direction is not what it was meant to be.
template <class T>
void find_faults(const stream_context& at, index_t rows, index_t dimension,
                 const zo::detail::step_check<T>& check, const T* x, const tally& known);

/// *found = 1 where a number is not finite.
template <class T>
void find_infinite(const stream_context& at, index_t count, const T* values,
                   unsigned long long* found);

/// Counts the values that are not finite as failed queries.
void count_failed(const stream_context& at, index_t count, const double* values,
                  const tally& known);
/// The same, and their answer is `penalty`.
void penalise(const stream_context& at, index_t count, double* values, double penalty,
              const tally& known);

/// Adds the finite ones of answers[j * rows + b], j ascending, to the sum of row b.
void add_answers(const stream_context& at, index_t rows, index_t each, const double* answers,
                 const tally& known);

/// What the slopes of directions are multiplied by.
struct slope_scale {
  double of_all = 1;
  const double* of_each = nullptr;  // of direction k, in the place of that of all
};

/// weights[b * count + k] from the answers of `count` directions a row (zo::detail::weight_of).
template <class T>
void find_weights(const stream_context& at, index_t rows, index_t count, int sides,
                  const double* answers, const double* base, const double* factors,
                  const slope_scale& scale, double step, T* weights, const tally& known);

/// How an estimate ends: what a row needs to count, and what becomes of the loss.
struct ending {
  index_t rows = 1;
  index_t asked = 0;      // slopes of a row
  bool drop = false;      // on_failure::drop
  bool uses_base = true;  // f(x) is in every slope, and the loss; else that is the answers' mean
  bool rescale = false;   // mean over the slopes that are left
  bool first = true;      // part of the estimate; a later one adds to the report
  const unsigned long long* infinite = nullptr;  // not 0: x is not finite, see workspace::watch
};

/// Notes the rows whose gradient, as mend() will leave it, is not finite.
template <class T>
void check_gradients(const stream_context& at, const ending& how, const tally& known,
                     index_t dimension, const T* gradients);

/// Writes the report, and losses (null or by row).
void close(const stream_context& at, const ending& how, const tally& known, const double* base,
           report* out, double* losses);

/// Zeroes gradients that must not be used; rescales rows that lost directions.
template <class T>
void mend(const stream_context& at, const ending& how, const tally& known, const report* from,
          index_t dimension, T* gradients);

/// Zeroes a gradient of several parts of which one failed.
template <class T>
void zero_if_failed(const stream_context& at, const report* from, index_t count, T* gradient);

/// Steps along directions that all rows share, of which number k is at table + k * dimension.
template <class T>
struct listed_steps {
  const T* x = nullptr;  // rows * dimension
  index_t rows = 1;
  index_t dimension = 0;
  const T* table = nullptr;
  double smoothing = 0;
  int sides = 1;

  ZO_HD const T* direction(index_t k) const { return table + k * dimension; }
  ZO_HD T step(int side) const { return static_cast<T>(zo::detail::side(side) * smoothing); }
};

/// Candidates first … first+count-1 of them.
template <class T>
void write_listed(const stream_context& at, const listed_steps<T>& steps, index_t first,
                  index_t count, T* slots);

/// gradients += the directions, weighted by weights[b * count + k], and notes for `known` where
/// that is not finite.
template <class T>
void add_listed(const stream_context& at, const listed_steps<T>& steps, index_t count,
                const T* weights, T* gradients, const tally& known);

/// Coordinates first … of an estimate.
template <class T>
struct coordinate_steps {
  const T* x = nullptr;  // rows * dimension
  index_t rows = 1;
  index_t dimension = 0;
  const index_t* list = nullptr;  // null: all coordinates
  index_t first = 0;
  double smoothing = 0;
  bool relative = false;
  int sides = 1;
};

/// Fills `count` slots of one row with copies of x; then moves, and puts back, the one coordinate
/// by which candidate first + k differs.
template <class T>
void begin_slots(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                 T* slots);
template <class T>
void move_coordinates(const stream_context& at, const coordinate_steps<T>& steps, index_t first,
                      index_t count, bool back, T* slots);
/// Whole candidates of several rows.
template <class T>
void write_moved(const stream_context& at, const coordinate_steps<T>& steps, index_t first,
                 index_t count, T* slots);

/// gradient_of each coordinate from its answers, into `gradients`.
template <class T>
void write_slopes(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                  const double* answers, const double* base, double scale, T* gradients,
                  const tally& known);

/// Coordinates and steps of probes: all upper sides, then (central) all lower ones.
template <class T>
void write_probes(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                  index_t* coordinates, T* lengths);
/// gradient_of each coordinate from its differences.
template <class T>
void write_rises(const stream_context& at, index_t count, int sides, const index_t* coordinates,
                 const T* lengths, const double* differences, double scale, T* gradient,
                 const tally& known);

/// out[k] = (first + k) % rows.
void write_rows(const stream_context& at, index_t first, index_t count, index_t rows, index_t* out);

/// Answers of a vector map to `count` candidates, those of row b of x at y + b * outputs, and its
/// cotangent at v + b * per_row.
template <class T>
struct vector_answers {
  index_t count;
  index_t outputs;
  const index_t* rows;  // of the candidates
  const T* answers;
  const T* v;
  index_t per_row;
  const T* y;
};
/// worth[k] = <v, answer - y>, by lanes and tiles as zo::detail::pairing adds it.
template <class T>
void pair_answers(const stream_context& at, const vector_answers<T>& work, double* worth);

/// Makes all of a row of y NaN where one number is not finite.
template <class T>
void spoil_failed(const stream_context& at, index_t rows, index_t outputs, T* y);
/// Rows of y that are NaN count `each` failed queries less in the report, and one more if `asked`.
template <class T>
void count_rows(const stream_context& at, index_t rows, index_t outputs, index_t each, bool asked,
                const T* y, report* out);

/// What is known of a Jacobian: numbers to be zeroed.
struct column_tally {
  unsigned long long failed;  // queries
  unsigned long long good;    // not 0: a column, or a color, did not fail
  unsigned long long beyond;  // not 0: an entry is not finite
};
/// Answers to `count` groups of columns from steps.first on, one row of x: single coordinates, or
/// the columns of a color.
template <class T>
struct column_answers {
  coordinate_steps<T> steps;
  index_t count;
  index_t outputs;
  const T* answers;
  const T* y;
  double scale;
  column_tally* known;
};
/// A sparsity by rows and the color of each column.
struct colored_columns {
  index_t rows;
  const index_t* starts;
  const index_t* indices;
  const std::int32_t* color;
};

/// out[k] = x with all columns of a color moved, for candidates first … first+count-1.
template <class T>
void write_colors(const stream_context& at, const coordinate_steps<T>& steps,
                  const std::int32_t* color, index_t first, index_t count, T* out);
/// Entries of the columns that were asked, 0 where the query failed, and notes for column_tally;
/// answers of failed queries are NaN throughout, see spoil_failed. Dense and row-major, or one a
/// nonzero.
template <class T>
void write_columns(const stream_context& at, const column_answers<T>& from, T* values);
template <class T>
void write_entries(const stream_context& at, const column_answers<T>& from,
                   const colored_columns& colors, T* values);

/// out = x + mu u, as zo::jvp rounds it; and the product, from one answer.
template <class T>
void move_along(const stream_context& at, index_t dimension, const T* x, T mu, const T* u, T* out);
template <class T>
void write_product(const stream_context& at, const column_answers<T>& from, T mu, T* product);

/// The report, and zeros in the place of values where it says that there are none. `asked`: F(x).
template <class T>
void close_columns(const stream_context& at, const column_tally* known, bool asked, bool drop,
                   const T* y, report* out, index_t count, T* values);

/// Copies host numbers through kernel arguments: never waits, whatever memory they are in, and a
/// captured graph holds them itself. For index_t, float and double.
template <class N>
void upload(const stream_context& at, const N* host, index_t count, N* out);

/// What the element at a place of the list of rules (zo/rule/list.hpp) does to each of `count`
/// coordinates. *infinite = 1 (unless null) where that left a number that is not finite.
void walk_compiled(const stream_context& at, int place_in_list, const void* element, index_t count,
                   const void* gradient, unsigned long long* infinite);

}  // namespace zo::cuda::detail
