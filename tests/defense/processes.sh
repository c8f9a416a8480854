#!/bin/sh
# processes.sh PROGRAM COMPARE MPIEXEC: several processes make the checkpoints and certificates of
# one, bit for bit, also after one of them was killed and after Ctrl-C; errors are said once.
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

# same A B: equal checkpoints and certificates of two runs.
same() {
  for file in "$work/$1"/checkpoints/*.safetensors; do
    "$compare" "$file" "$work/$2/checkpoints/$(basename "$file")" || exit 1
  done
  cmp "$work/$1/certificates.csv" "$work/$2/certificates.csv" || exit 1
}

# Batches of the black box are 256 images: 40 rows of 7 and more queries are several, the last one
# shorter.
small="--method zo-ae-ds-cge,zo-ae-ds-rge,zo-ds,fo-ae-ds --classifier-steps 8 --autoencoder-steps 8
  --latent 12 --q 13 --width 4 --depth 3 --batch 40 --steps 4 --images 4 --n 60 --n0 20
  --checkpoint-every 2 --threads 1 --quiet"
# shellcheck disable=SC2086  # words on purpose
if ! "$program" $small --out "$work/one" >"$work/log" 2>&1; then
  grep -q "dataset-fashion-mnist" "$work/log" && { cat "$work/log"; exit 77; }
  fail "one process"
fi
[ "$(ls "$work/one/checkpoints" | wc -l)" -eq 11 ] || fail "not 11 checkpoints"
# shellcheck disable=SC2086
timeout 200 "$mpiexec" -n 3 "$program" $small --out "$work/three" >"$work/log" 2>&1 || fail "3 processes"
same one three
[ "$(grep -c "^Results, pictures" "$work/log")" -eq 1 ] || fail "not one voice"
grep -q "^rank  *seconds  *waiting" "$work/log" || fail "no usage by rank"

# below PID: a process of the program among its descendants.
below() {
  for child in $(pgrep -P "$1"); do
    [ "$(readlink "/proc/$child/exe")" = "$program" ] && victim=$child
    below "$child"
  done
}

# written FILE: waits for a checkpoint, and for no longer than the job lives.
written() {
  for _ in $(seq 1000); do
    [ -e "$work/two/checkpoints/$1.safetensors" ] && return
    kill -0 "$job" 2>/dev/null || fail "the job ended too soon"
    sleep 0.02
  done
  fail "no checkpoint $1"
}

# Killed as 2 processes, stopped by Ctrl-C, finished as 2.
# shellcheck disable=SC2086
timeout 200 "$mpiexec" -n 2 "$program" $small --out "$work/two" >"$work/log" 2>&1 &
job=$!
written classifier
victim=
below "$job"
kill -9 "$victim" || fail "nothing to kill"
wait "$job" && fail "the job succeeded though a process was killed"
# On a busy machine the last words take longer than the second that Open MPI waits before it kills.
# shellcheck disable=SC2086
OMPI_MCA_odls_base_sigkill_timeout=5 "$mpiexec" -n 2 "$program" $small --out "$work/two" --resume \
  >"$work/log" 2>&1 &
job=$!
# The first of four methods, so that the signal comes long before the end, however busy the machine.
written fo-ae-ds
kill -INT "$job"
wait "$job" && fail "Ctrl-C: the job succeeded"
[ "$(grep -c -e "^Stopped.*--resume" "$work/log")" -eq 1 ] || fail "Ctrl-C: not one sentence"
# shellcheck disable=SC2086
timeout 200 "$mpiexec" -n 2 "$program" $small --out "$work/two" --resume >"$work/log" 2>&1 ||
  fail "resumed as 2 processes"
same one two

timeout 60 "$mpiexec" -n 2 "$program" --steps 0 >"$work/log" 2>&1 && fail "accepted --steps 0"
[ "$(grep -c "^blackbox_defense: --steps: must be" "$work/log")" -eq 1 ] || fail "not one sentence"
echo "killed and stopped; same bits"
