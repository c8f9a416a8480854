#!/bin/sh
# processes.sh PROGRAM COMPARE MPIEXEC: several processes make the checkpoints of one, bit for bit,
# also after one of them was killed and after Ctrl-C; errors are said once.
set -u
program=$(realpath "$1")
compare=$2
mpiexec=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fail SENTENCE: with what the last job said.
fail() {
  echo "$1"
  cat "$work/log"
  exit 1
}

# same A B: equal checkpoints of two runs.
same() {
  for file in "$work/$1"/checkpoints/*.safetensors; do
    "$compare" "$file" "$work/$2/checkpoints/$(basename "$file")" || exit 1
  done
}

# One line of the program's own; the launcher adds its own.
refused() {
  pattern=$1
  shift
  timeout 60 "$mpiexec" "$@" >"$work/log" 2>&1
  status=$?
  [ "$status" -ne 0 ] && [ "$status" -ne 124 ] || fail "exit $status: $*"
  [ "$(grep -c "^deepzero: " "$work/log")" -eq 1 ] || fail "not one sentence: $*"
  grep -q -e "^deepzero: .*$pattern" "$work/log" || fail "no $pattern: $*"
}

small="--images 320 --test-images 300 --channels 3 --depth 1 --epochs 1 --interval 0.25 --directions 8
  --evaluations 2 --threads 1 --quiet --estimator cge,sparse-cge,cge-by-block,cge-whole,activations,rge"
# shellcheck disable=SC2086  # words on purpose
if ! "$program" $small --out "$work/one" >"$work/log" 2>&1; then
  grep -q "dataset-fashion-mnist" "$work/log" && { cat "$work/log"; exit 77; }
  fail "one process"
fi
[ "$(ls "$work/one/checkpoints" | wc -l)" -eq 6 ] || fail "not 6 checkpoints"
for ranks in 2 3; do
  # shellcheck disable=SC2086
  timeout 120 "$mpiexec" -n "$ranks" "$program" $small --out "$work/of_$ranks" >"$work/log" 2>&1 ||
    fail "$ranks processes"
  same one "of_$ranks"
  # Accuracies, queries and passes too; the seventh column is seconds.
  cut -d, -f1-6,8- "$work/one/curve.csv" >"$work/curve"
  cut -d, -f1-6,8- "$work/of_$ranks/curve.csv" | cmp -s - "$work/curve" || fail "other curves"
  [ "$(grep -c "^Results, pictures" "$work/log")" -eq 1 ] || fail "not one voice"
  grep -q "^Not shared" "$work/log" && fail "something was not shared"
  [ "$(grep -c '"waiting_seconds"' "$work/of_$ranks/summary.json")" -eq "$ranks" ] ||
    fail "no usage by rank"
done

# Killed as 2 processes, stopped by Ctrl-C as 3, finished as 1.
long="--images 640 --test-images 100 --network mlp --channels 4 --depth 1 --epochs 25 --checkpoint-every 5
  --threads 1 --quiet --estimator cge"
checkpoint="$work/long/checkpoints/cge.safetensors"
# shellcheck disable=SC2086
"$program" $long --out "$work/alone" >"$work/log" 2>&1 || fail "one process, longer"

# written_since FILE: waits for a checkpoint that is newer, and for no longer than the job lives.
written_since() {
  for _ in $(seq 300); do
    [ "$checkpoint" -nt "$1" ] && return
    kill -0 "$job" 2>/dev/null || fail "the job ended too soon"
    sleep 0.05
  done
  fail "no checkpoint"
}

# below PID: a process of the program among its descendants.
below() {
  for child in $(pgrep -P "$1"); do
    [ "$(readlink "/proc/$child/exe")" = "$program" ] && victim=$child
    below "$child"
  done
}

touch "$work/begun"
# shellcheck disable=SC2086
timeout 120 "$mpiexec" -n 2 "$program" $long --out "$work/long" >"$work/log" 2>&1 &
job=$!
written_since "$work/begun"
victim=
below "$job"
kill -9 "$victim" || fail "nothing to kill"
wait "$job" && fail "the job succeeded though a process was killed"

touch "$work/begun"
# shellcheck disable=SC2086
"$mpiexec" -n 3 "$program" $long --out "$work/long" --resume >"$work/log" 2>&1 &
job=$!
written_since "$work/begun"
kill -INT "$job"
wait "$job" && fail "Ctrl-C: the job succeeded"
[ "$(grep -c -e "^Stopped.*--resume" "$work/log")" -eq 1 ] || fail "Ctrl-C: not one sentence"

# shellcheck disable=SC2086
"$program" $long --out "$work/long" --resume >"$work/log" 2>&1 || fail "resumed as one process"
same alone long

refused "epochs: must be a whole number from 1 to 1000000, got 0" -n 2 "$program" --epochs 0
refused "dataset-fashion-mnist" -n 2 "$program" --data "$work/nowhere" --out "$work/never"
# shellcheck disable=SC2086
refused "rank 1: .*dataset-fashion-mnist" -n 1 "$program" $long --out "$work/never" \
  : -n 1 "$program" $long --data "$work/nowhere"
# shellcheck disable=SC2086
refused "rank 1 has other settings than rank 0" -n 1 "$program" $long --out "$work/never" \
  : -n 1 "$program" $long --rate 0.2
head -c 1000 "$checkpoint" >"$work/cut"
cp "$work/cut" "$checkpoint"
# shellcheck disable=SC2086
refused "damaged" -n 2 "$program" $long --out "$work/long" --resume
cmp -s "$work/cut" "$checkpoint" || fail "the damaged checkpoint was changed"
echo "killed, stopped and refused; same bits"
