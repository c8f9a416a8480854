#!/bin/sh
# command_line.sh PROGRAM: bad input gives one sentence, exit code 1, and changes nothing.
set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# refused PATTERN ARGUMENTS...: exits with 1, with one line on stderr that holds PATTERN.
refused() {
  pattern=$1
  shift
  "$program" "$@" >"$work/out" 2>"$work/err"
  status=$?
  if [ "$status" -ne 1 ]; then
    echo "exit $status: $*"
    failures=$((failures + 1))
  elif ! grep -q -e "$pattern" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "wrong message for $*:"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

refused "no-such-flag" --no-such-flag
refused "estimator" --estimator magic
refused "device" --device tpu
refused "--device cuda" --device cuda --estimator cge,rge
if ! "$program" --help | grep -q -e "--epochs INT=6 "; then
  echo "--help does not show the default epochs"
  failures=$((failures + 1))
fi
refused "epochs: must be a whole number above 0, got 0" --epochs 0
refused "epochs: must be a whole number above 0, got 2.5" --epochs 2.5
refused "rate: must be a number above 0, got nan" --rate nan
refused "mu: must be a number above 0, got -1" --smoothing -1
refused "sparsity: must be a number from 0 to below 1, got 1" --sparsity 1
refused "momentum: must be a number from 0 to below 1, got 1.5" --momentum 1.5
refused "warmup must be below --epochs" --epochs 2 --warmup 2
refused "threads" --threads 0
refused "leave out --network" --study --network mlp
refused "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"
refused "CIFAR-10 is missing" --dataset cifar10 --data "$work/nowhere" --out "$work/run"

mkdir "$work/cut"
printf 'cut off' >"$work/cut/train-images-idx3-ubyte"
printf 'cut off' >"$work/cut/train-labels-idx1-ubyte"
refused "train-images" --data "$work/cut" --out "$work/run"
mkdir "$work/cifar"
for k in 1 2 3 4 5; do printf 'cut off' >"$work/cifar/data_batch_$k.bin"; done
refused "data_batch_1.bin" --data "$work/cifar" --out "$work/run"
[ -e "$work/run" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }

"$program" --help >"$work/help" || failures=$((failures + 1))
grep -q -- "--resume" "$work/help" || failures=$((failures + 1))

# What follows needs images.
small="--images 640 --test-images 200 --threads 1 --quiet --estimator cge --network mlp --channels 4"
# shellcheck disable=SC2086  # words on purpose
if ! "$program" $small --depth 1 --epochs 1 --out "$work/run" >"$work/out" 2>"$work/err"; then
  grep -q "dataset-fashion-mnist" "$work/err" && { cat "$work/err"; exit "$failures"; }
  cat "$work/err"
  exit 1
fi
for file in curve.csv summary.json accuracy_queries.csv accuracy_seconds.csv; do
  [ -s "$work/run/$file" ] || { echo "no $file"; failures=$((failures + 1)); }
done

refused "needs images of 3 x 32 x 32" --network resnet20 --out "$work/other"
refused "network must be cnn" --network vgg --out "$work/other"
refused "images must be at most 60000" --images 60001 --out "$work/other"
refused "batch is 32" --images 10 --out "$work/other" --quiet
refused "ZO-GraSP needs 25" --images 128 --estimator sparse-cge --out "$work/other" --quiet
touch "$work/file"
refused "file" --images 640 --out "$work/file" --quiet
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }

# A checkpoint of other settings, and a damaged one, are refused and left alone.
cp "$work/run/checkpoints/cge.safetensors" "$work/before"
# shellcheck disable=SC2086
refused "rate was 0.1" $small --depth 1 --epochs 1 --out "$work/run" --resume --rate 0.2
cmp -s "$work/before" "$work/run/checkpoints/cge.safetensors" || failures=$((failures + 1))
head -c 1000 "$work/before" >"$work/run/checkpoints/cge.safetensors"
# shellcheck disable=SC2086
refused "damaged" $small --depth 1 --epochs 1 --out "$work/run" --resume
[ "$(wc -c <"$work/run/checkpoints/cge.safetensors")" -eq 1000 ] || failures=$((failures + 1))

# The study makes its table and figures.
# shellcheck disable=SC2086
"$program" --study --images 128 --test-images 100 --epochs 1 --channels 2 --depth 2 --threads 1 \
  --estimator cge,rge --directions 3 --quiet --out "$work/study" >"$work/out" 2>"$work/err" ||
  { cat "$work/err"; failures=$((failures + 1)); }
[ "$(grep -c '^cge\|^rge' "$work/study/study.csv")" -eq 8 ] ||
  { cat "$work/study/study.csv"; failures=$((failures + 1)); }

# Ctrl-C saves a checkpoint, tells how to go on, and exits with 130.
# shellcheck disable=SC2086
"$program" $small --depth 1 --epochs 10000 --out "$work/stopped" >/dev/null 2>"$work/err" &
pid=$!
for _ in $(seq 300); do
  [ -e "$work/stopped/checkpoints/cge.safetensors" ] && break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
kill -INT "$pid" 2>/dev/null
wait "$pid"
status=$?
if [ "$status" -ne 130 ] || ! grep -q -- "--resume" "$work/err"; then
  echo "Ctrl-C: exit $status"
  cat "$work/err"
  failures=$((failures + 1))
fi

# A forgotten --resume costs nothing, and neither does --fresh.
cp "$work/stopped/checkpoints/cge.safetensors" "$work/before"
# shellcheck disable=SC2086
refused "with --resume, begin anew with --fresh" $small --depth 1 --epochs 1 --out "$work/stopped"
cmp -s "$work/before" "$work/stopped/checkpoints/cge.safetensors" || failures=$((failures + 1))
refused "excludes" --resume --fresh --out "$work/stopped"
for begin in --fresh ""; do # the second time the run before is finished
  # shellcheck disable=SC2086
  "$program" $small --depth 1 --epochs 1 --out "$work/stopped" $begin >"$work/out" 2>"$work/err" ||
    { cat "$work/err"; failures=$((failures + 1)); }
done
cmp -s "$work/before" "$work/stopped/checkpoints.1/cge.safetensors" || failures=$((failures + 1))
[ -s "$work/stopped/checkpoints.2/cge.safetensors" ] || failures=$((failures + 1))

# Files of others are left alone, behind links too.
mkdir -p "$work/mine/checkpoints" "$work/linked"
echo weights >"$work/mine/checkpoints/my_model.safetensors"
ln -s "$work/mine/checkpoints" "$work/linked/checkpoints"
for begin in --fresh ""; do
  # shellcheck disable=SC2086
  refused "my_model.safetensors" $small --out "$work/mine" $begin
  # shellcheck disable=SC2086
  refused "is a link" $small --out "$work/linked" $begin
done
[ "$(cat "$work/mine/checkpoints/my_model.safetensors")" = weights ] || failures=$((failures + 1))

# A data file that is no file is not waited for.
mkdir "$work/pipes"
mkfifo "$work/pipes/train-images-idx3-ubyte" "$work/pipes/train-labels-idx1-ubyte"
refused "it is a pipe" --data "$work/pipes" --out "$work/other"
exit "$failures"
