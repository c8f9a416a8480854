// The groups of microbenchmarks; benchmarks.cpp registers them. Names read
// group/scheme/distribution/policy/scalar, arguments are d (coordinates) and q (directions).
#pragma once

namespace bench {

void register_directions();
void register_estimators();
void register_limits();

}  // namespace bench
