#!/bin/sh
# command_line.sh PROGRAM: bad input gives one sentence, a non-zero exit, and changes nothing.
set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# refused PATTERN ARGUMENTS...: exits non-zero, with one line on stderr that holds PATTERN.
refused() {
  pattern=$1
  shift
  if "$program" "$@" >"$work/out" 2>"$work/err"; then
    echo "accepted: $*"
    failures=$((failures + 1))
  elif ! grep -q -e "$pattern" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "wrong message for $*:"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

refused "no-such-flag" --no-such-flag
refused "method" --method magic
refused "steps" --steps 0
refused "noise" --noise -1
refused "noise: must be a number above 0, got nan" --noise nan
refused "temperature: must be a number above 0, got 0" --temperature 0
refused "rate: must be a number above 0, got inf" --rate inf
refused "steps: must be a whole number above 0, got 2.5" --steps 2.5
refused "alpha" --alpha 2
refused "coordinates" --latent 8 --coordinates 9
refused "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"
refused "CIFAR\|cifar" --dataset cifar10 --data "$work/nowhere" --out "$work/run"

touch "$work/file"
refused "file" --out "$work/file"
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }

"$program" --help >"$work/help" || failures=$((failures + 1))
grep -q -- "--resume" "$work/help" || failures=$((failures + 1))

# Ctrl-C saves a checkpoint, tells how to go on, and exits with 130.
"$program" --classifier-steps 100000 --threads 1 --quiet --out "$work/stopped" \
  >/dev/null 2>"$work/err" &
pid=$!
for _ in $(seq 300); do
  [ -e "$work/stopped/checkpoints/classifier.safetensors" ] && break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
kill -INT "$pid" 2>/dev/null
wait "$pid"
status=$?
if grep -q "dataset-fashion-mnist" "$work/err"; then
  echo "no Fashion-MNIST here: the test of Ctrl-C is left out"
elif [ "$status" -ne 130 ] || ! grep -q -- "--resume" "$work/err"; then
  echo "Ctrl-C: exit $status"
  cat "$work/err"
  failures=$((failures + 1))
else
  # A forgotten --resume costs nothing.
  cp "$work/stopped/checkpoints/classifier.safetensors" "$work/before"
  refused "with --resume, begin anew with --fresh" --classifier-steps 3 --out "$work/stopped" --quiet
  cmp -s "$work/before" "$work/stopped/checkpoints/classifier.safetensors" || failures=$((failures + 1))
  mkdir -p "$work/mine/checkpoints"
  echo weights >"$work/mine/checkpoints/my_model.safetensors"
  refused "my_model.safetensors" --out "$work/mine" --fresh
fi
exit "$failures"
