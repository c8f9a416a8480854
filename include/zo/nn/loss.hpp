// Losses of a batch, and their differences without cancellation.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/nn/layer/loss.hpp"
#include "zo/nn/layer/mean.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

namespace detail {

// Questions about some samples: those there are, with their changes and room for their parts.
inline void check_samples(const char* who, std::span<const index_t> samples, index_t all,
                          std::size_t outputs, std::size_t changes, std::size_t parts) {
  zo::detail::require(changes == samples.size() * outputs && parts == samples.size(), who, ": ",
                      samples.size(), " samples need ", samples.size() * outputs,
                      " changes and as many parts, got ", changes, " and ", parts);
  for (const index_t sample : samples) {
    zo::detail::require(sample >= 0 && sample < all, who, ": sample ", sample, " is not in 0 … ",
                        all - 1);
  }
}

}  // namespace detail

/// Mean softmax cross entropy of `classes` logits a sample.
class cross_entropy {
 public:
  cross_entropy(std::span<const index_t> targets, index_t classes)
      : targets_(targets.begin(), targets.end()), classes_(classes) {
    zo::detail::require(classes >= 1, "zo::nn::cross_entropy: classes must be at least 1, got ",
                        classes);
    zo::detail::require(!targets.empty(),
                        "zo::nn::cross_entropy: there are no targets, and the mean "
                        "over no samples is no number");
    for (const index_t target : targets) {
      zo::detail::require(target >= 0 && target < classes, "zo::nn::cross_entropy: target ", target,
                          " is not in 0 … ", classes - 1);
    }
  }

  std::span<const index_t> targets() const { return targets_; }
  index_t samples() const { return static_cast<index_t>(targets_.size()); }

  /// The loss at these logits, which later differences are taken from.
  template <class T>
  double prepare(std::span<const T> logits) {
    const index_t wanted = detail::product_of({samples(), classes_});
    zo::detail::require(static_cast<index_t>(logits.size()) == wanted,
                        "zo::nn::cross_entropy: ", targets_.size(), " samples of ", classes_,
                        " classes need ", wanted, " logits, got ", logits.size());
    probabilities_.resize(logits.size());
    logarithms_.resize(logits.size());
    return detail::mean_of<double>(static_cast<index_t>(targets_.size()), [&](index_t b) {
      const index_t first = b * classes_;
      return detail::cross_entropy_of(classes_, targets_[static_cast<std::size_t>(b)],
                                      detail::row_of<T>{logits.data() + first},
                                      probabilities_.data() + first, logarithms_.data() + first);
    });
  }

  /// Loss at logits + changes minus loss at logits: mean of log1p(sum p expm1(d - d_target)) over
  /// the classes beside the target.
  template <class T>
  double difference(const T* changes) const {
    check_prepared();
    return detail::mean_of<double>(static_cast<index_t>(targets_.size()), [&](index_t b) {
      return of_sample(static_cast<std::size_t>(b), changes + b * classes_);
    });
  }

  /// The part that each of some samples has in the difference: row k of the changes is of sample
  /// samples[k].
  template <class T>
  void differences(std::span<const index_t> samples, std::span<const T> changes,
                   std::span<double> parts) const {
    check_prepared();
    detail::check_samples("zo::nn::cross_entropy", samples, static_cast<index_t>(targets_.size()),
                          static_cast<std::size_t>(classes_), changes.size(), parts.size());
    for (std::size_t k = 0; k < samples.size(); ++k) {
      parts[k] = of_sample(static_cast<std::size_t>(samples[k]),
                           changes.data() + k * static_cast<std::size_t>(classes_)) /
                 static_cast<double>(targets_.size());
    }
  }

  /// How strongly the loss depends on the outputs of each sample: the norm of its derivative.
  std::vector<double> sensitivities() const {
    check_prepared();
    std::vector<double> norms;
    for (std::size_t b = 0; b < targets_.size(); ++b) {
      const double* const p = probabilities_.data() + b * static_cast<std::size_t>(classes_);
      double others = 0;  // 1 - p of the target, without its rounding
      for (index_t k = 0; k < classes_; ++k) others += k == targets_[b] ? 0 : p[k];
      double norm = others;
      for (index_t k = 0; k < classes_; ++k) norm = std::hypot(norm, k == targets_[b] ? 0 : p[k]);
      norms.push_back(norm / static_cast<double>(targets_.size()));
    }
    return norms;
  }

 private:
  void check_prepared() const {
    zo::detail::require(!probabilities_.empty(),
                        "zo::nn::cross_entropy: prepare comes before differences");
  }

  template <class T>
  double of_sample(std::size_t b, const T* d) const {
    const std::size_t first = b * static_cast<std::size_t>(classes_);
    return detail::cross_entropy_difference(classes_, targets_[b], detail::row_of<T>{d},
                                            probabilities_.data() + first,
                                            logarithms_.data() + first);
  }

