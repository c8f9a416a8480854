#!/usr/bin/env bash
# Usage: arguments_test.sh EMULATED [ZO_CUDA_CLAIMS]. Wrong options of scripts/gpu-check and of
# zo_cuda_claims, emulated and, where there is nvcc, for a GPU: a sentence and an exit code.
set -u
emulated=$1
check=$(dirname "${BASH_SOURCE[0]}")/../../scripts/gpu-check
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

expect 0 "--googletest DIR" "$check" --help
expect 2 "unknown option '--fast'" "$check" --fast
expect 2 "--skip needs a value" "$check" --skip
expect 2 "there is no such stage" "$check" --skip everything
expect 2 "no sources of GoogleTest" "$check" --googletest /does/not/exist
expect 2 "no such folder" "$check" --json /does/not/exist/rows.json

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for claims in "$@"; do
  expect 0 "--torch FILE" "$claims" --help
  expect 0 "against copy on the device: >= 0.85" "$claims" --list
  expect 2 "unknown option --fast" "$claims" --fast
  expect 2 "--torch needs a value" "$claims" --torch
  expect 2 "no claim contains 'no such claim'" "$claims" --only "no such claim"
  expect 3 "cannot read $folder/none.json" "$claims" --torch "$folder/none.json"
done
[ $# -lt 2 ] || expect 3 "there is no CUDA device here" env CUDA_VISIBLE_DEVICES= "$2"

# A peer's time, and a peer that failed.
echo '{"torch": "9.9", "mezo_float_1e8": 1.5, "mezo_float_1e9_failed": "no memory"}' >"$folder/torch.json"
mezo=("$emulated" --smoke --only "as published" --torch "$folder/torch.json")
expect 0 "1.5e+06 us/step" "${mezo[@]}"
expect 0 "PyTorch 9.9" "${mezo[@]}"
expect 0 "could not do it: no memory" "${mezo[@]}"
expect 0 "written" "$emulated" --smoke --only Rademacher --json "$folder/rows.json"
expect 0 '"gpu": "zo CUDA emulator"' cat "$folder/rows.json"
exit "$((failures > 0))"
