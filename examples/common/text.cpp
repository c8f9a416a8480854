#include "common/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

namespace app {

namespace {

/// A character of UTF-8 text, or one byte that is none.
struct character {
  std::size_t size = 1;
  char32_t code = 0;
  bool valid = false;
};

character first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t code = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[size] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return {};
  return {size, code, true};
}

/// Control characters, and those that change the direction or the place of others.
bool disturbs(char32_t code) {
  struct range {
    char32_t first, last;
  };
  constexpr std::array<range, 8> ranges = {{{0, 0x1f},
                                            {0x7f, 0x9f},
                                            {0x61c, 0x61c},
                                            {0x200b, 0x200f},
                                            {0x2028, 0x202e},
                                            {0x2060, 0x206f},
                                            {0xfeff, 0xfeff},
                                            {0xfff9, 0xfffb}}};
  return std::ranges::any_of(ranges,
                             [&](const range& r) { return code >= r.first && code <= r.last; });
}

}  // namespace

std::string printable(std::string_view text, std::string_view also) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const character next = first_of(text);
    const std::string_view bytes = text.substr(0, next.size);
    text.remove_prefix(next.size);
    if (!next.valid || disturbs(next.code)) {
      for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte / 16];
        out += digits[byte % 16];
      }
    } else {
      if (also.find(bytes) != std::string_view::npos) out += '\\';
      out += bytes;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 120;
  std::size_t size = std::min(longest, text.size());
  // Not within a character.
  while (size < text.size() && size > longest - 4 &&
         (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  return '"' + printable(text.substr(0, size), "\"\\") + (size < text.size() ? "...\"" : "\"");
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return shortest(value);
  std::array<char, 512> buffer{};  // the largest double has 309 digits before the point
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::fixed, std::clamp(digits, 0, 100));
  return error == std::errc{} ? std::string(buffer.data(), end) : shortest(value);
}

std::string shortest(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  constexpr std::array units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fixed(value, 1) + ' ' + units[unit];
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not a UTF-8 continuation byte
  }));
}

}  // namespace app
