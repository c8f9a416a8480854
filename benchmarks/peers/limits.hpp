// What the machine could do at best: the ceilings the direction kernels are compared with.
#pragma once

#include <cstdint>
#include <string_view>

namespace peers {

/// Multiply-adds on registers only, as wide as this set of zo's has them (zo::instruction_set());
/// returns how many were made.
std::int64_t multiply_adds(std::string_view set, std::int64_t rounds, float* keep_alive);

/// g = sum over the rows of weights[k] * U[k]: what summing costs when q x d directions are stored.
void stored_product(const float* directions, std::int64_t q, std::int64_t d, const float* weights,
                    float* g);

}  // namespace peers
