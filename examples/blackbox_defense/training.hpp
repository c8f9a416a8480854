// Training a denoiser (and encoder) against the stability loss, with or without gradients of the
// classifier.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>

#include "black_box.hpp"
#include "common/processes.hpp"
#include "method.hpp"
#include "networks.hpp"
#include "problem.hpp"
#include "stage.hpp"

namespace defense {

/// What stands in front of the classifier. Without a denoiser: nothing does.
class defended {
 public:
  /// Untrained: identity denoiser and, with an autoencoder, a copy of the pre-trained encoder.
  defended(const problem& p, const method& m, const settings& s);

  torch::Tensor denoised(const torch::Tensor& noisy) const;
  /// The boundary to the black box: denoised images as they are, or latents (B, d) of them.
  torch::Tensor inner(const torch::Tensor& denoised) const;
  torch::Tensor decoded(const torch::Tensor& inner) const;
  /// What the classifier is shown: noisy images -> images.
  torch::Tensor shown(const torch::Tensor& noisy) const;
  /// Noisy images -> classes, by queries.
  torch::Tensor classes(const torch::Tensor& noisy, black_box& classifier) const;

  void train(bool on);
  bool has_autoencoder() const { return encoder_.module != nullptr; }
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> modules() const;

 private:
  dncnn denoiser_{nullptr};
  network encoder_;
  network decoder_;
};

/// Images, the same with noise, and the classifier's own answers to the clean ones.
struct minibatch {
  torch::Tensor clean;
  torch::Tensor noisy;
  torch::Tensor targets;
};

/// The minibatch of a step, for all methods the same: s.batch queries.
minibatch draw(const problem& p, black_box& classifier, const settings& s,
               const app::processes& all, std::int64_t step);

/// What a step of the method does before the optimizer's: for programs with stages of their own.
/// The arguments must outlive it.
std::function<step_report(std::int64_t step)> gradient_of(const defended& front, const problem& p,
                                                          const method& m, black_box& classifier,
                                                          const settings& s,
                                                          const app::processes& all);

/// Trains `front` by the method; queries are those `classifier` was asked. White-box methods
/// differentiate p.classifier instead. Loss (ZO-AE-DS, eq. 2): cross entropy of the answer to the
/// defended noisy image, its logits divided by s.temperature, against the classifier's own answer
/// to the clean one, and s.reconstruction times the squared distance of the denoised from the clean
/// image, which takes no queries. Several processes share the queries: the batches that the
/// classifier is shown are those of one process, so that the bits are too.
stage_report train_defense(defended& front, const problem& p, const method& m,
                           black_box& classifier, const settings& s, const app::processes& all);

/// Names of the options that a trained defense depends on.
std::vector<std::string> defense_options(const settings& s);

}  // namespace defense
