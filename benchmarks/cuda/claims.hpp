// The claims of zo_cuda_claims: one function a source file; claims.cpp lists them.
#pragma once

#include <vector>

#include "claim.hpp"
#include "torch_times.hpp"

namespace bench {

std::vector<claim> ceiling_claims();
std::vector<claim> candidate_claims();
std::vector<claim> accumulation_claims();
std::vector<claim> optimizer_claims();
std::vector<claim> lazy_claims(const torch_times& torch);
std::vector<claim> mezo_claims(const torch_times& torch);
std::vector<claim> network_claims();
std::vector<claim> step_claims(const torch_times& torch);
std::vector<claim> launch_claims();

}  // namespace bench
