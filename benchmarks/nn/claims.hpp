// The claims of zo_network_claims: one function a source file; claims.cpp lists them.
#pragma once

#include <vector>

#include "claim.hpp"

namespace bench {

std::vector<claim> forward_claims();
std::vector<claim> step_claims();
std::vector<claim> mechanism_claims();

}  // namespace bench
