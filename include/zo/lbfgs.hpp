// L-BFGS: steps that know the curvature from differences of gradients, and a line search that
// allows for noise.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "zo/config.hpp"
#include "zo/line_search.hpp"
#include "zo/rule/box.hpp"

namespace zo {

struct lbfgs_options {
  /// Differences of gradients that are remembered, 1 … 1000. Ten are usual where gradients are
  /// cheap; here each costs d queries, and memory is cheap.
  int memory = 100;
  /// Standard deviation of an answer; unset: what zo::automatic of the estimator found, else 0.
  std::optional<double> noise{};
  double first_length = 1;      ///< of the first step that is tried, and of those without a memory
  std::optional<box> bounds{};  ///< x stays between them; it must begin there
  int trials = 20;              ///< points of a search at most, at least 1
};

template <scalar T>
class lbfgs_search;

/// Limited-memory BFGS for zo::minimize, zo::minimize_async and zo::ask, over gradients that are
/// whole and of small error: those of zo::cge, best with central differences or zo::automatic.
///
///   zo::minimize(zo::par, f, x, zo::cge({.smoothing = 1e-6}), zo::lbfgs(), {.max_queries = 5000});
///
/// A step goes along -H g, H from the last differences s of x and y of gradients. The first point
/// that is tried is the full step; it is taken when
///   f(x + t p) <= f(x) + 1e-4 t g'p         (+ 2 noise from the second point on)
/// else t is shortened by interpolation, and lengthened while the answers fall as on a straight
/// line. A pair (s, y) is remembered where y's is above the error of the gradients. Where no point
/// is better, the memory is forgotten and the gradient itself is tried; where that has no better
/// point either the run ends as `converged`, unless queries of the gradient had failed: then it is
/// asked again, as an estimate that failed is. So f at the end is at most that at the start, but
/// for noise. An answer that is no number makes the step shorter, whatever the failure policy is.
/// Between bounds the search goes along the projected line, and coordinates that the gradient holds
/// at a bound stay there.
///
/// f(x) must be known: forward differences know it, and after a step it is not asked again; central
/// ones ask it for x to begin with. Queries: an estimate and mostly one or two points a step; the
/// points share the budget. Memory: (2 memory + 6) d numbers. Throws std::invalid_argument for bad
/// options, and for estimators that do not ask every coordinate. Not on a GPU.
/// Sources: Liu and Nocedal, Math. Prog. 45 (1989); Shi, Xie, Byrd and Nocedal, "A noise-tolerant
/// quasi-Newton algorithm", SIAM J. Optim. 32 (2022), whose lengthening of pairs is left out: a
/// pair within the noise is not remembered.
class lbfgs {
 public:
  lbfgs(const lbfgs_options& options = {});  // NOLINT: options alone read well

  const lbfgs_options& options() const { return options_; }
  template <scalar T>
  lbfgs_search<T> search(index_t dimension) const {
    return {options_, dimension};
  }
  /// A search that is kept between calls.
  template <scalar T>
  lbfgs_search<T> start(index_t dimension) const {
    return search<T>(dimension);
  }

 private:
  lbfgs_options options_;
};

/// The state of zo::lbfgs between steps.
template <scalar T>
class lbfgs_search final : public line_search<T> {
 public:
  lbfgs_search(const lbfgs_options& options, index_t dimension);

  using next = typename line_search<T>::next;
  next begin(const search_start<T>& from) override;
  index_t points() const override { return 1; }
  void write(index_t k, index_t at, index_t count, T* to) const override;
  next take(std::span<const double> answers) override;
  std::span<const T> accepted() const override { return best_; }
  double value() const override { return best_value_; }
  void accept() override;

  std::uint64_t steps() const override { return steps_; }
  std::vector<std::span<T>> state() override;
  void resume_at(std::uint64_t steps) override;

 private:
  struct trial {
    double length = 0, value = 0;
  };
  next along(bool remembers);
  void find_direction(bool remembers);
  void go_to(double length);
  next shorten(double by);
  double slope_to(std::span<const T> point) const;

  lbfgs_options options_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  // Kept: the pairs, oldest first from head_, x and gradient of the last step, and
  // {pairs, head, x and gradient are known, the gradient was whole}.
  std::vector<std::vector<T>> s_, y_;
  std::vector<T> last_x_, last_gradient_, counts_;
  // Of the step in the making.
  std::vector<T> x_, gradient_, point_, best_;
  std::vector<double> direction_;
  double value_ = 0, best_value_ = 0, noise_ = 0, slope_error_ = 0;
  bool has_new_ = false, has_best_ = false, remembers_ = false, is_whole_ = true;
  double length_ = 0, slope_ = 0, best_length_ = 0;
  double longest_ = 0;  // that was too long; 0: none was
  int tried_ = 0, lengthened_ = 0;
};

// Compiled in src/lbfgs.cpp.
extern template class lbfgs_search<float>;
extern template class lbfgs_search<double>;

}  // namespace zo
