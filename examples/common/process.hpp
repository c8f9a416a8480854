// How the process uses the machine: what makes long numeric programs faster, and lets them live.
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

/// Where the program was started without a standard input, output or error, opens the number for
/// /dev/null: otherwise it would become that of a file, and the next message would go into it.
void keep_standard_streams();

/// Makes a closed pipe and a file at its size limit errors of the write, which are reported,
/// instead of signals that end the program before it has saved anything.
void survive_failed_writes();

}  // namespace app
