#!/usr/bin/env bash
# Usage: arguments_test.sh ZO_CLAIMS [ZO_MPI_CLAIMS]. Wrong options of scripts/bench and zo_claims: a sentence that
# names the mistake and exit code 2, before anything is built or measured.
set -u
claims=$1
bench=$(dirname "${BASH_SOURCE[0]}")/../scripts/bench
failures=0

expect() { # exit code, text of the answer, command …
  local wanted=$1 text=$2 answer code
  shift 2
  answer=$("$@" 2>&1)
  code=$?
  if [ "$code" -ne "$wanted" ] || [[ $answer != *"$text"* ]]; then
    echo "Wanted exit code $wanted and '$text' of: $*"
    echo "Got exit code $code and: $answer"
    failures=$((failures + 1))
  fi
}

expect 0 "--json FILE" "$bench" --help
expect 2 "unknown option '--jsn'" "$bench" --jsn
expect 2 "unknown option '--micro'" "$bench" --networks --micro
expect 2 "unknown option '--networks'" "$bench" --mpi --networks
expect 2 "unknown option '--networks'" "$bench" --costs --networks
expect 2 "--json needs a value" "$bench" --json
expect 2 "--json needs a value" "$bench" --json ""
expect 2 "no such folder" "$bench" --json /does/not/exist/rows.json
expect 2 "is a folder" "$bench" --json /tmp
expect 2 "--only needs a value" "$bench" --only

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
expect 0 "--json FILE" "$claims" --help
expect 2 "unknown option --fast" "$claims" --fast
expect 2 "--json needs a value" "$claims" --json
expect 2 "no claim contains 'no such claim'" "$claims" --only "no such claim"
expect 0 "Allocations per query" "$claims" --only Allocations --json "$folder/rows.json"
expect 0 '"holds": true' cat "$folder/rows.json"
expect 3 "cannot write" "$claims" --only Allocations --json "$folder/missing/rows.json"
expect 3 "cannot print the results: No space left" bash -c '"$0" --list >/dev/full' "$claims"
expect 3 "cannot print the results: No space left" bash -c '"$0" --help >/dev/full' "$claims"

# Alone, without mpirun; the second has nobody to share with.
if [ -n "${2:-}" ]; then
  expect 2 "unknown option --fast" "$2" --fast
  expect 0 "against 8 bytes a query: <= 1.1" "$2" --list
  expect 1 "needs two processes: mpirun -n 2" "$2" --smoke --only RGE
fi
exit "$((failures > 0))"
