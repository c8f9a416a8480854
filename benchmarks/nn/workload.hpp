// What the claims about networks are measured on: ResNet-20 with weights from a seed, a batch of
// noise, and the coordinates of a DeepZero step at 90 % sparsity.
#pragma once

#include <memory>
#include <vector>
#include <zo/zo.hpp>

#include "multiplications.hpp"
#include "peers/torch_resnet.hpp"
#include "zo/nn/network.hpp"
#include "zo/nn/objective.hpp"

namespace bench {

struct workload {
  explicit workload(zo::index_t samples);

  /// The objective of zo on this batch; the statistics stay the caller's.
  template <class T>
  zo::nn::objective<T> objective(std::span<const T> running,
                                 const zo::nn::objective_options& how) const {
    return zo::nn::objective<T>(
        net,
        [this](zo::sample_id) {
          return zo::nn::minibatch<T>{{images.begin(), images.end()},
                                      count,
                                      zo::nn::cross_entropy(classes, net.output().size())};
        },
        running, how);
  }

  /// The same network and batch in LibTorch; nothing in a build without it.
  std::unique_ptr<peers::torch_resnet> peer(const peers::torch_options& how) const;

  zo::nn::network net = zo::nn::resnet(20);
  zo::index_t count;
  std::vector<float> parameters, statistics, images;
  std::vector<zo::index_t> classes;
};

/// What a step perturbs of one parameter tensor.
struct stratum {
  const zo::nn::view* tensor;
  zo::index_t active;                // coordinates in the step
  std::vector<zo::index_t> sampled;  // some that follow one another in the step's list
};

/// For each tensor of ResNet-20 the coordinates of a step at 90 % sparsity, drawn at random in the
/// shares that the paper's layer-wise pruning ratios keep (batch norms and the last bias: all), and
/// at most `sampled` of them, in the order in which an estimate asks for them.
std::vector<stratum> sparse_step(const zo::nn::network& net, zo::index_t sampled);

/// Multiplications of the probes of that step, for one sample.
double step_multiplications(const zo::nn::network& net, reuse how, borders taps);

}  // namespace bench
