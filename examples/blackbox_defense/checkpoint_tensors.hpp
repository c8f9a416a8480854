// Between LibTorch tensors and safetensors files.
#pragma once

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "common/safetensors.hpp"

namespace defense {

using named_tensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Appends parameters and buffers of `module` as "<prefix>.<name>".
void add_module(named_tensors& to, const std::string& prefix, const torch::nn::Module& module);

/// Copies of the tensors (float32, int64 or uint8) as the content of a file.
app::safetensors pack(const named_tensors& tensors);

/// Copies values of the file into the tensors of the same name. Throws std::runtime_error, with
/// nothing changed, when one is missing or of another shape or type.
void unpack(const app::safetensors& file, const named_tensors& tensors);

/// A copy of a tensor of a file, of F16 and BF16 in float32. Throws std::runtime_error for other
/// types than pack() knows.
torch::Tensor to_torch(const app::tensor& from);

}  // namespace defense
