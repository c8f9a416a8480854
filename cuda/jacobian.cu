// Jacobians on the device: points with columns moved, and entries from their answers.
#include "zo/candidate.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/difference.hpp"
#include "zo/finite.hpp"
#include "zo/outcome.hpp"
#include "zo/slope.hpp"

namespace zo::cuda::detail {

namespace {

using zo::detail::side;
using zo::detail::step_from;

template <class T>
__device__ T moved(const coordinate_steps<T>& steps, index_t column, int which) {
  return step_from(steps.x[column], side(which), steps.smoothing, steps.relative);
}
template <class T>
__device__ T lower_end(const coordinate_steps<T>& steps, index_t column) {
  return steps.sides == 1 ? steps.x[column] : moved(steps, column, 1);
}

template <class T>
struct color_piece {
  coordinate_steps<T> steps;
  const std::int32_t* color;
  index_t first;
  T* out;
  __device__ void operator()(index_t k, index_t i) const {
    const auto [item, side_of_k, row] = zo::detail::candidate_of(first + k, 1, steps.sides);
    const bool moves = color[i] == steps.first + item;
    out[k * steps.dimension + i] = moves ? moved(steps, i, side_of_k) : steps.x[i];
  }
};

// Number i of the answers to group k, between two ends. A failed query is NaN, and beyond all
// numbers like any other entry that is none; close_piece asks first whether one has failed.
template <class T>
__device__ T entry(const column_answers<T>& from, index_t k, index_t i, T upper_x, T lower_x) {
  const int sides = from.steps.sides;
  const T* const answer = from.answers + k * sides * from.outputs + i;
  const T upper = *answer, lower = sides == 1 ? from.y[i] : answer[from.outputs];
  const double slope =
      zo::detail::quotient(static_cast<double>(upper), static_cast<double>(lower),
                           static_cast<double>(upper_x), static_cast<double>(lower_x));
  bool good = false;
  const T value = zo::detail::gradient_of<T>(from.scale, slope, good);
  if (!good) from.known->beyond = 1;
  return good ? value : T(0);
}

// Neighbouring threads have neighbouring columns, to write side by side; what each reads is far
// from its neighbours', so that it takes several rows, as many as a fetch from memory brings.
constexpr index_t rows_at_once = 8;

template <class T>
struct dense_piece {
  column_answers<T> from;
  T* values;
  __device__ void operator()(index_t item) const {
    const coordinate_steps<T>& steps = from.steps;
    const index_t k = item % from.count, first = item / from.count * rows_at_once;
    const index_t end = first + rows_at_once < from.outputs ? first + rows_at_once : from.outputs;
    const index_t j = steps.list == nullptr ? steps.first + k : steps.list[steps.first + k];
    const T upper = moved(steps, j, 0), lower = lower_end(steps, j);
    for (index_t i = first; i < end; ++i) {
      values[i * steps.dimension + j] = entry(from, k, i, upper, lower);
    }
  }
};

template <class T>
struct sparse_piece {
  column_answers<T> from;
  colored_columns colors;
  T* values;
  __device__ void operator()(index_t i) const {
    for (index_t at = colors.starts[i]; at < colors.starts[i + 1]; ++at) {
      const index_t j = colors.indices[at];
      const index_t k = colors.color[j] - from.steps.first;
      if (k < 0 || k >= from.count) continue;
      values[at] = entry(from, k, i, moved(from.steps, j, 0), lower_end(from.steps, j));
    }
  }
};

template <class T>
struct group_count_piece {
  column_answers<T> from;
  __device__ void operator()(index_t k) const {
    unsigned long long failed = 0;
    for (int s = 0; s < from.steps.sides; ++s) {
      if (!__builtin_isfinite(from.answers[(k * from.steps.sides + s) * from.outputs])) ++failed;
    }
    if (failed == 0) {
      from.known->good = 1;
    } else {
      atomicAdd(&from.known->failed, failed);
    }
  }
};

template <class T>
struct along_piece {
  const T* x;
  T mu;
  const T* u;
  T* out;
  __device__ void operator()(index_t i) const {
    out[i] = zo::detail::rounded(x[i] + zo::detail::rounded(mu * u[i]));
  }
};

template <class T>
struct product_piece {
  column_answers<T> from;
  T mu;
  T* product;
  __device__ void operator()(index_t i) const { product[i] = entry(from, 0, i, mu, T(0)); }
};

template <class T>
struct close_piece {
  const column_tally* known;
  bool asked, drop;
  const T* y;
  report* out;
  __device__ void operator()(index_t) const {
    const bool base = __builtin_isfinite(*y);
    const bool answered = base && (drop ? known->good != 0 : known->failed == 0);
    // Nothing else is worth a query, and is counted, where F(x) failed.
    out->failed = base ? known->failed : asked ? 1ULL : 0ULL;
    out->value = 0;
    const flaw why = !answered                     ? flaw::query_failed
                     : !drop && known->beyond != 0 ? flaw::out_of_range
                                                   : flaw::none;
    out->why = static_cast<unsigned long long>(why);
  }
};

template <class T>
void count_groups(const stream_context& at, const column_answers<T>& from) {
  for_items(at.stream, from.count, group_count_piece<T>{from},
            "launching the kernel that counts failed queries");
}

}  // namespace

template <class T>
void write_colors(const stream_context& at, const coordinate_steps<T>& steps,
                  const std::int32_t* color, index_t first, index_t count, T* out) {
  for_rows(at.stream, count, steps.dimension, color_piece<T>{steps, color, first, out},
           "launching the kernel that moves columns");
}

template <class T>
void write_columns(const stream_context& at, const column_answers<T>& from, T* values) {
  count_groups(at, from);
  const index_t blocks = (from.outputs + rows_at_once - 1) / rows_at_once;
  for_items(at.stream, blocks * from.count, dense_piece<T>{from, values},
            "launching the kernel of entries");
}

template <class T>
void write_entries(const stream_context& at, const column_answers<T>& from,
                   const colored_columns& colors, T* values) {
  count_groups(at, from);
  for_items(at.stream, colors.rows, sparse_piece<T>{from, colors, values},
            "launching the kernel of entries");
}

template <class T>
void move_along(const stream_context& at, index_t dimension, const T* x, T mu, const T* u, T* out) {
  for_items(at.stream, dimension, along_piece<T>{x, mu, u, out},
            "launching the kernel that moves x");
}

template <class T>
void write_product(const stream_context& at, const column_answers<T>& from, T mu, T* product) {
  count_groups(at, from);
  for_items(at.stream, from.outputs, product_piece<T>{from, mu, product},
            "launching the kernel of a product");
}

template <class T>
void close_columns(const stream_context& at, const column_tally* known, bool asked, bool drop,
                   const T* y, report* out, index_t count, T* values) {
  for_items(at.stream, 1, close_piece<T>{known, asked, drop, y, out},
            "launching the kernel that ends a Jacobian");
  zero_if_failed(at, out, count, values);
}

#define ZO_INSTANTIATE(T)                                                                       \
  template void write_colors(const stream_context&, const coordinate_steps<T>&,                 \
                             const std::int32_t*, index_t, index_t, T*);                        \
  template void write_columns(const stream_context&, const column_answers<T>&, T*);             \
  template void write_entries(const stream_context&, const column_answers<T>&,                  \
                              const colored_columns&, T*);                                      \
  template void move_along(const stream_context&, index_t, const T*, T, const T*, T*);          \
  template void write_product(const stream_context&, const column_answers<T>&, T, T*);          \
  template void close_columns(const stream_context&, const column_tally*, bool, bool, const T*, \
                              report*, index_t, T*);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
