// A denoiser whose weights are trained by queries alone: differences run through the denoiser, as
// far as a weight reaches, and the classifier is asked about the images that come out.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <mutex>
#include <span>
#include <vector>
#include <zo/execution.hpp>
#include <zo/nn/difference_pass.hpp>
#include <zo/nn/forward.hpp>
#include <zo/nn/loss.hpp>
#include <zo/nn/network.hpp>
#include <zo/objective.hpp>

#include "blackbox_defense/black_box.hpp"
#include "deepzero/activation/activation.hpp"

namespace denoiser {

/// What is subtracted from an image by defense::dncnn, with the names of its parameters.
zo::nn::network dncnn_network(zo::nn::shape image, zo::index_t depth, zo::index_t width);

/// Noisy images, and the classes that the classifier should see in them once they are denoised.
template <class T>
struct noisy_batch {
  zo::nn::shape image{};
  std::vector<T> noisy{};  ///< count x image, row-major
  std::vector<zo::index_t> targets{};

  zo::index_t count() const { return static_cast<zo::index_t>(targets.size()); }
};

/// What the classifier says about denoised images: the mean cross entropy, and how it changes where
/// the images do. The denoiser's outputs are the noise that it sees.
template <class T>
class classifier_losses {
 public:
  classifier_losses(noisy_batch<T> batch, defense::black_box& classifier);

  /// The loss where the denoiser sees this noise: one query an image.
  double prepare(std::span<const T> noise);
  /// The loss at other noise: one query an image. Nothing is kept of it.
  double at(std::span<const T> noise) const;
  /// By how much the loss changes where the noise of the whole batch changes by `group` rows of
  /// changes: group x count queries, asked together.
  void differences(zo::index_t group, std::span<const T> changes, std::span<double> found) const;
  /// The parts of some samples in such a change: one query a sample.
  void parts(std::span<const zo::index_t> samples, std::span<const T> changes,
             std::span<double> found) const;

  const noisy_batch<T>& batch() const { return batch_; }

 private:
  std::vector<double> logits_of(const std::vector<T>& images, zo::index_t count) const;
  std::vector<double> changes_of(std::span<const zo::index_t> samples,
                                 std::span<const T> changes) const;

  noisy_batch<T> batch_;
  defense::black_box& classifier_;
  zo::nn::cross_entropy loss_;
  std::vector<T> shown_;        // images of the base point
  std::vector<double> logits_;  // of them
};

/// Models zo::coordinate_objective over the denoiser's parameters, so that plain zo::cge trains it,
/// batch norms with the statistics of the batch. A probe runs through the denoiser from its weight
/// on; each is one query an image of the batch, and so is prepare.
template <class T>
class weights_objective {
 public:
  /// `losses` must outlive it, and `statistics` as well.
  weights_objective(const zo::nn::network& net, classifier_losses<T>& losses,
                    std::span<const T> statistics, zo::index_t probes_at_once);

  double prepare(const zo::execution_policy auto& on, std::span<const T> parameters,
                 zo::sample_id) {
    return prepare_with(zo::detail::threads_of(on), parameters);
  }
  void probe(const zo::execution_policy auto& on, std::span<const zo::index_t> coordinates,
             std::span<const T> steps, std::span<double> differences) {
    probe_with(zo::detail::threads_of(on), coordinates, steps, differences);
  }

  const zo::nn::forward_pass<T>& pass() const { return pass_; }

 private:
  double prepare_with(int threads, std::span<const T> parameters);
  void probe_with(int threads, std::span<const zo::index_t> coordinates, std::span<const T> steps,
                  std::span<double> differences);

  classifier_losses<T>& losses_;
  std::span<const T> statistics_;
  zo::index_t at_once_;
  zo::nn::forward_pass<T> pass_;
  std::vector<std::unique_ptr<zo::nn::difference_pass<T>>> makers_;
};

/// The same losses for questions about activations, which threads ask one after the other.
template <class T>
class activation_losses : public deepzero::sample_losses<T> {
 public:
  explicit activation_losses(classifier_losses<T>& losses) : losses_(losses) {}

  double prepare(std::span<const T> outputs) override { return losses_.prepare(outputs); }
  std::vector<double> sensitivities() const override {
    return std::vector<double>(static_cast<std::size_t>(losses_.batch().count()), 1.0);
  }
  void differences(std::span<const zo::index_t> samples, std::span<const T> changes,
                   std::span<double> parts) const override {
    const std::lock_guard alone(asking_);
    losses_.parts(samples, changes, parts);
  }

 private:
  classifier_losses<T>& losses_;
  mutable std::mutex asking_;
};

/// Of q coordinates, how many are asked of each parameter: those of the q lowest scores, as in
/// GraSP, but at least one of each. Throws std::invalid_argument where q is less than there are
/// parameters or more than there are coordinates.
std::vector<zo::index_t> counts_of(const zo::nn::network& net, std::span<const double> scores,
                                   zo::index_t q);

/// How q questions an image are shared out among the layers, by value number; 0: has no parameters.
/// All alike, but to none more than it has numbers. Throws std::invalid_argument where q is less
/// than there are layers.
std::vector<zo::index_t> questions_by_layer(const zo::nn::network& net, zo::index_t q);

}  // namespace denoiser
