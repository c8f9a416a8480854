// The compiled kernels as host functions (cuda/*.cu). All pointers are device memory unless said;
// everything is enqueued on the place's stream and waits for nothing; failures throw
// zo::cuda::error. The numbers are the bits of the CPU's.
#pragma once

#include <cstdint>

#include "zo/bfloat16.hpp"
#include "zo/config.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/direction.hpp"
#include "zo/random.hpp"
#include "zo/rounding.hpp"

namespace zo::cuda::detail {

using zo::detail::law;

// The type in which sums over parameters stored as T are formed.
template <class T>
struct working_type_of {
  using type = T;
};
template <>
struct working_type_of<bfloat16> {
  using type = float;
};

/// Where kernels run, and what is added to the step of directions when they do.
struct place {
  cudaStream_t stream = nullptr;
  const std::uint64_t* step_counter = nullptr;

  place(const policy& on)  // NOLINT: a policy is a place
      : stream(on.stream()), step_counter(on.options().step_counter) {}
};

/// Directions of rows: direction k of row b has the number from.number + b * per_row + k.
struct row_directions {
  law kind = law::gaussian;
  stream from{};
  index_t per_row = 0;
  index_t rows = 1;
  const double* factors = nullptr;  ///< of direction k of row b: [k * rows + b]; null: all 1
};

/// out[j - first] = candidate j for j = first … first+count-1, of `dimension` coordinates each, the
/// directions outermost, then sides, then rows: x of its row plus or minus step times the
/// direction.
template <class T>
void write_candidates(const place& at, const row_directions& directions, int sides, double step,
                      const T* x, index_t dimension, index_t first, index_t count, T* out);

/// g (+)= sum over k < count of weights[b * count + k] * raw values of direction k of row b, for
/// every row b; `fresh` starts from zero. x is read once and g written once whatever `count` is.
template <class T>
void combine(const place& at, const row_directions& directions, index_t count, const T* weights,
             index_t dimension, bool fresh, T* g);

/// zo::cuda::perturb and zo::cuda::accumulate, without checks.
template <class T>
void perturb(const place& at, law kind, const stream& from, index_t dimension, const T* x,
             typename working_type_of<T>::type h, T* out);
template <class T>
void accumulate(const place& at, law kind, const stream& from, index_t count,
                const typename working_type_of<T>::type* weights, index_t dimension, T* x);

/// factors[k * rows + b] = 1 / norm of the raw values of direction k of row b, for k < count.
/// `at_once` of them are found together, at most most_norms; `partial` holds at_once *
/// tiles(dimension) numbers.
void inverse_norms(const place& at, const row_directions& directions, index_t count,
                   index_t dimension, index_t at_once, double* partial, double* factors);
inline constexpr index_t most_norms = 65535;

constexpr index_t tiles(index_t dimension) {
  return (dimension + zo::detail::tile - 1) / zo::detail::tile;
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
void find_faults(const place& at, index_t rows, index_t dimension,
                 const zo::detail::step_check<T>& check, const T* x, const tally& known);

/// *found = 1 where a number is not finite.
template <class T>
void find_infinite(const place& at, index_t count, const T* values, unsigned long long* found);

/// Counts the values that are not finite as failed queries.
void count_failed(const place& at, index_t count, const double* values, const tally& known);

/// Adds the finite ones of answers[j * rows + b], j ascending, to the sum of row b.
void add_answers(const place& at, index_t rows, index_t each, const double* answers,
                 const tally& known);

/// weights[b * count + k] from the answers of `count` directions a row (zo::detail::weight_of).
template <class T>
void find_weights(const place& at, index_t rows, index_t count, int sides, const double* answers,
                  const double* base, const double* factors, double scale, double step, T* weights,
                  const tally& known);

/// How an estimate ends: what a row needs to count, and what becomes of the loss.
struct ending {
  index_t rows = 1;
  index_t asked = 0;       // slopes of a row
  bool drop = false;       // on_failure::drop
  bool uses_base = true;   // f(x) was asked: base[b] is the loss, else the mean of the answers
  bool needs_base = true;  // without any f(x) there is no estimate
  bool rescale = false;    // mean over the slopes that are left
  const unsigned long long* infinite = nullptr;  // not 0: x is not finite, see workspace::watch
};

/// Notes the rows whose gradient, as mend() will leave it, is not finite.
template <class T>
void check_gradients(const place& at, const ending& how, const tally& known, index_t dimension,
                     const T* gradients);

/// Writes the report, and losses (null or by row).
void close(const place& at, const ending& how, const tally& known, const double* base, report* out,
           double* losses);

/// Zeroes gradients that must not be used; rescales rows that lost directions.
template <class T>
void mend(const place& at, const ending& how, const tally& known, const report* from,
          index_t dimension, T* gradients);

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
void begin_slots(const place& at, const coordinate_steps<T>& steps, index_t count, T* slots);
template <class T>
void move_coordinates(const place& at, const coordinate_steps<T>& steps, index_t first,
                      index_t count, bool back, T* slots);
/// Whole candidates of several rows.
template <class T>
void write_moved(const place& at, const coordinate_steps<T>& steps, index_t first, index_t count,
                 T* slots);

/// gradient_of each coordinate from its answers, into `gradients`.
template <class T>
void write_slopes(const place& at, const coordinate_steps<T>& steps, index_t count,
                  const double* answers, const double* base, double scale, T* gradients,
                  const tally& known);

/// Coordinates and steps of probes: all upper sides, then (central) all lower ones.
template <class T>
void write_probes(const place& at, const coordinate_steps<T>& steps, index_t count,
                  index_t* coordinates, T* lengths);
/// gradient_of each coordinate from its differences.
template <class T>
void write_rises(const place& at, index_t count, int sides, const index_t* coordinates,
                 const T* lengths, const double* differences, double scale, T* gradient,
                 const tally& known);

/// out[k] = (first + k) % rows.
void write_rows(const place& at, index_t first, index_t count, index_t rows, index_t* out);

/// Copies host numbers through kernel arguments: never waits, whatever memory they are in, and a
/// captured graph holds them itself.
void upload(const place& at, const index_t* host, index_t count, index_t* out);

/// What the element at a place of the list of rules (zo/rule/list.hpp) does to each of `count`
/// coordinates. *infinite = 1 (unless null) where that left a number that is not finite.
void walk_compiled(const place& at, int place_in_list, const void* element, index_t count,
                   const void* gradient, unsigned long long* infinite);

}  // namespace zo::cuda::detail
