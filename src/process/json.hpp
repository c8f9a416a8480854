// The JSON in which programs and services are asked and answer. Numbers keep every bit; "nan",
// "inf" and "-inf" are texts, because JSON has no such numbers.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "process/text.hpp"

namespace zo::detail::programs {

/// Appends [x1,x2,…].
template <class T>
void write_json(std::span<const T> x, std::string& text);

/// Appends the question as a line, {"x":[x1,…],"sample":7}.
template <class T>
void write_json(const question<T>& asked, std::string& line);

/// Reads {"answer": y}, {"answer": [y1, …]} or {"failure": "why"}.
reading read_json(std::string_view line, std::span<double> numbers);

/// Reads {"answers": [y1, …], "failures": [null, "why", …]} of as many points as `wrong` has, of
/// which numbers has equal shares. wrong[k] becomes why point k has no answer, its numbers then
/// stay as they are. Returns what is wrong with the whole, empty: nothing.
std::string read_json_batch(std::string_view text, std::span<double> numbers,
                            std::span<std::string> wrong);

}  // namespace zo::detail::programs
