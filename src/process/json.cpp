#include "process/json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

namespace zo::detail::programs {
namespace {

using nlohmann::json;

// How much of a text is quoted that is not what it should be.
constexpr std::size_t glimpse = 200;

// What lies deeper than any answer is not kept: brackets cost a byte, and arrays some forty.
json parsed(std::string_view text) {
  constexpr int deepest = 3;
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth <= deepest; };
  return json::parse(text.begin(), text.end(), shallow, false);
}

// One number. Returns whether it is one.
bool read_number(const json& value, double& number) {
  if (value.is_number()) {
    number = value.get<double>();
    return true;
  }
  if (!value.is_string()) return false;
  double read = 0;
  const bool is_word = read_numbers(value.get_ref<const std::string&>(), {&read, 1}).empty();
  if (!is_word || std::isfinite(read)) return false;
  number = read;
  return true;
}

std::string count_of(std::size_t numbers) {
  return std::to_string(numbers) + (numbers == 1 ? " number" : " numbers");
}

// The numbers of one point. Returns what is wrong with them.
std::string read_value(const json& value, std::span<double> numbers) {
  const bool listed = value.is_array();
  const std::size_t count = listed ? value.size() : 1;
  if (count != numbers.size() || (!listed && numbers.size() != 1)) {
    return "answered " + (listed ? count_of(count) : "one number") + " where " +
           count_of(numbers.size()) + (numbers.size() == 1 ? " is wanted" : " are wanted");
  }
  std::vector<double> found(count);
  for (std::size_t i = 0; i < count; ++i) {
    const json& one = listed ? value[i] : value;
    if (!read_number(one, found[i])) return "answered " + quoted(one.dump(), 60) + ", no number";
  }
  std::ranges::copy(found, numbers.begin());
  return {};
}

std::string stated(const json& why) {
  return "says that it failed: " +
         quoted(why.is_string() ? why.get<std::string>() : why.dump(), glimpse);
}

}  // namespace

template <class T>
void write_json(std::span<const T> x, std::string& text) {
  text += '[';
  for (const T given : x) {
    const auto value = static_cast<double>(given);
    if (text.back() != '[') text += ',';
    if (!std::isfinite(value)) text += '"';
    append_number(value, text);
    if (!std::isfinite(value)) text += '"';
    if (value == 0 && std::signbit(value)) text += ".0";  // many read -0 as a whole number
  }
  text += ']';
}
template void write_json(std::span<const float>, std::string&);
template void write_json(std::span<const double>, std::string&);

template <class T>
void write_json(const question<T>& asked, std::string& line) {
  line += "{\"x\":";
  write_json(asked.x, line);
  if (asked.first) {
    line.append(",\"")
        .append(asked.name_of_first)
        .append("\":")
        .append(std::to_string(*asked.first));
  }
  line += "}\n";
}
template void write_json(const question<float>&, std::string&);
template void write_json(const question<double>&, std::string&);

reading read_json(std::string_view line, std::span<double> numbers) {
  const json said = parsed(line);
  if (said.is_object() && said.contains("failure")) return {stated(said["failure"]), true};
  if (!said.is_object() || !said.contains("answer")) {
    return {"answered " + quoted(line) +
            ", where {\"answer\": …} or {\"failure\": \"…\"} is wanted"};
  }
  return {read_value(said["answer"], numbers)};
}

std::string read_json_batch(std::string_view text, std::span<double> numbers,
                            std::span<std::string> wrong) {
  const json said = parsed(text);
  if (said.is_discarded()) return "answered what is no JSON: " + quoted(text, glimpse);
  if (!said.is_object() || !said.contains("answers") || !said["answers"].is_array()) {
    return "answered JSON without an array \"answers\": " + quoted(text, glimpse);
  }
  const json& answers = said["answers"];
  if (answers.size() != wrong.size()) {
    return "gave " + std::to_string(answers.size()) +
           (answers.size() == 1 ? " answer" : " answers") + " to " + std::to_string(wrong.size()) +
           (wrong.size() == 1 ? " point" : " points") + ": " + quoted(text, glimpse);
  }
  const json failures = said.value("failures", json::array());
  const std::size_t width = numbers.size() / wrong.size();
  for (std::size_t k = 0; k < wrong.size(); ++k) {
    if (!answers[k].is_null()) {
      wrong[k] = read_value(answers[k], numbers.subspan(k * width, width));
    } else if (failures.is_array() && k < failures.size() && !failures[k].is_null()) {
      wrong[k] = stated(failures[k]);
    } else {
      wrong[k] = "has no answer, null, and says nothing of why in \"failures\"";
    }
  }
  return {};
}

}  // namespace zo::detail::programs
