// All randomness of a run as pure functions of (seed, purpose, step): nothing to save, and a
// resumed run, another method or another order of work draws the same numbers.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace defense {

/// Standard normal numbers of the given shape, on the CPU: direction `number` of `step`.
torch::Tensor normal(std::uint64_t seed, std::uint64_t step, std::uint32_t number,
                     at::IntArrayRef shape);

/// `batch` rows of [0, count), drawn with replacement for `step`.
torch::Tensor random_rows(std::uint64_t seed, std::uint64_t step, std::int64_t batch,
                          std::int64_t count);

}  // namespace defense
