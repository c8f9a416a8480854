#include "process/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace zo::detail::programs {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

template <class Number>
void append(Number value, std::string& line) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  line.append(text.data(), written.ptr);
}

// Takes the next word off the line.
std::string_view next_word(std::string_view& line) {
  const char* const first = std::find_if_not(line.begin(), line.end(), is_blank);
  const char* const end = std::find_if(first, line.end(), is_blank);
  line = {end, line.end()};
  return {first, end};
}

std::string read_number(std::string_view word, double& number) {
  std::string_view digits = word;
  if (digits.starts_with('+')) digits.remove_prefix(1);  // as printf("%+g") has it
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec == std::errc::result_out_of_range) {
    return "answered " + quoted(word) + ", which is beyond what a double holds";
  }
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) {
    return "answered " + quoted(word) + ", which is no number";
  }
  return {};
}

}  // namespace

void append_number(double value, std::string& text) { append(value, text); }

template <class T>
void write_question(const question<T>& asked, std::string& line) {
  if (asked.first) append(*asked.first, line);
  for (const T value : asked.x) {
    if (!line.empty()) line += ' ';
    append(static_cast<double>(value), line);
  }
  line += '\n';
}
template void write_question(const question<float>&, std::string&);
template void write_question(const question<double>&, std::string&);

std::string read_numbers(std::string_view line, std::span<double> numbers) {
  std::size_t count = 0;
  for (std::string_view rest = line, word; !(word = next_word(rest)).empty(); ++count) {
    double number = 0;
    std::string wrong = read_number(word, number);
    if (!wrong.empty()) return wrong;
    if (count < numbers.size()) numbers[count] = number;
  }
  if (count == numbers.size()) return {};
  const bool one = numbers.size() == 1;
  return "answered " + std::to_string(count) + (count == 1 ? " number" : " numbers") + " where " +
         std::to_string(numbers.size()) + (one ? " is" : " are") + " wanted: " + quoted(line);
}

std::string quoted(std::string_view text, std::size_t most) {
  std::string quote = "\"";
  for (const char c : text.substr(0, most)) {
    quote += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? '?' : c;
  }
  return quote + (text.size() > most ? "…\"" : "\"");
}

std::string last_lines(std::string_view text, int lines) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t start = text.size();
  for (int line = 0; line < lines && start > 0; ++line) {
    const std::size_t end = start == text.size() ? start : start - 1;
    const std::size_t before = end == 0 ? text.npos : text.rfind('\n', end - 1);
    start = before == text.npos ? 0 : before + 1;
  }
  std::string found;
  for (const char c : text.substr(start)) {
    if (c == '\n') {
      found += "\n  ";
    } else if (static_cast<unsigned char>(c) >= ' ' || c == '\t') {
      found += c;
    }
  }
  return found.empty() ? found : "\n  " + found;
}

}  // namespace zo::detail::programs
