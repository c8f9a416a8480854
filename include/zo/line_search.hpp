// Optimizers whose steps ask f themselves: how far to go along a direction.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "zo/config.hpp"

namespace zo {

/// What a step knows when it begins.
template <class T>
struct search_start {
  std::span<const T> x;
  std::span<const T> gradient;
  double value = 0;           ///< f(x)
  double noise = 0;           ///< standard deviation of an answer, 0 unless zo::automatic found it
  double gradient_error = 0;  ///< expected length of the gradient's error, 0 unless it did
  bool whole = true;          ///< false: queries failed, and the gradient is 0 where they did
};

/// A step in the making, for runs (zo::minimize, zo::minimize_async, zo::ask) over numbers T: after
/// an estimate the run calls begin, asks the points that are wanted and calls take with their
/// answers, until there is a step, or none. Derive from it for a search of your own; zo::lbfgs is
/// one. It must be deterministic, and until accept() is called its state() must be as before begin.
template <scalar T>
class line_search {
 public:
  enum class next {
    ask,   ///< points are wanted
    step,  ///< there is a step: accepted() and value()
    stuck  ///< no step is better than x, as far as noise lets one see: the run has converged
  };

  line_search() = default;
  line_search(const line_search&) = default;
  line_search& operator=(const line_search&) = default;
  line_search(line_search&&) noexcept = default;
  line_search& operator=(line_search&&) noexcept = default;
  virtual ~line_search() = default;

  virtual next begin(const search_start<T>& from) = 0;
  /// Points that are wanted now, and coordinates at … at+count-1 of point k. From several threads.
  virtual index_t points() const = 0;
  virtual void write(index_t k, index_t at, index_t count, T* to) const = 0;
  /// Their answers, NaN where a query failed.
  virtual next take(std::span<const double> answers) = 0;

  /// The x to go to, and f there; accept says that the run went.
  virtual std::span<const T> accepted() const = 0;
  virtual double value() const = 0;
  virtual void accept() = 0;

  /// Steps made, and what must be kept to go on.
  virtual std::uint64_t steps() const = 0;
  virtual std::vector<std::span<T>> state() = 0;
  virtual void resume_at(std::uint64_t steps) = 0;
};

namespace detail {

// A search itself, or what starts one.
template <class Optimizer, class T>
concept kept_search = std::is_base_of_v<line_search<T>, std::remove_cvref_t<Optimizer>>;
template <class Optimizer, class T>
concept search_rule = requires(const std::remove_cvref_t<Optimizer>& rule) {
  rule.template search<T>(index_t{});
};
template <class Optimizer, class T>
concept searching = kept_search<Optimizer, T> || search_rule<Optimizer, T>;

}  // namespace detail
}  // namespace zo
