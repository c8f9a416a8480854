// What is to be defended: images, the classifier, and the autoencoder in front of it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "common/dataset.hpp"
#include "common/processes.hpp"
#include "settings.hpp"

namespace defense {

/// A module together with the way to call it, so that modules of any type fit in one place.
struct network {
  std::shared_ptr<torch::nn::Module> module;
  std::function<torch::Tensor(const torch::Tensor&)> forward;
};

template <class Holder>
network network_of(Holder holder) {
  return {holder.ptr(), [holder](const torch::Tensor& x) mutable { return holder->forward(x); }};
}

/// Labelled images; the pixels stay bytes until a batch is asked for.
struct image_tensors {
  torch::Tensor pixels;  ///< (count, channels, rows, columns), uint8
  torch::Tensor labels;  ///< (count), int64

  std::int64_t count() const { return pixels.size(0); }
  /// The images `rows` (int64) as float32 in [0, 1].
  torch::Tensor batch(const torch::Tensor& rows) const;
  /// The images first … last-1 as float32 in [0, 1].
  torch::Tensor range(std::int64_t first, std::int64_t last) const;
};

image_tensors to_tensors(const app::image_set& images, torch::Device device);

struct problem {
  image_tensors train;
  image_tensors test;
  /// Frozen; query-only methods reach it through a black_box. One of --classifier has no module.
  network classifier;
  network encoder;  ///< as pre-trained: where the training of each defense starts
  network decoder;  ///< frozen
  std::function<network()> make_encoder;  ///< another encoder of that architecture
  double autoencoder_error = 0;  ///< mean squared error at the end of its training; NaN: loaded
};

/// Reads the data set of s and makes its networks: on CIFAR-10 ResNet-20 and the autoencoder of the
/// paper with their trained weights, on Fashion-MNIST untrained ones. Changes no file.
problem load_problem(const settings& s);
problem load_cifar10_problem(const settings& s);

/// Trains the classifier and the autoencoder of Fashion-MNIST, or resumes, and freezes them.
void train_networks(problem& p, const settings& s, const app::processes& all);

/// An encoder with the weights of p.encoder, to be trained.
network copy_of_encoder(const problem& p, torch::Device device);

/// Names of the options that the classifier and the autoencoder depend on.
std::vector<std::string> classifier_options(const settings& s);
const std::vector<std::string>& autoencoder_options();

/// Share of `images` that `classify` (images -> classes) gets right, with noise of standard
/// deviation `noise` added (0: none), the same draws for every classifier of one seed. Several
/// processes share the images.
double accuracy(const std::function<torch::Tensor(const torch::Tensor&)>& classify,
                const image_tensors& images, double noise, std::uint64_t seed,
                const app::processes& all);

}  // namespace defense
