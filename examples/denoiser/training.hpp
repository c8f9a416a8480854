// Training one denoiser by one method, and what it answers afterwards.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include <zo/nn/forward.hpp>

#include "blackbox_defense/black_box.hpp"
#include "blackbox_defense/problem.hpp"
#include "blackbox_defense/stage.hpp"
#include "blackbox_defense/training.hpp"
#include "common/processes.hpp"
#include "settings.hpp"

namespace denoiser {

/// What all trainings share.
struct task {
  defense::problem problem;         ///< its training images are those that denoisers may see
  defense::image_tensors held_out;  ///< training images that none sees
};

/// Reads Fashion-MNIST and holds the last s.held_out training images out, for rates and curves.
/// Changes no file.
task load_task(const settings& s);

/// Accuracy on noisy held-out images after so many steps; queries are those of the training so far.
struct curve_point {
  std::int64_t step = 0;
  std::int64_t queries = 0;
  double accuracy = 0;
};

/// A denoiser, with the autoencoder behind it where the method has one.
class front {
 public:
  /// The identity, with weights from the seed.
  front(const task& t, const std::string& method, const settings& s, std::uint64_t seed);

  /// Noisy images -> images for the classifier, with running statistics; the denoiser runs by
  /// zo::nn.
  torch::Tensor shown(const torch::Tensor& noisy) const;

  defense::defended& networks() { return networks_; }
  torch::nn::Module& denoiser() const { return *networks_.modules().front().second; }
  const zo::nn::network& net() const { return net_; }
  void copy_denoiser(const front& other);

 private:
  zo::nn::network net_;
  defense::defended networks_;
  int threads_;
};

/// What stands between trainings and queries: counted for one, for the other not.
struct training_report {
  std::string method;
  std::uint64_t seed = 0;
  double rate = 0;
  defense::stage_report stage;
  std::int64_t step_queries = 0;  ///< of the last step: images that the classifier was asked about
  std::vector<curve_point> curve;
};

/// The method as the defense has it, for those that back-propagate through the denoiser.
defense::method method_of(const std::string& method, const settings& s, std::int64_t pixels);

/// One step of a method, which leaves gradients in the trained parameters: `counts` are those of
/// deepzero, coordinates by parameter, and are made where they are zero. Returns the queries made.
class stepper {
 public:
  stepper(const task& t, const std::string& method, front& trained, defense::black_box& classifier,
          const settings& s, std::uint64_t seed, const app::processes& all);
  defense::step_report operator()(std::int64_t step, torch::Tensor& counts);

 private:
  defense::step_report weights_step(std::int64_t step, torch::Tensor& counts);
  void score(torch::Tensor& counts);

  const task& task_;
  std::string method_;
  front& trained_;
  defense::black_box& classifier_;
  const settings& s_;
  defense::settings base_;  // with the seed
  const app::processes& all_;
  defense::method how_;
  std::function<defense::step_report(std::int64_t)> back_propagated_;
};

/// Trains the denoiser that all methods of a seed start from, or leaves it the identity. No
/// queries.
void train_start(front& start, const task& t, const settings& s, std::uint64_t seed,
                 const app::processes& all);

/// Trains `trained` in the stage `name`: checkpoints, progress and resume as run_stage has them.
training_report train(front& trained, const std::string& name, const std::string& method,
                      double rate, const task& t, const settings& s, std::uint64_t seed,
                      const app::processes& all);

/// Share of noisy images that the defended classifier gets right, asked uncounted.
double noisy_accuracy(const front& trained, const defense::image_tensors& images, const task& t,
                      const settings& s, const app::processes& all);

}  // namespace denoiser
