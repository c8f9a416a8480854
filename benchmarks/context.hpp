// What the figures depend on besides the code: written beside every result.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

using facts = std::vector<std::pair<std::string, std::string>>;

/// commit, compiler, flags of the benchmark programs, threads, CPU, instruction set of zo's
/// kernels.
facts context();

/// Where ZO_INSTRUCTION_SET gives zo less than the machine has, those peers get no more that ask
/// the environment: says so, or nothing. To be called before any of them.
std::string limit_peers();

}  // namespace bench
