// Counts the allocations of the whole program: allocations.cpp replaces operator new.
#pragma once

namespace bench {

long allocations();  // so far

}  // namespace bench
