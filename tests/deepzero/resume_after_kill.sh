#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE: a run killed with -9 again and again, then resumed, must end
# with the same bits as one that was left alone.
set -eu
program=$1
compare=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Words, not a function: the process to kill must be the program and not a shell around it.
run="$program --images 1280 --test-images 100 --channels 4 --depth 2 --epochs 2 --interval 0.25
  --directions 8 --checkpoint-every 3 --evaluations 1 --threads 1 --quiet"

if ! $run --out "$work/whole" >"$work/log" 2>&1; then
  grep -q "dataset-fashion-mnist" "$work/log" && { cat "$work/log"; exit 77; }
  cat "$work/log"
  exit 1
fi

# Kill later and later, so that every estimator is hit; the pauses are not aligned with steps. A run
# without LibTorch is over sooner.
kills=0
for delay in 0.3 0.4 0.5 0.8 1.1 1.4 1.7; do
  $run --out "$work/killed" --resume >/dev/null 2>&1 &
  pid=$!
  sleep "$delay"
  if kill -9 "$pid" 2>/dev/null; then kills=$((kills + 1)); fi
  wait "$pid" 2>/dev/null || true
done
$run --out "$work/killed" --resume >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

compared=0
for file in "$work"/whole/checkpoints/*.safetensors; do
  "$compare" "$file" "$work/killed/checkpoints/$(basename "$file")"
  compared=$((compared + 1))
done
[ "$compared" -ge 3 ] || { echo "only $compared checkpoints"; exit 1; }
[ "$kills" -ge 3 ] || { echo "only $kills kills: the runs are too short"; exit 1; }
echo "killed $kills times, same bits"
