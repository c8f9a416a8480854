#include "parameters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace cli {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// JSON has no infinities.
json number(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

double number_at(const json& one, const char* key, double otherwise) {
  if (!one.contains(key) || one.at(key).is_null()) return otherwise;
  const json& value = one.at(key);
  if (value.is_string()) return number_of(value.get<std::string>(), key);
  if (!value.is_number())
    throw usage_error(std::string("a parameter's ") + key + " must be a number");
  return value.get<double>();
}

}  // namespace

double number_of(const std::string& text, const std::string& what) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const char* const begin = text.data() + (text.starts_with("+") ? 1 : 0);
  const auto [at, error] = std::from_chars(begin, end, value);
  if (error != std::errc{} || at != end || text.empty() || std::isnan(value)) {
    throw usage_error(what + " must be numbers, got '" + text + "'");
  }
  return value;
}

std::string text_of(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::vector<zo::parameter> parameters_of(const parameter_lists& lists) {
  const std::size_t count =
      std::max({lists.names.size(), lists.start.size(), lists.lower.size(), lists.upper.size()});
  if (count == 0) {
    throw usage_error(
        "say what the parameters are: --start, or --lower and --upper, with a number each, or "
        "--parameters FILE");
  }
  const auto check = [&](const char* option, std::size_t size) {
    if (size != 0 && size != count) {
      throw usage_error(std::string(option) + " has " + std::to_string(size) +
                        " entries, and another list " + std::to_string(count) +
                        "; give one for each parameter");
    }
  };
  check("--names", lists.names.size());
  check("--start", lists.start.size());
  check("--lower", lists.lower.size());
  check("--upper", lists.upper.size());
  std::vector<zo::parameter> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    zo::parameter& one = all[i];
    one.name = lists.names.empty() ? "x" + std::to_string(i + 1) : lists.names[i];
    if (!lists.start.empty()) one.start = number_of(lists.start[i], "--start");
    if (!lists.lower.empty()) one.lower = number_of(lists.lower[i], "--lower");
    if (!lists.upper.empty()) one.upper = number_of(lists.upper[i], "--upper");
  }
  const auto named = [&](const char* option, const std::vector<std::string>& names,
                         const auto& change) {
    for (const std::string& name : names) {
      const auto found = std::ranges::find(all, name, &zo::parameter::name);
      if (found == all.end())
        throw usage_error(std::string(option) + ": there is no parameter " + name);
      change(*found);
    }
  };
  named("--log-scale", lists.log_scale, [](zo::parameter& one) { one.scale = zo::scale::log; });
  named("--integer", lists.whole, [](zo::parameter& one) { one.whole = true; });
  return all;
}

std::vector<zo::parameter> parameters_of(const json& list) {
  if (!list.is_array() || list.empty()) {
    throw usage_error(
        R"(parameters are a list such as [{"name": "camber", "lower": 0, "upper": 0.09, "start": 0.02}])");
  }
  std::vector<zo::parameter> all;
  for (const json& one : list) {
    if (!one.is_object())
      throw usage_error(
          R"(each parameter is an object such as {"name": "camber", "lower": 0, "upper": 0.09})");
    for (const auto& [key, value] : one.items()) {
      static constexpr std::array known{"name",  "lower", "upper", "start",
                                        "scale", "whole", "unit"};
      if (std::ranges::find(known, key) == known.end()) {
        throw usage_error("a parameter has no " + key +
                          "; it has name, lower, upper, start, scale, whole, unit");
      }
    }
    zo::parameter made;
    made.name = one.value("name", "x" + std::to_string(all.size() + 1));
    made.lower = number_at(one, "lower", -infinity);
    made.upper = number_at(one, "upper", infinity);
    if (one.contains("start")) made.start = number_at(one, "start", 0);
    if (one.contains("unit")) made.unit = number_at(one, "unit", 1);
    const std::string scale = one.value("scale", "linear");
    if (scale != "linear" && scale != "log")
      throw usage_error("a scale is linear or log, got " + scale);
    made.scale = scale == "log" ? zo::scale::log : zo::scale::linear;
    made.whole = one.value("whole", false);
    all.push_back(made);
  }
  return all;
}

json to_json(const std::vector<zo::parameter>& parameters) {
  json list = json::array();
  for (const zo::parameter& one : parameters) {
    json made;
    made["name"] = one.name;
    made["lower"] = number(one.lower);
    made["upper"] = number(one.upper);
    if (one.start) made["start"] = *one.start;
    if (one.scale == zo::scale::log) made["scale"] = "log";
    if (one.whole) made["whole"] = true;
    if (one.unit) made["unit"] = *one.unit;
    list.push_back(made);
  }
  return list;
}

}  // namespace cli
