#!/bin/sh
# command_line.sh PROGRAM: wrong options give one sentence and exit code 2, what fails one sentence and
# exit code 1; a whole run of every method leaves its tables and files.
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
refused 2 "kernel must be odd, got 4" --kernel 4
refused 2 "unroll must be at most --frames, 10, got 11" --frames 10 --unroll 11
refused 2 "reynolds" --reynolds 0
refused 2 "calls must be at least" --method boundary-cge --calls 1000
refused 2 "leave it out" --method fo --directions 3
refused 2 "leave it out" --method chain --steps 3
refused 2 "leave it out" --method fo --mu 0.1
refused 2 "excludes" --fresh --resume
[ -e runs/wake ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }
touch "$work/file"
refused 1 "file" --out "$work/file"
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }

small="--rows 8 --factor 2 --settling 10 --frames 8 --test-steps 10 --starts 2 --reynolds 80,200 --test-reynolds 120
  --unroll 3 --batch 2 --steps 4 --calls 3000 --channels 2 --seeds 2 --evaluations 2 --threads 1 --quiet"
# shellcheck disable=SC2086  # words on purpose
"$program" $small --out "$work/run" >"$work/out" 2>"$work/err" ||
  { cat "$work/err"; failures=$((failures + 1)); }
for name in SRC NON CUT ZO FO sparse-cge rge suffix-rge boundary-rge boundary-cge chain; do
  grep -q "^$name  " "$work/out" || { echo "$name is not in the tables"; cat "$work/out"; failures=$((failures + 1)); }
done
for file in summary.json curve.csv simulations.csv wake_flow.png wake_error.png error_calls.png error_time.png; do
  [ -s "$work/run/$file" ] || { echo "no $file"; failures=$((failures + 1)); }
done
# A row for each of 2 test simulations: of src once, of 9 methods twice.
[ "$(wc -l <"$work/run/simulations.csv")" -eq 39 ] ||
  { cat "$work/run/simulations.csv"; failures=$((failures + 1)); }
# 6 states a step.
grep -q "^fo,1,4,24," "$work/run/curve.csv" || { cat "$work/run/curve.csv"; failures=$((failures + 1)); }
# shellcheck disable=SC2086
refused 1 "rate was" $small --method fo,chain --rate 0.5 --resume --out "$work/run"
# shellcheck disable=SC2086
refused 1 "give a lower --rate" $small --rate 1e30 --method fo,chain --out "$work/diverged"
exit "$failures"
