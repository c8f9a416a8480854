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
refused 2 "estimator" --estimator magic
refused 2 "--device cuda" --device cuda --estimator cge,rge
refused 2 "epochs: must be a whole number from 1 to 1000000, got 0" --epochs 0
refused 2 "mu: must be a number from 1e-12 to 1e+06, got 1e38" --smoothing 1e38
refused 2 "warmup must be below --epochs" --epochs 2 --warmup 2
refused 2 "leave out --network" --study --network mlp
refused 2 "leave out --network" --table --network mlp
refused 1 "dataset-fashion-mnist" --data "$work/nowhere" --out "$work/run"
refused 1 "CIFAR-10 is missing" --dataset cifar10 --data "$work/nowhere" --out "$work/run"

mkdir "$work/cut"
printf 'cut off' >"$work/cut/train-images-idx3-ubyte"
printf 'cut off' >"$work/cut/train-labels-idx1-ubyte"
refused 1 "train-images" --data "$work/cut" --out "$work/run"
mkdir "$work/cifar"
for k in 1 2 3 4 5; do printf 'cut off' >"$work/cifar/data_batch_$k.bin"; done
refused 1 "data_batch_1.bin" --data "$work/cifar" --out "$work/run"
[ -e "$work/run" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }

"$program" --help >/dev/full 2>"$work/err"
expect 1 "cannot print the results: No space left" "--help >/dev/full"

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

refused 2 "needs images of 3 x 32 x 32" --network resnet20 --out "$work/other"
refused 2 "network must be cnn.*vgg.x1b" --network "$(printf 'vgg\033[2J')" --out "$work/other"
refused 2 "images must be at most 60000" --images 60001 --out "$work/other"
refused 2 "batch is 32" --images 10 --out "$work/other" --quiet
refused 2 "ZO-GraSP needs 25" --images 128 --out "$work/other" --quiet
[ -e "$work/other" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }
touch "$work/file"
refused 1 "file" --images 640 --out "$work/file" --quiet
[ -s "$work/file" ] && { echo "the file in the way was overwritten"; failures=$((failures + 1)); }

# A checkpoint of other settings, and a damaged one, are refused and left alone.
cp "$work/run/checkpoints/cge.safetensors" "$work/before"
# shellcheck disable=SC2086
refused 1 "rate was 0.1" $small --depth 1 --epochs 1 --out "$work/run" --resume --rate 0.2
cmp -s "$work/before" "$work/run/checkpoints/cge.safetensors" || failures=$((failures + 1))
head -c 1000 "$work/before" >"$work/run/checkpoints/cge.safetensors"
# shellcheck disable=SC2086
refused 1 "damaged" $small --depth 1 --epochs 1 --out "$work/run" --resume
[ "$(wc -c <"$work/run/checkpoints/cge.safetensors")" -eq 1000 ] || failures=$((failures + 1))
cp "$work/before" "$work/run/checkpoints/cge.safetensors"

# The study makes its table and figures.
# shellcheck disable=SC2086
"$program" --study --images 128 --test-images 100 --epochs 1 --channels 2 --depth 2 --threads 1 \
  --estimator cge,rge --directions 3 --quiet --out "$work/study" >"$work/out" 2>"$work/err" ||
  { cat "$work/err"; failures=$((failures + 1)); }
[ "$(grep -c '^cge\|^rge' "$work/study/study.csv")" -eq 8 ] ||
  { cat "$work/study/study.csv"; failures=$((failures + 1)); }

# The table too, and a second run with --resume writes the same one.
table="--table --dataset fashion-mnist --images 128 --test-images 100 --epochs 2 --channels 2 --depth 2
  --threads 1 --estimator cge-by-block,activations --directions 3 --quiet --out $work/table"
# shellcheck disable=SC2086
"$program" $table >"$work/out" 2>"$work/err" || { cat "$work/err"; failures=$((failures + 1)); }
[ "$(grep -c '^cge-by-block,\|^activations,' "$work/table/table.csv")" -eq 4 ] ||
  { cat "$work/table/table.csv"; failures=$((failures + 1)); }
[ -s "$work/table/table_accuracy.csv" ] && [ -s "$work/table/table_curve.csv" ] && [ -s "$work/table/curve.csv" ] ||
  { echo "no pictures' data"; failures=$((failures + 1)); }
