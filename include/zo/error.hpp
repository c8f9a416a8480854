// Error messages: sentences that name the place, the rule and the value that broke it.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "zo/config.hpp"

namespace zo {

/// Thrown when a part of the library is asked for that this build does not contain.
// Visible, so that a program of hidden symbols knows it when a shared library throws it.
struct [[gnu::visibility("default")]] not_compiled : std::runtime_error {
  not_compiled(const std::string& part, const std::string& remedy)
      : std::runtime_error("zo: this build has no " + part + ": " + remedy) {}
};

namespace detail {

// Text of numbers, with a point whatever the program's locale has: that reads well, such as 0.001,
// and with so many digits behind the point.
std::string number_text(double value, int digits = 6);
std::string fixed_text(double value, int digits);

template <class Part>
std::string text_of(const Part& part) {
  if constexpr (std::is_floating_point_v<Part>) {
    return number_text(static_cast<double>(part));
  } else if constexpr (std::is_arithmetic_v<Part>) {
    return std::to_string(part);
  } else {
    return std::string(std::string_view(part));
  }
}

/// Throws std::invalid_argument with the concatenated parts unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) throw std::invalid_argument((text_of(parts) + ...));
}

// Numbers of the user's in memory: there, and where their type may lie.
template <class T>
void check_alignment(const char* who, const char* name, const T* data) {
  require(reinterpret_cast<std::uintptr_t>(data) % alignof(T) == 0, who, ": ", name,
          " must lie at a multiple of ", alignof(T),
          " bytes, as its type does; copy it to such a place");
}
template <class T>
void check_memory(const char* who, const char* name, const T* data) {
  require(data != nullptr, who, ": ", name, " is a null pointer");
  check_alignment(who, name, data);
}

// Rows of as many numbers each, in all.
inline index_t checked_product(const char* who, index_t rows, index_t dimension) {
  index_t product = 0;
  require(!__builtin_mul_overflow(rows, dimension, &product) &&
              product <= std::numeric_limits<index_t>::max() / static_cast<index_t>(sizeof(double)),
          who, ": ", rows, " rows of ", dimension, " numbers are more than any memory holds");
  return product;
}

}  // namespace detail
}  // namespace zo
