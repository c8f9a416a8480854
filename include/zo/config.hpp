// What every other header needs: the index type, the version, the host/device marker.
#pragma once

#if __cplusplus < 202002L
#error "zo is written in C++20: compile with -std=c++20"
#endif

#if !defined(__cpp_exceptions)
#error "zo reports errors by exceptions: compile without -fno-exceptions"
#endif

#include <concepts>
#include <cstdint>

#if defined(__CUDACC__)
#define ZO_HD __host__ __device__
#else
#define ZO_HD
#endif

namespace zo {

/// Sizes, coordinates and query counts. Signed, 64 bits, on the host and on the device.
using index_t = std::int64_t;

/// The scalar types of x and gradient.
template <class T>
concept scalar = std::same_as<T, float> || std::same_as<T, double>;

inline constexpr int version_major = 0;
inline constexpr int version_minor = 3;
inline constexpr int version_patch = 0;

namespace detail {

// A constraint with a sentence, which compilers show where it does not hold.
constexpr bool rule(bool holds, const char* /*sentence*/) { return holds; }

// A number where options are wanted.
template <class N>
concept number = std::integral<N> || std::floating_point<N>;

}  // namespace detail
}  // namespace zo
