#!/bin/sh
# quickstart.sh MPIEXEC PROGRAM: the example of docs/mpi.md finds with two processes what it finds with
# one, to the last digit, and tells of both.
set -u
one=$("$1" -n 1 "$2") && two=$("$1" -n 2 "$2") || exit 1
printf '%s\n%s\n' "$one" "$two"
[ "$(echo "$one" | head -1)" = "$(echo "$two" | head -1)" ] &&
  echo "$two" | head -1 | grep -q "after [0-9]* queries: target reached$" &&
  [ "$(echo "$two" | grep -c "bytes received")" -eq 2 ]
