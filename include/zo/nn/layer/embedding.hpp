// Which row of a table a number chooses.
#pragma once

#include "zo/config.hpp"

namespace zo::nn::detail {

// -1 for what is no whole number from 0 to entries - 1.
template <class T>
ZO_HD index_t row_of_token(T value, index_t entries) {
  if (!(value >= T(0) && value < static_cast<T>(entries))) return -1;
  const auto row = static_cast<index_t>(value);
  return static_cast<T>(row) == value ? row : -1;
}

}  // namespace zo::nn::detail
