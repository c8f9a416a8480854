// What the SIMD form of a law is written with.
#pragma once

#include "simd/pack.hpp"
#include "zo/law.hpp"

namespace zo::detail {
namespace {

inline words4<pack::u32> group_words(const stream& from, index_t block) {
  const auto constant = from.counter(0);
  const words4<pack::word> counter{pack::counters(static_cast<std::uint32_t>(block)),
                                   pack::broadcast(constant.w1), pack::broadcast(constant.w2),
                                   pack::broadcast(constant.w3)};
  const auto out = philox4x32_10(counter, from.key0(), from.key1());
  return {pack::merge(out.w0), pack::merge(out.w1), pack::merge(out.w2), pack::merge(out.w3)};
}

inline stream with_number(stream from, index_t number) {
  from.number = static_cast<std::uint32_t>(number);
  return from;
}

// The SIMD form of a law, on one group of coordinates of which `count` exist:
//   sum(from, directions, weights, group, count, x, out)   out = x + sum over k of weights[k] u_k
//   squares(from, first, count)                             of the raw values of one tile
template <class L>
struct law_kernel;

}  // namespace
}  // namespace zo::detail
