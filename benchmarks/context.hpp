// What the figures depend on besides the code: written beside every result.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// commit, compiler, flags of the benchmark programs, threads, CPU, instruction set of zo's
/// kernels.
std::vector<std::pair<std::string, std::string>> context();

}  // namespace bench
