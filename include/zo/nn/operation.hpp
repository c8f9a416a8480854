// The layers that a network may have: one line each. What a layer computes stands in the file of
// its name, src/nn/layer/<name>.cpp for the CPU and cuda/nn/layer/<name>.cu for a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace zo::nn {

enum class operation : std::uint8_t {
  input,
  convolution,
  linear,
  batch_norm,
  relu,
  max_pool,
  average_pool,
  global_average_pool,
  add,
  subsample,  ///< every second row and column, and zero channels around: option A of ResNet
  embedding,
  positions,
  layer_norm,
  gelu,
  attention,
};

/// What becomes of a change of one channel of a layer's input.
enum class reach : std::uint8_t {
  channel,   ///< it stays one channel: the layer leaves channels apart
  products,  ///< each output channel is a sum of products over all input channels: one is enough
             ///< for its part of them all
  all        ///< each output channel depends on all input channels in its own way
};

struct operation_traits {
  operation what;
  const char* name;
  nn::reach reach;
};

inline constexpr std::array operations{
    operation_traits{operation::input, "input", reach::channel},
    operation_traits{operation::convolution, "convolution", reach::products},
    operation_traits{operation::linear, "linear", reach::products},
    operation_traits{operation::batch_norm, "batch_norm", reach::channel},
    operation_traits{operation::relu, "relu", reach::channel},
    operation_traits{operation::max_pool, "max_pool", reach::channel},
    operation_traits{operation::average_pool, "average_pool", reach::channel},
    operation_traits{operation::global_average_pool, "global_average_pool", reach::channel},
    operation_traits{operation::add, "add", reach::channel},
    operation_traits{operation::subsample, "subsample", reach::channel},
    operation_traits{operation::embedding, "embedding", reach::all},
    operation_traits{operation::positions, "positions", reach::channel},
    operation_traits{operation::layer_norm, "layer_norm", reach::all},
    operation_traits{operation::gelu, "gelu", reach::channel},
    operation_traits{operation::attention, "attention", reach::all},
};

namespace detail {

consteval bool in_order() {
  for (std::size_t k = 0; k < operations.size(); ++k) {
    if (operations[k].what != static_cast<operation>(k)) return false;
  }
  return true;
}
static_assert(in_order(), "a line for each operation, in the order of the enumeration");

}  // namespace detail

constexpr const operation_traits& traits_of(operation what) {
  return operations[static_cast<std::size_t>(what)];
}

/// Whether each output channel is a sum of products over all input channels.
constexpr bool mixes(operation what) { return traits_of(what).reach == reach::products; }

}  // namespace zo::nn
