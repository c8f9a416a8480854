// How the process uses the machine: settings that make long numeric programs faster.
#pragma once

namespace app {

/// Keeps large blocks of memory instead of giving them back to the system at each release. Batches
/// of images are tens of megabytes, and by default glibc has every page of such a block cleared
/// again at the next use: three quarters of the time of a query.
void keep_large_blocks();

/// Lets idle OpenMP threads sleep soon, by starting the program again with that setting; the user's
/// own OMP_WAIT_POLICY or GOMP_SPINCOUNT is respected. Idle threads of libgomp spin for
/// milliseconds, which on a machine with other work makes everything several times slower. To be
/// called first in main().
void limit_spinning(char** argv);

}  // namespace app
