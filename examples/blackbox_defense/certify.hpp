// Certification of a smoothed classifier by randomized smoothing (Cohen et al. 2019).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/certification.hpp"
#include "common/processes.hpp"
#include "problem.hpp"
#include "settings.hpp"

namespace defense {

struct certified {
  std::vector<app::certificate> certificates;  ///< one per image
  std::vector<std::int64_t> labels;
  double seconds = 0;
};

/// Certifies the first s.images images of `images` with s.n0 + s.n noisy copies each. Image i meets
/// the same noise under every method. Progress is saved as checkpoint "<name>.certified";
/// `trained_with` are the settings that the classifier under test depends on. Several processes
/// share the images.
certified certify_images(const std::string& name,
                         const std::function<torch::Tensor(const torch::Tensor&)>& classify,
                         const image_tensors& images, const nlohmann::json& trained_with,
                         const settings& s, const app::processes& all);

}  // namespace defense
