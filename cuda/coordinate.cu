// Coordinate-wise estimates on the device: candidates that differ from x in one coordinate.
#include "zo/candidate.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/difference.hpp"
#include "zo/slope.hpp"

namespace zo::cuda::detail {

namespace {

using zo::detail::gradient_of;
using zo::detail::quotient;
using zo::detail::side;
using zo::detail::step_from;

// Candidate j of the coordinates that `steps` starts at.
template <class T>
struct moved_candidate {
  const coordinate_steps<T>& steps;
  zo::detail::candidate at;

  __device__ moved_candidate(const coordinate_steps<T>& all, index_t j)
      : steps(all), at(zo::detail::candidate_of(j, all.rows, all.sides)) {}
  __device__ index_t coordinate() const {
    const index_t k = steps.first + at.item;
    return steps.list == nullptr ? k : steps.list[k];
  }
  __device__ const T* row() const { return steps.x + at.row * steps.dimension; }
  __device__ T x() const { return row()[coordinate()]; }
  __device__ T moved() const {
    return step_from(x(), side(at.side), steps.smoothing, steps.relative);
  }
};

template <class T>
struct slot_piece {
  coordinate_steps<T> steps;
  T* slots;
  __device__ void operator()(index_t slot, index_t i) const {
    slots[slot * steps.dimension + i] = steps.x[i];
  }
};

template <class T>
struct move_piece {
  coordinate_steps<T> steps;
  index_t first;
  bool back;
  T* slots;
  __device__ void operator()(index_t k) const {
    const moved_candidate<T> one(steps, first + k);
    slots[k * steps.dimension + one.coordinate()] = back ? one.x() : one.moved();
  }
};

template <class T>
struct moved_piece {
  coordinate_steps<T> steps;
  index_t first;
  T* slots;
  __device__ void operator()(index_t k, index_t i) const {
    const moved_candidate<T> one(steps, first + k);
    slots[k * steps.dimension + i] = i == one.coordinate() ? one.moved() : one.row()[i];
  }
};

// Counts failed answers, `stride` apart, and keeps the slope if it is a number.
template <class T>
__device__ void keep_slope(const double* answers, int sides, index_t stride, double scale,
                           double slope, T* gradient, unsigned long long* survivors,
                           const tally& known) {
  for (int side = 0; side < sides; ++side) {
    if (!__builtin_isfinite(answers[side * stride])) atomicAdd(known.failed, 1ULL);
  }
  bool good = false;
  const T value = gradient_of<T>(scale, slope, good);
  if (!good) return;  // the coordinate stays at zero
  *gradient = value;
  atomicAdd(survivors, 1ULL);
}

template <class T>
struct slope_piece {
  coordinate_steps<T> steps;
  const double* answers;
  const double* base;
  double scale;
  T* gradients;
  tally known;

  __device__ void operator()(index_t item) const {
    // The upper candidate of its row and coordinate: slopes are candidates of a single side.
    const auto [k, none, row] = zo::detail::candidate_of(item, steps.rows, 1);
    const index_t j = k * steps.sides * steps.rows + row;
    const moved_candidate<T> upper(steps, j), lower(steps, j + steps.rows);
    const bool single = steps.sides == 1;
    const double lower_answer = single ? base[row] : answers[j + steps.rows];
    const T lower_x = single ? upper.x() : lower.moved();
    const double slope = quotient(answers[j], lower_answer, static_cast<double>(upper.moved()),
                                  static_cast<double>(lower_x));
    keep_slope(answers + j, steps.sides, steps.rows, scale, slope,
               gradients + row * steps.dimension + upper.coordinate(), known.survivors + row,
               known);
  }
};

template <class T>
struct probe_piece {
  coordinate_steps<T> steps;
  index_t count;
  index_t* coordinates;
  T* lengths;
  __device__ void operator()(index_t j) const {
    const index_t k = steps.first + j % count;
    const index_t i = steps.list == nullptr ? k : steps.list[k];
    const double side_of_j = side(static_cast<int>(j / count));
    coordinates[j] = i;
    lengths[j] = step_from(steps.x[i], side_of_j, steps.smoothing, steps.relative) - steps.x[i];
  }
};

template <class T>
struct rise_piece {
  index_t count;
  int sides;
  const index_t* coordinates;
  const T* lengths;
  const double* differences;
  double scale;
  T* gradient;
  tally known;

  __device__ void operator()(index_t k) const {
    double lower = 0, lower_length = 0;
    if (sides == 2) {
      lower = differences[count + k];
      lower_length = static_cast<double>(lengths[count + k]);
    }
    const double slope =
        quotient(differences[k], lower, static_cast<double>(lengths[k]), lower_length);
    keep_slope(differences + k, sides, count, scale, slope, gradient + coordinates[k],
               known.survivors, known);
  }
};

}  // namespace

template <class T>
void begin_slots(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                 T* slots) {
  for_rows(at.stream, count, steps.dimension, slot_piece<T>{steps, slots},
           "launching the kernel that copies x");
}

template <class T>
void move_coordinates(const stream_context& at, const coordinate_steps<T>& steps, index_t first,
                      index_t count, bool back, T* slots) {
  for_items(at.stream, count, move_piece<T>{steps, first, back, slots},
            "launching the kernel that moves coordinates");
}

template <class T>
void write_moved(const stream_context& at, const coordinate_steps<T>& steps, index_t first,
                 index_t count, T* slots) {
  for_rows(at.stream, count, steps.dimension, moved_piece<T>{steps, first, slots},
           "launching the kernel of candidates");
}

template <class T>
void write_slopes(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                  const double* answers, const double* base, double scale, T* gradients,
                  const tally& known) {
  for_items(at.stream, count * steps.rows,
            slope_piece<T>{steps, answers, base, scale, gradients, known},
            "launching the kernel of slopes");
}

template <class T>
void write_probes(const stream_context& at, const coordinate_steps<T>& steps, index_t count,
                  index_t* coordinates, T* lengths) {
  for_items(at.stream, count * steps.sides, probe_piece<T>{steps, count, coordinates, lengths},
            "launching the kernel of probes");
}

template <class T>
void write_rises(const stream_context& at, index_t count, int sides, const index_t* coordinates,
                 const T* lengths, const double* differences, double scale, T* gradient,
                 const tally& known) {
  for_items(at.stream, count,
            rise_piece<T>{count, sides, coordinates, lengths, differences, scale, gradient, known},
            "launching the kernel of slopes");
}

#define ZO_INSTANTIATE(T)                                                                          \
  template void begin_slots(const stream_context&, const coordinate_steps<T>&, index_t, T*);       \
  template void move_coordinates(const stream_context&, const coordinate_steps<T>&, index_t,       \
                                 index_t, bool, T*);                                               \
  template void write_moved(const stream_context&, const coordinate_steps<T>&, index_t, index_t,   \
                            T*);                                                                   \
  template void write_slopes(const stream_context&, const coordinate_steps<T>&, index_t,           \
                             const double*, const double*, double, T*, const tally&);              \
  template void write_probes(const stream_context&, const coordinate_steps<T>&, index_t, index_t*, \
                             T*);                                                                  \
  template void write_rises(const stream_context&, index_t, int, const index_t*, const T*,         \
                            const double*, double, T*, const tally&);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
