// The fuzz targets' assertion: ends the program in every build type, so that the fuzzer sees it.
#pragma once

#include <cstdlib>

inline void require(bool condition) {
  if (!condition) std::abort();
}
