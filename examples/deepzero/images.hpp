// Images as batches: which ones, how they are moved and scaled. All of it follows from the seed and
// the step, so a resumed run sees the same batches.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include <zo/nn/objective.hpp>

#include "common/dataset.hpp"
#include "settings.hpp"

namespace deepzero {

using minibatch = zo::nn::minibatch<float>;

/// Training and test images of a run, 8-bit.
struct problem {
  app::image_set train, test;
};

/// Reads the data set and keeps the first s.images and s.test_images. Throws std::runtime_error
/// that says what is missing and where to get it, and app::usage_error when there are fewer.
problem load_problem(const settings& s);

/// The first `count` images as a batch, scaled, in their order.
minibatch scaled(const app::image_set& images, std::int64_t first, std::int64_t count);

/// `per_class` images of every class, drawn at random, scaled. Throws app::usage_error when a
/// class has fewer.
minibatch balanced(const app::image_set& images, std::int64_t per_class, std::uint64_t seed);

/// The batches of a training run: in every epoch each image once, in a new order; what does not
/// fill a batch at the end of an epoch is left out. CIFAR-10 is moved as in the paper: a random
/// crop of the image with 4 black pixels around, and a mirror image half of the time.
class batches {
 public:
  /// Throws app::usage_error unless the images fill a batch.
  batches(const app::image_set& images, std::int64_t batch, bool moved, std::uint64_t seed);

  std::int64_t per_epoch() const { return images_.count / batch_; }
  /// The batch of a step, counted over all epochs: a pure function of seed and step.
  minibatch at(std::int64_t step);

 private:
  void shuffle(std::int64_t epoch);

  const app::image_set& images_;
  std::int64_t batch_;
  bool moved_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;  // of the order below
  std::vector<std::int64_t> order_;
};

}  // namespace deepzero
