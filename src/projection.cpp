// Projections that see all of x. Compiled here without contraction; sums are formed chunk by chunk
// in one order, so that they do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "zo/execution.hpp"
#include "zo/proximal.hpp"
#include "zo/rounding.hpp"

namespace zo::detail {

namespace {

constexpr index_t chunk = index_t{1} << 14;

constexpr index_t chunks(index_t count) { return (count + chunk - 1) / chunk; }

struct total {
  double sum = 0;
  index_t count = 0;
};

// Adds up what add(x[i], total) adds to a total.
template <class T, class Add>
total add_up(int threads, std::span<const T> x, const Add& add) {
  const auto count = static_cast<index_t>(x.size());
  std::vector<total> parts(static_cast<std::size_t>(chunks(count)));
  auto body = [&](index_t item, int) {
    total part;
    for (index_t i = item * chunk; i < std::min(item * chunk + chunk, count); ++i) {
      add(static_cast<double>(x[static_cast<std::size_t>(i)]), part);
    }
    parts[static_cast<std::size_t>(item)] = part;
  };
  run_loop(threads, chunks(count), body);
  total all;
  for (const total& part : parts) {
    all.sum += part.sum;
    all.count += part.count;
  }
  return all;
}

// x[i] = to(x[i]).
template <class T, class To>
void replace(int threads, std::span<T> x, const To& to) {
  const auto count = static_cast<index_t>(x.size());
  auto body = [&](index_t item, int) {
    for (index_t i = item * chunk; i < std::min(item * chunk + chunk, count); ++i) {
      T& value = x[static_cast<std::size_t>(i)];
      value = static_cast<T>(to(static_cast<double>(value)));
    }
  };
  run_loop(threads, chunks(count), body);
}

}  // namespace

template <class T>
void project_on_ball(int threads, std::span<T> x, double radius) {
  const auto largest =
      static_cast<double>(largest_magnitude(static_cast<index_t>(x.size()), x.data()));
  if (!is_finite(largest) || largest == 0) return;
  // Of x / largest, whose squares are neither beyond the numbers nor all zero.
  const total squares =
      add_up(threads, std::span<const T>(x), [largest](double value, total& part) {
        const double scaled = value / largest;
        part.sum += scaled * scaled;
      });
  const double length = std::sqrt(squares.sum);
  if (length <= radius / largest) return;
  const double factor = radius / length;
  replace(threads, x, [=](double value) { return value / largest * factor; });
}

// x[i] - t where that is above 0, with the t that makes them add up to the radius. Found from the
// numbers above a lower bound of t, which gives a higher one (Michelot, JOTA 1986); counted from
// the largest number, from which t is at most a radius away, so that no digit is lost.
template <class T>
void project_on_simplex(int threads, std::span<T> x, double radius) {
  if (!all_finite(static_cast<index_t>(x.size()), x.data())) return;
  const auto top = static_cast<double>(*std::ranges::max_element(x));
  double below = -radius;
  index_t count = static_cast<index_t>(x.size()) + 1;
  for (;;) {
    const total above =
        add_up(threads, std::span<const T>(x), [top, below](double value, total& part) {
          if (value - top > below) {
            part.sum += value - top;
            ++part.count;
          }
        });
    if (above.count >= count) break;
    count = above.count;
    below = (above.sum - radius) / static_cast<double>(count);
  }
  replace(threads, x, [=](double value) { return std::max(value - top - below, 0.0); });
}

template <class T>
void project_on_l1_ball(int threads, std::span<T> x, double radius) {
  if (!all_finite(static_cast<index_t>(x.size()), x.data())) return;
  const total sizes = add_up(threads, std::span<const T>(x),
                             [](double value, total& part) { part.sum += std::abs(value); });
  if (sizes.sum <= radius) return;
  std::vector<T> magnitudes(x.size());
  std::ranges::transform(x, magnitudes.begin(), [](T value) { return std::abs(value); });
  project_on_simplex(threads, std::span<T>(magnitudes), radius);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::copysign(magnitudes[i], x[i]);
}

template <class T>
void keep_largest(std::span<T> x, index_t count) {
  const auto kept = static_cast<std::size_t>(count);
  if (kept >= x.size() || !all_finite(static_cast<index_t>(x.size()), x.data())) return;
  std::vector<T> magnitudes(x.size());
  std::ranges::transform(x, magnitudes.begin(), [](T value) { return std::abs(value); });
  const auto last = magnitudes.begin() + static_cast<std::ptrdiff_t>(kept) - 1;
  std::ranges::nth_element(magnitudes, last, std::greater<>());
  const T least = *last;
  auto equal = static_cast<index_t>(
      std::count(magnitudes.begin(), magnitudes.begin() + count, least));  // that may stay
  for (T& value : x) {
    const T size = std::abs(value);
    if (size > least || (size == least && equal-- > 0)) continue;
    value = T(0);
  }
}

template void project_on_l1_ball(int, std::span<float>, double);
template void project_on_l1_ball(int, std::span<double>, double);
template void keep_largest(std::span<float>, index_t);
template void keep_largest(std::span<double>, index_t);
template void project_on_ball(int, std::span<float>, double);
template void project_on_ball(int, std::span<double>, double);
template void project_on_simplex(int, std::span<float>, double);
template void project_on_simplex(int, std::span<double>, double);

}  // namespace zo::detail
