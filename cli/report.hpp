// What a run has found, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "run.hpp"

namespace cli {

/// Of the answers of a log, or of a run.
struct found {
  std::string status;          // in words
  double best = 0;             // NaN: nothing was answered
  std::vector<double> values;  // of the parameters, where it was found
  std::int64_t queries = 0, failed = 0;
  std::uint64_t steps = 0;
  std::string failure;  // the first one
};

/// A table, or with `as_json` one object, to stdout.
void print(const zo::space& space, const found& result, bool as_json);

/// The lowest answer of a log and where it was given.
void look_at(const zo::journal_contents& log, found& result);

}  // namespace cli
