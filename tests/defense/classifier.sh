#!/bin/sh
# classifier.sh PROGRAM COMPARE SERVICE PORT: a classifier that is reached by HTTP gives the defense and the
# certificates of one in the program, bit for bit; one that is a program, the same classes.
set -u
program=$1 compare=$2 service=$3 port=$4
full=/usr/share/datasets/fashion-mnist
[ -e "$full/t10k-images-idx3-ubyte.gz" ] || { echo "there is no dataset-fashion-mnist"; exit 77; }
work=$(mktemp -d)
pid=
trap 'rm -rf "$work"; [ -z "$pid" ] || kill "$pid"' EXIT
export OMP_NUM_THREADS=1

# few NAME MAGIC HEADER BYTES: the first 256 of a file of the data set.
few() {
  { printf "\\0\\0\\010\\00$2\\0\\0\\001\\0"
    [ "$2" -eq 1 ] || printf '\0\0\0\034\0\0\0\034'
    zcat "$full/$1.gz" | tail -c "+$(($3 + 1))" | head -c "$((256 * $4))"
  } >"$work/data/$1"
}
mkdir "$work/data"
for set in train t10k; do
  few $set-images-idx3-ubyte 3 16 784
  few $set-labels-idx1-ubyte 1 8 1
done

# run NAME OPTIONS...: a small run, in its own folder.
run() {
  name=$1
  shift
  "$program" --data "$work/data" --out "$work/$name" --autoencoder-steps 8 --latent 12 --threads 1 \
    --quiet "$@" >"$work/log" 2>&1 || { echo "run $name"; cat "$work/log"; exit 1; }
}

methods="--method zo-ae-ds-cge,zo-ae-ds-rge,zo-ds --q 13 --width 4 --depth 3 --batch 40 --steps 4
  --images 4 --n 60 --n0 20"
# shellcheck disable=SC2086  # words on purpose
run local --classifier-steps 8 $methods
"$service" "$work/local" "$port" &
pid=$!
# shellcheck disable=SC2086
run http --classifier "http://127.0.0.1:$port/classify" $methods
for file in "$work"/http/checkpoints/*.safetensors; do
  "$compare" "$file" "$work/local/checkpoints/$(basename "$file")" tensors || exit 1
done
[ -e "$work/http/checkpoints/classifier.safetensors" ] && { echo "a classifier was trained"; exit 1; }
cmp "$work/http/certificates.csv" "$work/local/certificates.csv" || exit 1

# Images asked one by one may be rounded in another way than in a batch.
run command --classifier "command $service $work/local" --method none --images 1 --n 20 --n0 20
grep -q "^none" "$work/command/results.csv" || { echo "no results"; cat "$work/command/results.csv"; exit 1; }
clean=$(grep "clean_accuracy" "$work/local/summary.json")
grep -qF -- "$clean" "$work/command/summary.json" || { echo "not $clean"; cat "$work/command/summary.json"; exit 1; }

# What a service is to be sent, and cannot, is said before anything is computed.
"$program" --data "$work/data" --out "$work/gone" --classifier "http://127.0.0.1:$port/?key=secret" --autoencoder-steps 1 \
  --threads 1 --quiet --classifier-header 'A: ${ZO_NOT_SET}' >"$work/log" 2>&1 && { echo "no error"; exit 1; }
grep -q "ZO_NOT_SET" "$work/log" || { cat "$work/log"; exit 1; }
echo "same bits by HTTP"
