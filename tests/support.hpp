// What several test programs need: bitwise comparison, z-scores, objectives that count.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "reference.hpp"
#include "zo/zo.hpp"

namespace testing_zo {

using zo::index_t;

template <class T>
std::vector<T> copy_of(std::span<const T> values) {
  return {values.begin(), values.end()};
}

/// Equal bit for bit: -0 differs from 0, a NaN equals itself.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
std::vector<T> ramp(index_t dimension, double first = -0.7, double by = 0.37) {
  std::vector<T> x;
  for (index_t i = 0; i < dimension; ++i) {
    // fma: the same bits under every flag, for the frozen runs
    x.push_back(static_cast<T>(std::fma(by, static_cast<double>(i % 11), first)));
  }
  return x;
}

template <class T>
std::vector<double> widened(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

template <class T>
double dot(std::span<const T> a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

template <class D>
reference::distribution kind_of(D) {
  if (D::unit_norm) return reference::distribution::sphere;
  return std::same_as<typename D::law, zo::gaussian> ? reference::distribution::gaussian
                                                     : reference::distribution::rademacher;
}

/// One direction as the library writes it.
template <class T, class D>
std::vector<T> direction(D kind, const zo::stream& from, index_t dimension) {
  std::vector<T> u(static_cast<std::size_t>(dimension));
  zo::fill_direction(kind, from, std::span<T>(u));
  return u;
}

/// The message of the std::invalid_argument that `call` throws; empty if it throws none.
template <class Call>
std::string complaint(const Call& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// A smooth loss with a gradient that is different in every coordinate.
template <class T>
double smooth_loss(std::span<const T> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x[i]);
    const double weight = 1.0 + 0.25 * static_cast<double>(i % 5);
    sum += weight * v * v + 0.5 * std::sin(v + static_cast<double>(i));
  }
  return sum;
}

/// The smooth loss in each form an objective may have; each counts the points it answers.
template <class T>
struct scalar_form {
  std::atomic<index_t>* count;
  double operator()(std::span<const T> x) const {
    ++*count;
    return smooth_loss(x);
  }
};
template <class T>
struct sampled_form {
  std::atomic<index_t>* count;
  double operator()(std::span<const T> x, zo::sample_id) const {
    ++*count;
    return smooth_loss(x);
  }
};
template <class T>
struct batch_form {
  std::atomic<index_t>* count;
  void operator()(zo::points<T> at, std::span<double> losses) const {
    *count += at.count;
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
  }
};
template <class T>
struct sampled_batch_form {
  std::atomic<index_t>* count;
  void operator()(zo::points<T> at, std::span<double> losses, zo::sample_id) const {
    *count += at.count;
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
  }
};
template <class T>
struct rowwise_form {
  std::atomic<index_t>* count;
  void operator()(zo::points<T> at, std::span<const index_t>, std::span<double> losses) const {
    *count += at.count;
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = smooth_loss(at[k]);
  }
};
/// A coordinate objective that has nothing better than full evaluations.
template <class T>
struct coordinate_form {
  std::atomic<index_t>* count;
  std::vector<T> x{};
  double base = 0;
  double prepare(std::span<const T> at, zo::sample_id) {
    ++*count;
    x.assign(at.begin(), at.end());
    return base = smooth_loss<T>(x);
  }
  void probe(std::span<const index_t> coordinates, std::span<const T> steps,
             std::span<double> differences) {
    *count += static_cast<index_t>(coordinates.size());
    for (std::size_t k = 0; k < coordinates.size(); ++k) {
      std::vector<T> moved = x;
      moved[static_cast<std::size_t>(coordinates[k])] += steps[k];
      differences[k] = smooth_loss<T>(moved) - base;
    }
  }
};

}  // namespace testing_zo
