// The vocabulary of the compiled kernels: directions, optimizers and networks are written in it,
// and each instruction set is a file beside this one that gives it. A source file includes its set,
// then its kernels. All is in unnamed namespaces, because each instruction set compiles its own
// copy and the linker must not mix them.
//
//   registers           vectors that the processor has names for
//   part<T>             part<T>::width numbers in a register; part<T>(a) is a in each
//     load, store         of consecutive numbers
//     load_first,         the same, where only the first `count` exist; any count, also below 0 or
//     store_first         beyond the width
//     + - *, root         rounded once
//     fused(a, b, c)      a * b + c, rounded once
//   pack                the lanes of a direction that are computed together
//     f32, u32, word      floats, words, and words of a counter, with the operations of
//                         zo/law/arithmetic.hpp and zo/random.hpp
//     counters(first)     first, first + 1, …; merge() makes a u32 of a word
//     first(a, count)     zero in all but the first `count` lanes
//   row<T>              the coordinates of a pack, in the scalar type T of the caller
//     fma, add_square,    row + w * a, row + a * a, and row + w with the sign that the top bit of
//     add_signed          each word says
#pragma once

#include <cstdint>

#include "zo/config.hpp"

namespace zo::detail {

// Two neighbouring channels of one sample in bfloat16, the first in the low half. Products of pairs
// halve the arithmetic where the processor has instructions for them.
struct bfloat16_pair {
  std::uint32_t bits;
};

namespace {

template <class T>
struct part;
template <class T>
struct row;

}  // namespace
}  // namespace zo::detail