  std::vector<index_t> targets_;
  index_t classes_;
  std::vector<double> probabilities_, logarithms_;
};

/// Mean squared error over all outputs.
class squared_error {
 public:
  /// Of `samples` samples, row-major.
  explicit squared_error(std::vector<double> targets, index_t samples = 1)
      : targets_(std::move(targets)),
        outputs_(targets_.size() / static_cast<std::size_t>(std::max<index_t>(samples, 1))) {
    zo::detail::require(samples >= 1 && outputs_ >= 1 &&
                            outputs_ * static_cast<std::size_t>(samples) == targets_.size(),
                        "zo::nn::squared_error: ", targets_.size(), " targets are not of ", samples,
                        " samples");
    for (const double target : targets_) {
      zo::detail::require(zo::detail::is_finite(target), "zo::nn::squared_error: a target is ",
                          target, ", and no output is near that");
    }
  }

  template <class T>
  double prepare(std::span<const T> outputs) {
    zo::detail::require(outputs.size() == targets_.size(),
                        "zo::nn::squared_error: ", targets_.size(), " targets and ", outputs.size(),
                        " outputs");
    residuals_.resize(outputs.size());
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      residuals_[k] = static_cast<double>(outputs[k]) - targets_[k];
    }
    return detail::mean_of<double>(static_cast<index_t>(residuals_.size()), [&](index_t k) {
      const double residual = residuals_[static_cast<std::size_t>(k)];
      return residual * residual;
    });
  }

  template <class T>
  double difference(const T* changes) const {
    check_prepared();
    return part(0, residuals_.size(), changes);
  }

  /// As for cross_entropy.
  template <class T>
  void differences(std::span<const index_t> samples, std::span<const T> changes,
                   std::span<double> parts) const {
    check_prepared();
    detail::check_samples("zo::nn::squared_error", samples,
                          static_cast<index_t>(targets_.size() / outputs_), outputs_,
                          changes.size(), parts.size());
    for (std::size_t k = 0; k < samples.size(); ++k) {
      parts[k] = part(static_cast<std::size_t>(samples[k]) * outputs_, outputs_,
                      changes.data() + k * outputs_);
    }
  }
  std::vector<double> sensitivities() const {
    check_prepared();
    std::vector<double> norms;
    for (std::size_t first = 0; first < residuals_.size(); first += outputs_) {
      double norm = 0;
      for (std::size_t k = 0; k < outputs_; ++k) norm = std::hypot(norm, residuals_[first + k]);
      norms.push_back(norm / static_cast<double>(targets_.size()) * 2);
    }
    return norms;
  }

 private:
  void check_prepared() const {
    zo::detail::require(!residuals_.empty(),
                        "zo::nn::squared_error: prepare comes before differences");
  }

  template <class T>
  double part(std::size_t first, std::size_t count, const T* changes) const {
    return detail::sum_over(
        static_cast<double>(targets_.size()), static_cast<index_t>(count), [&](index_t k) {
          return detail::square_difference(residuals_[first + static_cast<std::size_t>(k)],
                                           static_cast<double>(changes[k]));
        });
  }

  std::vector<double> targets_, residuals_;
  std::size_t outputs_;
};

/// The sum of outputs times their cotangent: how a stretch of a network is asked about its
/// parameters where a later stretch has said what its outputs are worth.
template <class T>
class paired_outputs {
 public:
  /// samples x outputs, row-major.
  explicit paired_outputs(std::vector<T> cotangent) : cotangent_(std::move(cotangent)) {
    zo::detail::require(!cotangent_.empty(), "zo::nn::paired_outputs: there are no outputs");
  }

  std::span<const T> cotangent() const { return cotangent_; }

  template <class U>
  double prepare(std::span<const U> outputs) {
    zo::detail::require(outputs.size() == cotangent_.size(),
                        "zo::nn::paired_outputs: ", cotangent_.size(),
                        " outputs have a cotangent, and the network gives ", outputs.size());
    return difference(outputs.data());
  }

  /// Linear: outputs themselves or changes of them.
  template <class U>
  double difference(const U* changes) const {
    constexpr std::size_t together = 16;
    double sums[together] = {}, sum = 0;
    for (std::size_t first = 0; first < cotangent_.size(); first += together) {
      const std::size_t some = std::min(together, cotangent_.size() - first);
      for (std::size_t k = 0; k < some; ++k) {
        sums[k] +=
            static_cast<double>(cotangent_[first + k]) * static_cast<double>(changes[first + k]);
      }
    }
    for (const double part : sums) sum += part;
    return sum;
  }

 private:
  std::vector<T> cotangent_;
};

}  // namespace zo::nn
