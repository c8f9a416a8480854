// Numbers in text that people and environments give: read as they are written, whatever the locale.
#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>

namespace app {

namespace detail {

template <class T>
std::optional<T> parsed(std::string_view text) {
  T value{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last) return {};
  return value;
}

}  // namespace detail

/// The whole number that `text` is: decimal digits, and a minus before them where T has a sign.
/// None for anything else, and for what T cannot hold.
template <class T>
std::optional<T> whole_number(std::string_view text) {
  return detail::parsed<T>(text);
}

/// The number that `text` is, such as -0.25 or 1e-3. None for anything else, for what is not
/// finite, and for what double cannot hold.
inline std::optional<double> real_number(std::string_view text) {
  const auto value = detail::parsed<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace app
