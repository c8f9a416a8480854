// One map R^n -> R^m in each form that a black box with vector answers may have; each counts the
// points it answers.
#pragma once

#include <atomic>
#include <cmath>
#include <span>
#include <vector>

#include "zo/zo.hpp"

namespace testing_zo {

using zo::index_t;

/// y_k = sum over i of c_ki sin(x_i + k) with c_ki = ((3k + 5i) mod 7 - 3) / 4, plus 2 at k = 0;
/// the answers of row r are r + 1 times as large.
template <class T>
void smooth_map(std::span<const T> x, std::span<T> y, index_t row = 0) {
  for (std::size_t k = 0; k < y.size(); ++k) {
    double sum = k == 0 ? 2.0 : 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double c = (static_cast<double>((3 * k + 5 * i) % 7) - 3) / 4;
      sum += c * std::sin(static_cast<double>(x[i]) + static_cast<double>(k));
    }
    y[k] = static_cast<T>(sum * static_cast<double>(row + 1));
  }
}
/// dy_k / dx_i of row 0.
template <class T>
double smooth_slope(std::span<const T> x, std::size_t k, std::size_t i) {
  const double c = (static_cast<double>((3 * k + 5 * i) % 7) - 3) / 4;
  return c * std::cos(static_cast<double>(x[i]) + static_cast<double>(k));
}

template <class T>
struct writing_form {
  std::atomic<index_t>* count;
  void operator()(std::span<const T> x, std::span<T> y) const {
    ++*count;
    smooth_map(x, y);
  }
};
template <class T>
struct returning_form {
  std::atomic<index_t>* count;
  std::size_t outputs;
  std::vector<T> operator()(std::span<const T> x) const {
    ++*count;
    std::vector<T> y(outputs);
    smooth_map(x, std::span<T>(y));
    return y;
  }
};
template <class T>
struct sampled_map_form {
  std::atomic<index_t>* count;
  void operator()(std::span<const T> x, std::span<T> y, zo::sample_id) const {
    ++*count;
    smooth_map(x, y);
  }
};
template <class T>
struct row_form {
  std::atomic<index_t>* count;
  void operator()(std::span<const T> x, index_t row, std::span<T> y) const {
    ++*count;
    smooth_map(x, y, row);
  }
};
template <class T>
struct batch_map_form {
  std::atomic<index_t>* count;
  index_t most = 0;  // points of one call so far
  void operator()(zo::points<T> at, std::span<T> ys) {
    *count += at.count;
    most = std::max(most, at.count);
    const std::size_t m = ys.size() / static_cast<std::size_t>(at.count);
    for (index_t k = 0; k < at.count; ++k) {
      smooth_map(at[k], ys.subspan(static_cast<std::size_t>(k) * m, m));
    }
  }
};
template <class T>
struct rowwise_map_form {
  std::atomic<index_t>* count;
  void operator()(zo::points<T> at, std::span<const index_t> rows, std::span<T> ys) const {
    *count += at.count;
    const std::size_t m = ys.size() / rows.size();
    for (std::size_t k = 0; k < rows.size(); ++k) {
      smooth_map(at[static_cast<index_t>(k)], ys.subspan(k * m, m), rows[k]);
    }
  }
};
/// Differences by the addition theorem, without cancellation.
template <class T>
struct difference_form {
  std::atomic<index_t>* count;
  zo::points<T> x{};
  void prepare(zo::points<T> at, std::span<T> ys) {
    *count += at.count;
    x = at;
    const std::size_t m = ys.size() / static_cast<std::size_t>(at.count);
    for (index_t b = 0; b < at.count; ++b) {
      smooth_map(at[b], ys.subspan(static_cast<std::size_t>(b) * m, m));
    }
  }
  void differences(zo::points<T> at, std::span<const index_t> rows, std::span<T> dys) const {
    *count += at.count;
    const std::size_t m = dys.size() / rows.size();
    for (std::size_t j = 0; j < rows.size(); ++j) {
      const auto moved = at[static_cast<index_t>(j)], from = x[rows[j]];
      for (std::size_t k = 0; k < m; ++k) {
        double sum = 0;
        for (std::size_t i = 0; i < moved.size(); ++i) {
          const double c = (static_cast<double>((3 * k + 5 * i) % 7) - 3) / 4;
          const double half = (static_cast<double>(moved[i]) - static_cast<double>(from[i])) / 2;
          sum += 2 * c * std::sin(half) *
                 std::cos(static_cast<double>(from[i]) + half + static_cast<double>(k));
        }
        dys[j * m + k] = static_cast<T>(sum);
      }
    }
  }
};
/// The same, told the policy.
template <class T>
struct threaded_difference_form {
  difference_form<T> plain;
  std::vector<int> threads{};  // of each call
  void prepare(const zo::execution_policy auto& on, zo::points<T> at, std::span<T> ys) {
    threads.push_back(on.threads());
    plain.prepare(at, ys);
  }
  void differences(const zo::execution_policy auto& on, zo::points<T> at,
                   std::span<const index_t> rows, std::span<T> dys) {
    threads.push_back(on.threads());
    plain.differences(at, rows, dys);
  }
};

}  // namespace testing_zo
