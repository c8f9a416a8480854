// Eigen at the border: vectors, maps and segments as x and gradient, objectives that take Eigen
// types. Nothing is copied. Optional: the core does not include this header; link Eigen3::Eigen.
#pragma once

#include <Eigen/Core>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>

#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/minimize.hpp"
#include "zo/objective.hpp"

namespace zo {

/// A dense Eigen vector with storage: VectorXd, Matrix<float, 5, 1>, Map, segment(…), RowVectorXf,
/// …
template <class X>
concept eigen_vector = bool(std::remove_cvref_t<X>::IsVectorAtCompileTime) &&
                       scalar<typename std::remove_cvref_t<X>::Scalar>&& requires(X& x) {
  x.data();
  x.innerStride();
};

/// An objective over spans made of one over Eigen types: f(vector), f(vector, sample) or
/// f(candidates, losses) with one candidate a row. The maps point at zo's own buffers.
template <class F, scalar T>
class eigen_objective {
 public:
  using vector = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>;
  using candidates =
      Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  using losses = Eigen::Map<Eigen::VectorXd>;

  explicit eigen_objective(F& f) : f_(f) {}

  double operator()(
      std::span<const T> x) requires std::is_invocable_r_v<double, F&, const vector&> {
    return static_cast<double>(f_(map(x)));
  }
  double operator()(std::span<const T> x, sample_id sample) requires
      std::is_invocable_r_v<double, F&, const vector&, sample_id> {
    return static_cast<double>(f_(map(x), sample));
  }
  void operator()(points<T> at, std::span<double> answers) requires
      std::invocable<F&, const candidates&, losses&> {
    losses out(answers.data(), static_cast<Eigen::Index>(answers.size()));
    f_(candidates(at.data.data(), at.count, at.dimension), out);
  }

 private:
  static vector map(std::span<const T> x) {
    return {x.data(), static_cast<Eigen::Index>(x.size())};
  }

  F& f_;
};

namespace detail {

template <eigen_vector X>
auto eigen_span(const char* who, X& x) {
  require(x.innerStride() == 1 || x.size() <= 1, who,
          ": the elements of an Eigen vector must be adjacent; copy the row or the slice first");
  return std::span(x.data(), static_cast<std::size_t>(x.size()));
}

// Objectives over spans are taken as they are, others are wrapped.
template <class T, class F, class Use>
auto with_objective(F& f, const Use& use) {
  if constexpr (objective<F, T>) {
    return use(f);
  } else {
    eigen_objective<F, T> wrapped(f);
    return use(wrapped);
  }
}

// Since Eigen 5 its vectors are contiguous ranges, and zo's own functions take them where the
// objective is one over spans.
template <class F, class T, class... Vectors>
concept spans_suffice = (contiguous_vector<Vectors> && ...) && objective<F, T>;

}  // namespace detail

/// zo::estimate over Eigen vectors.
template <execution_policy Policy, class F, eigen_vector X, eigen_vector G, class How>
requires(!detail::spans_suffice<F, typename std::remove_cvref_t<G>::Scalar, X, G>) estimate_result
    estimate(const Policy& policy, F&& f, const X& x, G&& gradient, const How& how,
             const estimate_options& options = {}) {
  using T = typename std::remove_cvref_t<G>::Scalar;
  return detail::with_objective<T>(f, [&](auto& objective) {
    return estimate(policy, objective, detail::eigen_span("zo::estimate", x),
                    detail::eigen_span("zo::estimate", gradient), how, options);
  });
}

/// zo::minimize over an Eigen vector, in place.
template <execution_policy Policy, class F, eigen_vector X, class How, class Optimizer>
requires(!detail::spans_suffice<F, typename std::remove_cvref_t<X>::Scalar, X>) minimize_result
    minimize(const Policy& policy, F&& f, X&& x, const How& how, Optimizer&& optimizer,
             const minimize_options& options) {
  using T = typename std::remove_cvref_t<X>::Scalar;
  return detail::with_objective<T>(f, [&](auto& objective) {
    return minimize(policy, objective, detail::eigen_span("zo::minimize", x), how,
                    std::forward<Optimizer>(optimizer), options);
  });
}

}  // namespace zo
