// Images, what is measured of them, and the networks: the reconstructor behind the black box, and
// the autoencoder in front of it.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "../blackbox_defense/problem.hpp"
#include "settings.hpp"

namespace reconstruction {

/// Measures an image x of 28 x 28 pixels as Aᵀx, the inner products with the columns of a fixed
/// Gaussian matrix A (784 x count, variance 1 / count), and shows A Aᵀx as an image again: what a
/// reconstruction starts from.
class measurement {
 public:
  measurement(std::int64_t count, std::uint64_t seed);

  /// Sets the scale: the least and the largest number of A Aᵀx over these images become 0 and 1.
  void scale_to(const defense::image_tensors& images);
  /// (B, 1, 28, 28) in [0, 1] -> the same shape.
  torch::Tensor operator()(const torch::Tensor& images) const;

  /// A Aᵀ: (784, 784).
  torch::Tensor matrix() const { return weights_.view({weights_.size(0), -1}); }

 private:
  // A Aᵀ as a convolution of single points: oneDNN computes those, a slow BLAS the products.
  torch::Tensor weights_;
  double least_ = 0;
  double largest_ = 1;
};

struct problem {
  /// Images; the reconstructor as classifier, frozen: (B, 1, 28, 28) measured -> (B, 784)
  /// reconstructed; the autoencoder of measured images.
  defense::problem base;
  measurement measured;
  double reconstructor_error = 0;  ///< mean squared error at the end of its training
};

/// Reads the data set of s and makes untrained networks. Changes no file.
problem load_problem(const settings& s);

/// Trains the reconstructor and the autoencoder, or resumes, and freezes them.
void train_networks(problem& p, const settings& s, const app::processes& all);

}  // namespace reconstruction
