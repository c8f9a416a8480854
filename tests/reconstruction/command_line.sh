#!/bin/sh
# command_line.sh PROGRAM: wrong options give one sentence and exit code 2, what fails one sentence and
# exit code 1; neither changes anything.
set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# refused CODE PATTERN ARGUMENTS...: exits with CODE, with one line on stderr that holds PATTERN.
refused() {
  code=$1
  pattern=$2
  shift 2
  "$program" "$@" >"$work/out" 2>"$work/err"
  status=$?
  if [ "$status" -ne "$code" ] || ! grep -q -e "$pattern" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "exit $status: $*"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

refused 2 "no-such-flag" --no-such-flag
refused 2 "method" --method magic
refused 2 "measurements" --measurements 0
refused 2 "attack-steps" --attack-steps 0
refused 2 "leave it out" --method fo-ds --directions 3
refused 1 "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"
touch "$work/file"
refused 1 "dataset-fashion-mnist\|file" --out "$work/file"
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }
[ -e "$work/run" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }
exit "$failures"
