// Loops over all columns, and over all entries, of a Jacobian.
#include "zo/jacobian.hpp"

namespace zo::detail {

namespace {

constexpr index_t worth_waking = index_t{1} << 14;

template <class T>
bool within(T value) {
  return std::abs(value) <= largest<T>();
}

template <class T>
void move_some(index_t count, const T* x, T side, double smoothing, bool relative, T* moved) {
  bool plain = !relative;
  if (plain) {
    const T step = side * static_cast<T>(smoothing);
    bool lost = false;
    for (index_t i = 0; i < count; ++i) {
      moved[i] = x[i] + step;
      lost |= moved[i] == x[i] || !within(moved[i]);
    }
    plain = !lost;
  }
  if (plain) return;
  for (index_t i = 0; i < count; ++i) {
    moved[i] = step_from(x[i], static_cast<double>(side), smoothing, relative);
  }
}

// Row i of column j, which was moved with group k.
template <class T>
T entry(const answered_columns<T>& from, index_t k, index_t i, index_t j, bool& finite) {
  const double slope = quotient(
      static_cast<double>(from.upper_answers(k)[i]), static_cast<double>(from.lower_answers(k)[i]),
      static_cast<double>(from.upper[j]), static_cast<double>(from.lower[j]));
  bool good = false;
  const T value = gradient_of<T>(from.scale, slope, good);
  finite &= good;
  return good ? value : T(0);
}

// body(first, end, finite) over rows.
template <class Body>
bool over_rows(int threads, index_t rows, index_t numbers_a_row, const Body& body) {
  std::atomic<bool> all_good{true};
  parallel_ranges(thread_count{threads}, rows, worth_waking / std::max(index_t{1}, numbers_a_row),
                  [&](index_t first, index_t end) {
                    bool finite = true;
                    body(first, end, finite);
                    if (!finite) all_good = false;
                  });
  return all_good;
}

}  // namespace

template <class T>
void move_all(int threads, std::span<const T> x, double side, double smoothing, bool relative,
              std::vector<T>& moved) {
  moved.resize(x.size());
  parallel_ranges(thread_count{threads}, static_cast<index_t>(x.size()), worth_waking,
                  [&](index_t first, index_t end) {
                    for (index_t at = first; at < end; at += tile) {
                      move_some(std::min(tile, end - at), x.data() + at, static_cast<T>(side),
                                smoothing, relative, moved.data() + at);
                    }
                  });
}

template <class T>
bool write_dense(int threads, const answered_columns<T>& from, const chosen_coordinates& columns,
                 index_t dimension, T* values) {
  return over_rows(threads, from.outputs, from.count,
                   [&](index_t first, index_t end, bool& finite) {
                     for (index_t i = first; i < end; ++i) {
                       T* const row = values + i * dimension;
                       for (index_t k = 0; k < from.count; ++k) {
                         const index_t j = columns[from.first + k];
                         row[j] = from.is_good(k) ? entry<T>(from, k, i, j, finite) : T(0);
                       }
                     }
                   });
}

namespace {

// Rows first … end-1 where every color is answered: differences of all rows first, then the
// quotients, so that each loop is a plain one. Same numbers as entry().
template <class T>
class row_block {
 public:
  row_block(const answered_columns<T>& from, const coloring& colors)
      : from_(from),
        colors_(colors),
        rises_(static_cast<std::size_t>(from.count * rows)),
        rise_(most),
        run_(most) {}

  static constexpr index_t rows = 256;

  // False, and nothing to rely on, where a number is not finite.
  bool write(index_t first, index_t end, T* values) {
    const sparsity& pattern = colors_.pattern();
    bool finite = true;
    for (index_t c = 0; c < from_.count; ++c) {
      const T* const upper = from_.upper_answers(c);
      const T* const lower = from_.lower_answers(c);
      double* const rise = rises_.data() + c * rows;
      for (index_t i = first; i < end; ++i) {
        rise[i - first] = static_cast<double>(upper[i]) - static_cast<double>(lower[i]);
      }
      finite &= all_finite(end - first, rise);
    }
    const index_t* const starts = pattern.starts.data();
    index_t i = first;
    while (i < end) {  // as many whole rows as there is room for
      const index_t begin = starts[i];
      index_t last = i;
      while (last < end && starts[last + 1] - begin <= most) ++last;
      if (last == i) return false;  // a row too long: entry by entry
      gather(first, i, last);
      const index_t count = starts[last] - begin;
      finite &= all_finite(count, run_.data());
      T* const to = values + begin;
      for (index_t k = 0; k < count; ++k) {
        to[k] =
            static_cast<T>(rise_[static_cast<std::size_t>(k)] / run_[static_cast<std::size_t>(k)]);
      }
      finite &= all_finite(count, to);
      i = last;
    }
    return finite;
  }

 private:
  static constexpr index_t most = 2048;

  void gather(index_t first, index_t i, index_t last) {
    const index_t* const starts = colors_.pattern().starts.data();
    const index_t* const columns = colors_.pattern().indices.data();
    const T* const upper = from_.upper;
    const T* const lower = from_.lower;
    double* rise_to = rise_.data();
    double* run_to = run_.data();
    for (; i < last; ++i) {
      const double* const rise = rises_.data() + (i - first);
      for (index_t k = starts[i]; k < starts[i + 1]; ++k) {
        const index_t j = columns[k];
        *rise_to++ = rise[colors_.color_of(j) * rows];
        *run_to++ = static_cast<double>(upper[j]) - static_cast<double>(lower[j]);
      }
    }
  }

  const answered_columns<T>& from_;
  const coloring& colors_;
  std::vector<double> rises_;  // by color, then row
  std::vector<double> rise_, run_;
};

}  // namespace

template <class T>
bool write_sparse(int threads, const answered_columns<T>& from, const coloring& colors, T* values) {
  const sparsity& pattern = colors.pattern();
  const index_t a_row = static_cast<index_t>(pattern.indices.size()) / pattern.rows;
  bool whole = from.count == colors.colors() && from.count <= 64;
  for (index_t k = 0; k < from.count; ++k) whole = whole && from.is_good(k);
  return over_rows(threads, from.outputs, a_row, [&](index_t first, index_t end, bool& finite) {
    row_block<T> block(from, colors);
    for (index_t at = first; at < end; at += block.rows) {
      const index_t here = std::min(block.rows, end - at);
      if (whole && block.write(at, at + here, values)) continue;
      for (index_t i = at; i < at + here; ++i) {
        for (index_t k = 0; k < from.count; ++k) {  // also where no entry is
          finite &= !from.is_good(k) || within(from.upper_answers(k)[i]);
          if (from.sides == 2) finite &= !from.is_good(k) || within(from.lower_answers(k)[i]);
        }
        for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
             k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
          const index_t j = pattern.indices[static_cast<std::size_t>(k)];
          const index_t c = colors.color_of(j) - from.first;
          if (c < 0 || c >= from.count) continue;
          values[k] = from.is_good(c) ? entry<T>(from, c, i, j, finite) : T(0);
        }
      }
    }
  });
}

template void move_all(int, std::span<const float>, double, double, bool, std::vector<float>&);
template void move_all(int, std::span<const double>, double, double, bool, std::vector<double>&);
template bool write_dense(int, const answered_columns<float>&, const chosen_coordinates&, index_t,
                          float*);
template bool write_dense(int, const answered_columns<double>&, const chosen_coordinates&, index_t,
                          double*);
template bool write_sparse(int, const answered_columns<float>&, const coloring&, float*);
template bool write_sparse(int, const answered_columns<double>&, const coloring&, double*);

}  // namespace zo::detail
