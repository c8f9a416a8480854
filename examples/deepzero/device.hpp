// Gradients on an NVIDIA GPU. Where the program is built without CUDA there are none.
#pragma once

#include <memory>
#include <string>
#include <zo/nn/network.hpp>

#include "common/processes.hpp"
#include "estimator.hpp"
#include "settings.hpp"

namespace deepzero {

/// Whether this program was built with CUDA, and the sentence that says how to get it if not.
bool has_device();
std::string without_device();

/// Throws std::runtime_error with a sentence where no GPU can be asked.
void require_device();

/// A coordinate-wise estimator whose questions a GPU answers; `sets` says which coordinates are
/// asked. Several processes share the questions, each with the GPU that is current for it. Throws
/// zo::cuda::error where there is no GPU.
std::unique_ptr<estimator> make_device_estimator(const zo::nn::network& net, coordinate_sets sets,
                                                 const settings& s, const app::processes& all);

}  // namespace deepzero
