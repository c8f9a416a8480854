// What the programs that judge claims share: command line, table, JSON, exit codes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "claim.hpp"
#include "context.hpp"

namespace bench {

/// An option that only one program has. It takes a value.
struct own_option {
  std::string name, value, help;
  std::string* to;
};

struct program {
  std::string name;
  std::function<std::vector<claim>()> claims;  // called when the options are known
  std::function<facts()> context;              // called once, before anything is measured
  effort how{};
  std::vector<own_option> options{};
};

/// What main() returns: measures the claims that the arguments choose, prints a row for each,
/// judges each bar.
int judge(const program& what, int count, char** values);

}  // namespace bench
