#!/bin/sh
# ask_after_kill.sh PROGRAM KILLS SEED: examples/ask_and_tell, killed by -9 again and again, leaves the
# file and says the words of one that was left alone.
set -eu
program=$1 kills=$2 seed=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

begun=$(date +%s%N)
"$program" "$work/whole" >"$work/whole.txt"
milliseconds=$((($(date +%s%N) - begun) / 1000000))

ended=0
for delay in $(awk -v seed="$seed" -v kills="$kills" -v whole="$milliseconds" 'BEGIN {
  srand(seed); for (; kills > 0; --kills) printf "%.4f\n", 0.002 + 2 * rand() * whole / 1000 / 80 }'); do
  "$program" "$work/killed" >"$work/killed.txt" 2>"$work/log" &
  pid=$!
  sleep "$delay"
  kill -s KILL "$pid" 2>/dev/null || true
  status=0
  wait "$pid" 2>/dev/null || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 137 ] || { echo "exit code $status"; cat "$work/log"; exit 1; }
  [ "$status" -eq 0 ] || ended=$((ended + 1))
done
"$program" "$work/killed" >"$work/killed.txt"
cmp "$work/whole.txt" "$work/killed.txt"
cmp "$work/whole" "$work/killed"
[ "$ended" -ge $((kills / 10)) ] || { echo "only $ended of $kills runs were ended: they are too short"; exit 1; }
echo "$ended of $kills runs ended, same bits"
