#!/bin/sh
# command_line.sh PROGRAM: wrong options give one sentence and exit code 2, what fails one sentence and
# exit code 1; a whole run leaves its files, and those of an unfinished one are kept.
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
  if [ "$status" -ne "$code" ]; then
    echo "exit $status: $*"
    cat "$work/err"
    failures=$((failures + 1))
  elif ! grep -q -e "$pattern" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "wrong message for $*:"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

refused 2 "no-such-flag" --no-such-flag
refused 2 "method" --method magic
refused 2 "q must be at most --latent, 8" --latent 8 --q 9
refused 2 "leave out --rate" --tune --rate 0.1
refused 2 "seeds is for certificates" --tune --seeds 2
refused 2 "rate: must be a number above 0, got 0" --rate 0
refused 2 "interval is for deepzero" --interval 5 --method zo-ds
refused 1 "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"

# What follows needs images.
small="--classifier-steps 2 --autoencoder-steps 2 --latent 12 --q 12 --width 2 --depth 3 --batch 4 --steps 2
  --start-steps 2 --evaluations 1 --held-out 40 --seeds 2 --images 2 --n 40 --n0 20 --threads 1 --quiet"
# shellcheck disable=SC2086  # words on purpose
"$program" $small --out "$work/run" >"$work/out" 2>"$work/err" || {
  cat "$work/err"
  grep -q "dataset-fashion-mnist" "$work/err" && exit "$failures"
  failures=$((failures + 1))
}
for name in none start fo-ds fo-ae-ds zo-ds zo-ae-ds deepzero weights-rge activations; do
  grep -q "^$name .* ± .* ± " "$work/out" || [ "$name" = none ] ||
    { echo "$name is not in the table"; cat "$work/out"; failures=$((failures + 1)); }
done
for file in summary.json results.csv curve.csv images.png certified_accuracy.csv accuracy_queries.csv; do
  [ -s "$work/run/$file" ] || { echo "no $file"; failures=$((failures + 1)); }
done
# 2 seeds of each, the radius that 40 copies can certify; 4 + 13 images a question for each of 2 steps.
[ "$(grep -c '^deepzero,\|^zo-ds,\|^activations,' "$work/run/results.csv")" -eq 12 ] ||
  { cat "$work/run/results.csv"; failures=$((failures + 1)); }
for name in zo-ds zo-ae-ds weights-rge activations; do
  grep -q "^$name,1,[^,]*,56,112," "$work/run/results.csv" ||
    { echo "$name has other queries"; cat "$work/run/results.csv"; failures=$((failures + 1)); }
done
refused 2 "weights in .* parameters" --width 2 --depth 3 --q 4 --latent 8 --out "$work/other" --quiet
[ -e "$work/other" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }
# shellcheck disable=SC2086
refused 1 "rate was" $small --rate 0.5 --resume --out "$work/run"
# shellcheck disable=SC2086
refused 1 "give a lower --rate" $small --rate 1e30 --method deepzero --out "$work/diverged"
exit "$failures"
