// Numbers as text and back, and texts of others in sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace zo::detail::programs {

/// What is asked: numbers, and before them the sample or the row, if there is one.
template <class T>
struct question {
  std::span<const T> x;
  std::optional<std::uint64_t> first;
  std::string_view name_of_first = "sample";  // or "row"
};

/// What became of an answer.
struct reading {
  std::string wrong{};          // empty: it was read
  bool says_so_itself = false;  // a failure that whoever was asked reports, and survives
};

/// Appends as few digits as give the same double.
void append_number(double value, std::string& text);

/// Appends the question as a line: as few digits as give the same double. A float is written as the
/// double that it is, so that a program may read either.
template <class T>
void write_question(const question<T>& asked, std::string& line);

/// Reads as many numbers as there are. Returns what is wrong with the line, empty: nothing.
std::string read_numbers(std::string_view line, std::span<double> numbers);

/// In quotation marks, shortened, without control characters.
std::string quoted(std::string_view text, std::size_t most = 60);

/// The last lines of a text, each on a line of its own; empty if there are none.
std::string last_lines(std::string_view text, int lines);

}  // namespace zo::detail::programs
