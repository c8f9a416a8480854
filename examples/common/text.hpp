// Small text helpers: numbers for people, names from untrusted files made safe to print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <zo/progress.hpp>

namespace app {

using zo::format_count;

/// `text` with control characters, also those of Unicode that turn or hide others, and what is not
/// UTF-8 as \xNN, and a backslash before characters of `also`: a text from a file cannot disturb
/// the terminal it is shown on.
std::string printable(std::string_view text, std::string_view also = {});

/// `text` in double quotes, printable, quotes and backslashes escaped and long text shortened.
std::string in_quotes(std::string_view text);

/// Bytes in the unit that keeps the number short: "512 bytes", "1.5 KiB", "2.0 GiB".
std::string format_bytes(std::uint64_t bytes);

/// `value` with exactly `digits` decimals, independent of the locale; "nan" and "inf" as such.
std::string fixed(double value, int digits);

/// The shortest text that reads back as the same double, independent of the locale.
std::string shortest(double value);

/// Columns that `text` takes on a terminal, counted as UTF-8 code points.
std::size_t display_width(std::string_view text);

}  // namespace app
