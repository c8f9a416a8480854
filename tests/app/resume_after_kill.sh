#!/bin/sh
# resume_after_kill.sh COMPARE ROUNDS SEED PROGRAM ARGUMENTS...: a run that is ended again and again by
# -9, by a closed terminal, by Ctrl-C and by SIGTERM, then resumed, must leave the same bits as one that
# was left alone. Where in the run it is ended follows from the seed. Exits with 77 where there is no
# data set.
set -eu
compare=$1
rounds=$2
seed=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kills=4  # a round

fail() {
  echo "seed $seed, round $round: $1"
  cat "$work/log"
  exit 1
}

round=0
begun=$(date +%s%N)
if ! "$@" --out "$work/whole" >"$work/log" 2>&1; then
  grep -q "dataset-fashion-mnist" "$work/log" && { cat "$work/log"; exit 77; }
  fail "left alone"
fi
milliseconds=$((($(date +%s%N) - begun) / 1000000))

# One line for each: seconds, signal, and the exit code of a program that it ended.
awk -v seed="$seed" -v count="$((rounds * kills))" -v whole="$milliseconds" 'BEGIN {
  split("KILL KILL TERM HUP INT", signal); split("137 137 143 129 130", code); srand(seed)
  for (; count > 0; --count) {
    k = 1 + int(5 * rand())
    printf "%.3f %s %s\n", whole / 1000 * (0.1 + 0.5 * rand()), signal[k], code[k]
  }
}' >"$work/plan"

ended=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  rm -rf "$work/killed"
  sed -n "$(((round - 1) * kills + 1)),$((round * kills))p" "$work/plan" >"$work/now"
  while read -r delay signal code; do
    "$@" --out "$work/killed" --resume >"$work/log" 2>&1 &
    pid=$!
    sleep "$delay"
    kill -s "$signal" "$pid" 2>/dev/null || true
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq "$code" ] || fail "exit code $status after $signal"
    [ "$status" -eq 0 ] || ended=$((ended + 1))
  done <"$work/now"
  "$@" --out "$work/killed" --resume >"$work/log" 2>&1 || fail "cannot be finished"
  for file in "$work"/whole/checkpoints/*.safetensors; do
    "$compare" "$file" "$work/killed/checkpoints/$(basename "$file")" || fail "other bits"
  done
done
[ "$ended" -ge "$rounds" ] || fail "only $ended runs were ended: they are too short"
echo "$rounds rounds, $ended runs ended, same bits"
