// Counter-based random numbers: Philox4x32-10. No state, so thread count, chunk size, launch
// geometry and order of use cannot change a number.
#pragma once

#include <cstdint>

#include "zo/config.hpp"

namespace zo {

/// Four 32-bit words: a Philox counter or its answer. Also instantiated with SIMD word packs by the
/// compiled kernels, so that one source defines the generator everywhere.
template <class Word>
struct words4 {
  Word w0, w1, w2, w3;
};

namespace detail {

ZO_HD constexpr void multiply_wide(std::uint32_t factor, std::uint32_t x, std::uint32_t& high,
                                   std::uint32_t& low) {
  const std::uint64_t product = std::uint64_t{factor} * x;
  high = static_cast<std::uint32_t>(product >> 32);
  low = static_cast<std::uint32_t>(product);
}

ZO_HD constexpr std::uint32_t xor3(std::uint32_t a, std::uint32_t b, std::uint32_t key) {
  return a ^ b ^ key;
}

}  // namespace detail

/// Philox4x32-10 of a 128-bit counter under a 64-bit key.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
template <class Word>
ZO_HD constexpr words4<Word> philox4x32_10(words4<Word> counter, std::uint32_t key0,
                                           std::uint32_t key1) {
  using detail::multiply_wide;
  using detail::xor3;
  for (int round = 0; round < 10; ++round) {
    Word high0{}, low0{}, high1{}, low1{};
    multiply_wide(0xD2511F53u, counter.w0, high0, low0);
    multiply_wide(0xCD9E8D57u, counter.w2, high1, low1);
    counter = {xor3(high1, counter.w1, key0), low1, xor3(high0, counter.w3, key1), low0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// What a stream of numbers is for. Streams never overlap: the purpose is part of the counter.
enum class purpose : std::uint8_t { direction = 0, coordinates = 1 };

/// Names one stream of random words as a pure function of its fields.
///
/// seed      the run; becomes the Philox key
/// step      the estimate within the run, below 2^56
/// number    the direction within the estimate, below 2^32
/// use       keeps directions and coordinate choices apart
///
/// The 128-bit counter is (block, number, step, use), each in bits of its own, so two different
/// streams of one seed never share a counter.
struct stream {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint32_t number = 0;
  purpose use = purpose::direction;

  ZO_HD constexpr words4<std::uint32_t> counter(std::uint32_t block) const {
    return {block, number, static_cast<std::uint32_t>(step),
            (static_cast<std::uint32_t>(use) << 24) | static_cast<std::uint32_t>(step >> 32)};
  }
  ZO_HD constexpr std::uint32_t key0() const { return static_cast<std::uint32_t>(seed); }
  ZO_HD constexpr std::uint32_t key1() const { return static_cast<std::uint32_t>(seed >> 32); }

  /// The four random words of one counter block.
  ZO_HD constexpr words4<std::uint32_t> words(std::uint32_t block) const {
    return philox4x32_10(counter(block), key0(), key1());
  }
};

namespace detail {

constexpr bool same(words4<std::uint32_t> a, words4<std::uint32_t> b) {
  return a.w0 == b.w0 && a.w1 == b.w1 && a.w2 == b.w2 && a.w3 == b.w3;
}

// The known answers published with Random123 (kat_vectors).
static_assert(same(philox4x32_10<std::uint32_t>({0, 0, 0, 0}, 0, 0),
                   {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
static_assert(same(philox4x32_10<std::uint32_t>({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                                                0xffffffff, 0xffffffff),
                   {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
static_assert(same(philox4x32_10<std::uint32_t>({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                                0xa4093822, 0x299f31d0),
                   {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));

}  // namespace detail
}  // namespace zo
