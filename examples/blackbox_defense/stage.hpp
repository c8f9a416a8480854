// One stage of training: steps, checkpoints, progress, and the end by Ctrl-C.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/processes.hpp"
#include "settings.hpp"

namespace defense {

struct stage {
  std::string name;  ///< of the checkpoint, and of the progress line
  std::int64_t steps = 0;
  double rate = 0;          ///< highest learning rate
  nlohmann::json settings;  ///< the options it depends on; a resumed stage must have the same
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> modules;  ///< saved
  std::vector<torch::Tensor> trained;  ///< parameters that Adam updates
};

struct step_report {
  double loss = 0;
  std::int64_t queries = 0;  ///< made in this step
};

struct stage_report {
  double loss = 0;  ///< running mean at the end
  std::int64_t queries = 0;
  double seconds = 0;  ///< of training, those before a resume included
};

/// Where the checkpoint of a stage is.
std::filesystem::path checkpoint_path(const settings& s, const std::string& stage);

/// Runs `step` (which leaves gradients in the trained parameters) followed by an Adam update,
/// `steps` times. Saves weights, optimizer and position every s.checkpoint_every steps, atomically;
/// with s.resume goes on from there. Steps draw their randomness from their number alone, so a
/// resumed stage ends with the same bits as one that was never stopped (same machine, same number
/// of threads). Several processes make the same steps, of which rank 0 keeps the checkpoints;
/// throws std::runtime_error in all of them once one has other weights.
stage_report run_stage(const stage& what, const settings& s, const app::processes& all,
                       const std::function<step_report(std::int64_t step)>& step);

/// Warm-up over the first twentieth, then half a cosine down to zero.
double learning_rate(double highest, std::int64_t step, std::int64_t steps);

}  // namespace defense
