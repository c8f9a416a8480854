#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE: a run killed with -9 again and again, then resumed, must end
# with the same bits as one that was left alone.
set -eu
program=$1
compare=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Words, not a function: the process to kill must be the program and not a shell around it.
run="$program --classifier-steps 12 --autoencoder-steps 12 --latent 6 --width 4 --depth 3 --batch 8
  --steps 12 --images 3 --n 60 --n0 20 --checkpoint-every 2 --threads 1 --quiet"

if ! $run --out "$work/whole" >"$work/log" 2>&1; then
  grep -q "dataset-fashion-mnist" "$work/log" && { cat "$work/log"; exit 77; }
  cat "$work/log"
  exit 1
fi

# Kill later and later, so that every stage is hit; the pauses are not aligned with steps.
kills=0
for delay in 1.3 1.7 2.2 2.9 3.6; do
  $run --out "$work/killed" --resume >/dev/null 2>&1 &
  pid=$!
  sleep "$delay"
  if kill -9 "$pid" 2>/dev/null; then kills=$((kills + 1)); fi
  wait "$pid" 2>/dev/null || true
done
$run --out "$work/killed" --resume >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

# Other settings are refused by name.
if ! $run --out "$work/killed" --resume --rate 0.5 >"$work/refused" 2>&1; then
  grep -q -- "--rate was" "$work/refused" || { cat "$work/refused"; exit 1; }
else
  echo "a run with other settings was resumed"
  exit 1
fi

for file in "$work"/whole/checkpoints/*.safetensors; do
  "$compare" "$file" "$work/killed/checkpoints/$(basename "$file")"
done
echo "killed $kills times, same bits"
