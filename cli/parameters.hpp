// The parameters of a run, as a command line or a file says them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "zo/space.hpp"

namespace cli {

using json = nlohmann::ordered_json;

/// A mistake of the user's: a sentence that says what to do.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Lists beside each other, as options give them; those that are empty say nothing.
struct parameter_lists {
  std::vector<std::string> names;
  std::vector<std::string> start, lower, upper;  // numbers, or inf, -inf
  std::vector<std::string> log_scale, whole;     // names
};

std::vector<zo::parameter> parameters_of(const parameter_lists& lists);
/// [{"name": …, "lower": …, "upper": …, "start": …, "scale": "log", "whole": true}, …]
std::vector<zo::parameter> parameters_of(const json& list);
json to_json(const std::vector<zo::parameter>& parameters);

/// A number of a text, whole; throws usage_error, which names `what`.
double number_of(const std::string& text, const std::string& what);
/// With all of its digits, as short as may be.
std::string text_of(double value);

}  // namespace cli
