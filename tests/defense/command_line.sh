#!/bin/sh
# command_line.sh PROGRAM: wrong options give one sentence and exit code 2, what fails one sentence and
# exit code 1; neither changes anything, and what was computed is kept.
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
  expect "$code" "$pattern" "$*"
}

# expect CODE PATTERN WHAT: of the program that was just run.
expect() {
  status=$?
  if [ "$status" -ne "$1" ]; then
    echo "exit $status: $3"
    cat "$work/err"
    failures=$((failures + 1))
  elif ! grep -q -e "$2" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "wrong message for $3:"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

# Numbers and combinations of options: settings_test.
refused 2 "no-such-flag" --no-such-flag
refused 2 "method" --method magic
refused 2 "q: must be a whole number from 1 to 4294967295, got 5000000000" --method zo-ds --q 5000000000
refused 2 "coordinates" --latent 8 --coordinates 9
refused 1 "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"
refused 1 "CIFAR\|cifar" --dataset cifar10 --data "$work/nowhere" --out "$work/run"
"$program" --help >/dev/full 2>"$work/err"
expect 1 "cannot print the results: No space left" "--help >/dev/full"

# What follows needs images.
small="--classifier-steps 2 --autoencoder-steps 2 --latent 6 --width 4 --depth 3 --batch 8 --steps 4 --images 2
  --n 40 --n0 20 --threads 1 --quiet"
touch "$work/file"
refused 1 "dataset-fashion-mnist\|file" --out "$work/file"
grep -q "dataset-fashion-mnist" "$work/err" && { cat "$work/err"; exit "$failures"; }
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }
refused 2 "images must be at most 10000" --images 10001 --out "$work/other"
[ -e "$work/other" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }

# What cannot be computed is said, with the option that is to blame.
# shellcheck disable=SC2086  # words on purpose
refused 1 "zo-ae-ds-cge.*give a lower --rate\|answers.*give a lower --rate" $small --rate 1e30 \
  --out "$work/run"
# What nobody can read is a failure, and is in the files.
# shellcheck disable=SC2086
"$program" $small --out "$work/full" >/dev/full 2>"$work/err"
expect 1 "cannot print the results: No space left" ">/dev/full"
[ -s "$work/full/summary.json" ] || { echo "no summary"; failures=$((failures + 1)); }

# Ctrl-C and a closed terminal save a checkpoint, tell how to go on, and exit with 128 and the signal. No
# second program can write to the same folder.
for signal in 2 1; do
  rm -rf "$work/stopped"
  "$program" --classifier-steps 100000 --threads 1 --quiet --out "$work/stopped" \
    >/dev/null 2>"$work/stop" &
  pid=$!
  for _ in $(seq 300); do
    [ -e "$work/stopped/checkpoints/classifier.safetensors" ] && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  [ "$signal" -eq 1 ] || refused 1 "process $pid on .* is at work there" --quiet --out "$work/stopped"
  kill -"$signal" "$pid" 2>/dev/null
  wait "$pid"
  status=$?
  if [ "$status" -ne "$((128 + signal))" ] || ! grep -q -- "--resume" "$work/stop"; then
    echo "signal $signal: exit $status"
    cat "$work/stop"
    failures=$((failures + 1))
  fi
done

# A forgotten --resume costs nothing.
cp "$work/stopped/checkpoints/classifier.safetensors" "$work/before"
refused 1 "with --resume, begin anew with --fresh" --classifier-steps 3 --out "$work/stopped" --quiet
cmp -s "$work/before" "$work/stopped/checkpoints/classifier.safetensors" || failures=$((failures + 1))
mkdir -p "$work/mine/checkpoints"
echo weights >"$work/mine/checkpoints/my_model.safetensors"
refused 1 "my_model.safetensors" --out "$work/mine" --fresh
exit "$failures"