cp "$work/table/table.csv" "$work/table.csv"
# shellcheck disable=SC2086
"$program" $table --resume >"$work/out" 2>"$work/err" || { cat "$work/err"; failures=$((failures + 1)); }
cmp -s "$work/table.csv" "$work/table/table.csv" || { echo "another table"; failures=$((failures + 1)); }

# What cannot be computed is said, with the option that is to blame, and no checkpoint holds it.
# shellcheck disable=SC2086
refused 1 "loss of step 1 is not a number; give a lower --rate" $small --depth 1 --epochs 1 --rate 1e30 \
  --out "$work/diverged"

# What nobody can read is a failure, and is in the files.
# shellcheck disable=SC2086
"$program" $small --depth 1 --epochs 1 --out "$work/run" --fresh >/dev/full 2>"$work/err"
expect 1 "cannot print the results: No space left" ">/dev/full"
rm "$work/run/summary.json"
# shellcheck disable=SC2086
"$program" $small --depth 1 --epochs 1 --out "$work/run" --resume >&- 2>"$work/err"
expect 1 "cannot print the results" ">&-"
[ -s "$work/run/summary.json" ] || { echo "no summary"; failures=$((failures + 1)); }
# shellcheck disable=SC2086
{ "$program" $small --depth 1 --epochs 1 --out "$work/run" --resume 2>"$work/err"; echo $? >"$work/code"; } | :
[ "$(cat "$work/code")" -le 1 ] || { echo "a closed pipe killed the program"; failures=$((failures + 1)); }
# A limit of 1 KiB a file.
# shellcheck disable=SC2086
(ulimit -f 2; exec "$program" $small --depth 1 --epochs 1 --out "$work/limited") >/dev/null 2>"$work/err"
expect 1 "Cannot write .*larger than" "ulimit -f"
# Without gnuplot there are no pictures, and all else.
# shellcheck disable=SC2086
PATH="$work" "$program" $small --depth 1 --epochs 1 --out "$work/plain" >"$work/out" 2>"$work/err" ||
  { cat "$work/err"; failures=$((failures + 1)); }
if ! grep -q "gnuplot" "$work/out" || [ ! -s "$work/plain/summary.json" ] || [ ! -s "$work/plain/curve.csv" ]; then
  echo "without gnuplot:"
  cat "$work/out"
  failures=$((failures + 1))
fi

# started FOLDER: waits for the first checkpoint of the program $pid.
started() {
  for _ in $(seq 300); do
    [ -e "$1/checkpoints/cge.safetensors" ] && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
}

# Ctrl-C and a closed terminal save a checkpoint, tell how to go on, and exit with 128 and the signal. No
# second program can write to the same folder.
for signal in 2 1; do
  rm -rf "$work/stopped"
  # shellcheck disable=SC2086
  "$program" $small --depth 1 --epochs 10000 --out "$work/stopped" >/dev/null 2>"$work/stop" &
  pid=$!
  started "$work/stopped"
  refused 1 "process $pid on .* is at work there; wait for it or choose another --out" $small --depth 1 \
    --epochs 1 --out "$work/stopped"
  kill -"$signal" "$pid" 2>/dev/null
  wait "$pid"
  status=$?
  if [ "$status" -ne "$((128 + signal))" ] || ! grep -q -- "--resume" "$work/stop"; then
    echo "signal $signal: exit $status"
    cat "$work/stop"
    failures=$((failures + 1))
  fi
done

# A forgotten --resume costs nothing, and neither does --fresh.
cp "$work/stopped/checkpoints/cge.safetensors" "$work/before"
# shellcheck disable=SC2086
refused 1 "with --resume, begin anew with --fresh" $small --depth 1 --epochs 1 --out "$work/stopped"
cmp -s "$work/before" "$work/stopped/checkpoints/cge.safetensors" || failures=$((failures + 1))
refused 2 "excludes" --resume --fresh --out "$work/stopped"
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
  refused 1 "my_model.safetensors" $small --out "$work/mine" $begin
  # shellcheck disable=SC2086
  refused 1 "is a link" $small --out "$work/linked" $begin
done
[ "$(cat "$work/mine/checkpoints/my_model.safetensors")" = weights ] || failures=$((failures + 1))

# A data file that is no file is not waited for.
mkdir "$work/pipes"
mkfifo "$work/pipes/train-images-idx3-ubyte" "$work/pipes/train-labels-idx1-ubyte"
refused 1 "it is a pipe" --data "$work/pipes" --out "$work/other"
exit "$failures"
