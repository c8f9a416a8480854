// The claims of zo_claims: one function a source file; claims.cpp lists them.
#pragma once

#include <vector>

#include "claim.hpp"

namespace bench {

std::vector<claim> generation_claims();
std::vector<claim> overhead_claims();
std::vector<claim> peer_claims();
std::vector<claim> process_claims();
std::vector<claim> service_claims();
std::vector<claim> vector_claims();
std::vector<claim> worker_claims();

}  // namespace bench
