// How many multiplications the ways of asking a network about one weight need, counted from its
// description.
#pragma once

#include "zo/nn/network.hpp"

namespace bench {

enum class reuse {
  none,    ///< a whole forward pass
  block,   ///< from the residual block (or the layer outside of one) that holds the weight on
  layer,   ///< from the layer that holds it on
  channel  ///< its one channel, that channel's part of the next layer, and the rest in full
};

/// Taps of convolutions that fall on padding.
enum class borders { multiplied, skipped };

/// Multiplications for one sample when one coordinate of this parameter tensor moves.
zo::index_t multiplications_of(const zo::nn::network& net, const zo::nn::view& moved, reuse how,
                               borders taps);

/// Multiplications of one forward pass of one sample, borders skipped.
zo::index_t inner_multiplications(const zo::nn::network& net);

}  // namespace bench
