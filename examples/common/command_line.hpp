// Checks of options for programs that read their command line with CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <string>

namespace app {

/// Refuses an option's text with a sentence. CLI11's own sentences print the largest number of the
/// type in full, three hundred digits of it.
inline CLI::Validator must_be(const std::string& what, bool (*good)(double)) {
  return {[what, good](const std::string& text) {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            const bool number = end != text.c_str() && *end == '\0' && std::isfinite(value);
            return number && good(value) ? std::string() : "must be " + what + ", got " + text;
          },
          ""};
}

inline const CLI::Validator at_least_one = must_be("a whole number above 0", [](double value) {
  return value >= 1 && value <= 1e12 && value == std::floor(value);
});
inline const CLI::Validator positive =
    must_be("a number above 0", [](double value) { return value > 0; });
inline const CLI::Validator not_negative =
    must_be("a number from 0 on", [](double value) { return value >= 0; });

}  // namespace app
