// The device's side: runs the blocks of a grid.
#pragma once

#include <cstdint>
#include <string>

#include "cuda_runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#define ZO_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ZO_EMULATOR_ASAN 1
#endif
#endif

namespace cuda_emulator::detail {

/// For what a device could not report either: says it and aborts.
[[noreturn]] void die(const std::string& sentence);

void run_grid(const kernel& code, dim3 grid, dim3 block);

void seed_order(std::uint64_t seed);

/// 0 … below-1, and always `below`-1 in the natural order.
std::uint32_t draw(std::uint32_t below);

}  // namespace cuda_emulator::detail
