// Training one network by one estimator: recipe, checkpoints, learning curve.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include <zo/nn/network.hpp>
#include <zo/optimizer.hpp>

#include "common/processes.hpp"
#include "images.hpp"
#include "settings.hpp"

namespace deepzero {

/// The network of the settings for these images. Throws app::usage_error when there is none.
zo::nn::network make_network(const settings& s, const app::image_set& images);

/// The images by which sparse-cge counts coordinates. Throws app::usage_error when there are too
/// few.
minibatch scored_images(const problem& p, const settings& s);

/// SGD with momentum, weight decay, warm-up and cosine. The rate of rge is multiplied by
/// q / (q + d + 1): with Gaussian directions its mean square is 1 + (d + 1) / q times that of the
/// gradient, and the best step shrinks by this factor.
zo::sgd recipe(const std::string& estimator, const zo::nn::network& net, std::int64_t per_epoch,
               const settings& s);

/// One evaluation. Queries, passes and seconds are those of training up to there.
struct curve_point {
  std::int64_t step = 0;
  std::int64_t queries = 0;
  double passes = 0;   ///< the work, in forward passes of a batch
  double seconds = 0;  ///< without evaluations
  double loss = 0;     ///< mean over the steps since the last evaluation; NaN before the first step
  double accuracy = 0;  ///< on the test images, with running statistics
};

struct training_report {
  std::string estimator;
  std::int64_t parameters = 0;
  std::int64_t per_epoch = 0;       ///< steps
  std::vector<zo::index_t> counts;  ///< coordinates asked of each parameter; empty: all, or none
  std::vector<curve_point> curve;

  const curve_point& last() const { return curve.back(); }
};

/// Trains from the initial weights of s.seed, the same for every estimator. Saves weights (with
/// PyTorch's names), optimizer, curve and position in `folder`/<estimator>.safetensors every
/// s.checkpoint_every steps and at every evaluation, atomically; with s.resume goes on from there
/// and ends with the same bits as a run that was never stopped. Throws app::interrupted after
/// Ctrl-C, and std::runtime_error with a sentence. Several processes end with the bits of one, and
/// any number of them may resume; rank 0 reads and writes the checkpoint.
training_report train(const problem& p, const std::string& estimator, const settings& s,
                      const std::filesystem::path& folder, const std::string& label,
                      const app::processes& all);

/// Share of the images that the network with running statistics classifies right.
double accuracy(const zo::nn::network& net, std::span<const float> parameters,
                std::span<const float> statistics, const app::image_set& images, int threads,
                const app::processes& all);

}  // namespace deepzero
