#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace cli {

void print(const zo::space& space, const found& result, bool as_json) {
  const std::vector<std::string> names = space.names();
  const bool known = !result.values.empty();
  if (as_json) {
    json all;
    all["status"] = result.status;
    all["best"] = std::isnan(result.best) ? json() : json(result.best);
    json values = json::object();
    for (std::size_t i = 0; known && i < names.size(); ++i) values[names[i]] = result.values[i];
    all["values"] = values;
    all["queries"] = result.queries;
    all["failed"] = result.failed;
    all["steps"] = result.steps;
    if (!result.failure.empty()) all["first failure"] = result.failure;
    std::printf("%s\n", all.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return;
  }
  std::size_t width = 7;
  for (const std::string& name : names) width = std::max(width, name.size());
  const auto row = [&](const std::string& name, const std::string& text) {
    std::printf("%-*s  %s\n", static_cast<int>(width), name.c_str(), text.c_str());
  };
  row("status", result.status);
  row("queries", std::to_string(result.queries) + ", " + std::to_string(result.failed) +
                     " failed, " + std::to_string(result.steps) + " steps");
  if (!result.failure.empty()) row("first failure", result.failure);
  row("best", std::isnan(result.best) ? "none yet" : text_of(result.best));
  for (std::size_t i = 0; known && i < names.size(); ++i) row(names[i], text_of(result.values[i]));
}

void look_at(const zo::journal_contents& log, found& result) {
  result.best = std::numeric_limits<double>::quiet_NaN();
  for (const zo::journal_entry& one : log.entries) {
    result.queries += one.queries;
    if (!std::isfinite(one.answer)) {
      ++result.failed;
      if (result.failure.empty()) result.failure = one.failure;
    } else if (!(one.answer >= result.best)) {
      result.best = one.answer;
      result.values = one.values;
    }
  }
}

}  // namespace cli
