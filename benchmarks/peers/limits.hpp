// What the machine could do at best: the ceilings the direction kernels are compared with.
#pragma once

#include <cstdint>
#include <string_view>

namespace peers {

/// Multiply-adds on registers only, as wide as this set of zo's has them (zo::instruction_set());
/// returns how many were made.
std::int64_t multiply_adds(std::string_view set, std::int64_t rounds, float* keep_alive);

/// Instructions of a round of multiply_adds, none of which waits for another of that round.
inline constexpr std::int64_t multiply_adds_of_round = 12;

/// Takes `count` cycles of the processor's clock: additions of whole numbers, each of which waits
/// for the one before. False where it is not known how to write them.
bool spend_cycles(std::int64_t count);

/// g = sum over the rows of weights[k] * U[k]: what summing costs when q x d directions are stored.
void stored_product(const float* directions, std::int64_t q, std::int64_t d, const float* weights,
                    float* g);

}  // namespace peers
