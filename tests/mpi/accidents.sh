#!/bin/sh
# accidents.sh MPIEXEC PROGRAM: whatever happens to one process ends the job, soon, with a sentence.
set -u
mpiexec=$1
program=$2
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ends KIND PATTERN: the job does not succeed, does not hang, and says PATTERN.
ends() {
  timeout 60 "$mpiexec" -n 3 "$program" "$1" >"$work/out" 2>&1
  status=$?
  if [ "$status" -eq 0 ] || [ "$status" -eq 124 ] || ! grep -q -e "$2" "$work/out" ||
    grep -q "done" "$work/out"; then
    echo "$1: exit $status"
    cat "$work/out"
    failures=$((failures + 1))
  fi
}

ends killed "signal 9"
ends throws "^zo::mpi: rank 1 failed: the simulator is out of licences$"
ends stuck "^zo::mpi: rank 0 has waited 0.5 seconds for rank 1; it is stuck or gone"
ends late "^zo::mpi: rank [02] has waited 0.5 seconds for the other ranks to call zo::mpi::over, too$"
ends throws_before "^no such data$"
ends uninitialized "^zo::mpi::over: MPI is not running; call it after MPI_Init"

timeout 60 "$mpiexec" -n 3 "$program" nothing >"$work/out" 2>&1 && grep -q "^done: query budget spent$" "$work/out" || {
  cat "$work/out"
  failures=$((failures + 1))
}
exit "$failures"
