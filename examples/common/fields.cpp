#include "common/fields.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "common/checkpoint.hpp"
#include "common/text.hpp"

namespace app {
namespace {

using json = nlohmann::json;

/// The number that is all of `text`, or nothing.
template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<std::int64_t> whole_in(const json& value) {
  if (value.is_string()) return number_in<std::int64_t>(value.get_ref<const std::string&>());
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return value.get<std::int64_t>();
}

std::optional<double> double_in(const json& value) {
  if (value.is_string()) return number_in<double>(value.get_ref<const std::string&>());
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

/// Programs write lists of objects of numbers. Deeper values would be walked by recursion.
bool is_flat(std::string_view text) {
  constexpr int deepest = 8;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return true;
}

}  // namespace

fields::fields(std::string source, const std::map<std::string, std::string>& metadata)
    : fields(std::move(source), json(metadata), "") {}

fields::fields(std::string source, json values, std::string label)
    : source_(std::move(source)), values_(std::move(values)), label_(std::move(label)) {}

const json& fields::at(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) refuse_checkpoint(source_, "its " + label_ + name + " is missing");
  return *found;
}

void fields::refuse(const std::string& name, const std::string& wanted) const {
  refuse_checkpoint(source_,
                    "its " + label_ + name + " is " + text_of(at(name)) + " and not " + wanted);
}

void fields::require(bool holds, const std::string& name, const std::string& why) const {
  if (!holds) refuse_checkpoint(source_, "its " + label_ + name + " " + why);
}

std::int64_t fields::whole(const std::string& name, std::int64_t lowest,
                           std::int64_t highest) const {
  const auto value = whole_in(at(name));
  if (!value || *value < lowest || *value > highest) {
    refuse(name,
           "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return *value;
}

double fields::number(const std::string& name, double lowest, double highest) const {
  const auto value = double_in(at(name));
  if (!value || !std::isfinite(*value) || *value < lowest || *value > highest) {
    refuse(name, "a number from " + shortest(lowest) + " to " + shortest(highest));
  }
  return *value;
}

double fields::number_or_nan(const std::string& name, double lowest, double highest) const {
  const auto value = double_in(at(name));
  return value && std::isnan(*value) ? *value : number(name, lowest, highest);
}

json fields::parsed(const std::string& name) const {
  const json& value = at(name);
  if (!value.is_string()) return value;
  const auto& text = value.get_ref<const std::string&>();
  if (!is_flat(text)) refuse_checkpoint(source_, "its " + label_ + name + " is nested too deeply");
  json found = json::parse(text, nullptr, false);
  // The parser stops at a zero byte.
  if (found.is_discarded() || text.find('\0') != text.npos) refuse(name, "JSON");
  return found;
}

json fields::object(const std::string& name) const {
  json found = parsed(name);
  if (!found.is_object()) refuse(name, "an object");
  return found;
}

std::vector<fields> fields::list(const std::string& name) const {
  const json found = parsed(name);
  if (!found.is_array() ||
      !std::ranges::all_of(found, [](const json& j) { return j.is_object(); })) {
    refuse(name, "a list of objects");
  }
  std::vector<fields> out;
  for (const json& each : found) {
    const std::string number = std::to_string(out.size());
    out.push_back(fields(source_, each, label_ + name + "[" + number + "]."));
  }
  return out;
}

std::string text_of(const json& value) {
  constexpr std::size_t longest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  return text;
}

}  // namespace app
