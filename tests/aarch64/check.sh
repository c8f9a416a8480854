#!/bin/sh
# check.sh SOURCE PROGRAM: zo built for 64-bit ARM and emulated computes the bits of this machine.
# Its own tests run there too, which takes minutes: cmake --preset aarch64, and ctest --preset aarch64.
set -eu
source=$1
program=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v $tool >/dev/null || {
    echo "skipped: needs $tool (Debian: g++-aarch64-linux-gnu, qemu-user)"
    exit 77
  }
done
"$program" >"$work/expected"
cd "$source"
cmake --preset aarch64 -B "$work/build" -DZO_BUILD_TESTS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 >"$work/log" 2>&1 &&
  cmake --build "$work/build" -j2 --target zo_nn >>"$work/log" 2>&1 || {
  cat "$work/log"
  exit 1
}
aarch64-linux-gnu-g++ -std=c++20 -O1 -Iinclude tests/aarch64/answers.cpp -o "$work/answers" \
  "$work/build/src/nn/libzo_nn.a" "$work/build/src/libzo.a" -fopenmp
for set in neon generic; do
  ZO_INSTRUCTION_SET=$set qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/answers" \
    >"$work/answers.txt" 2>"$work/name"
  grep -q "^$set$" "$work/name" || { echo "asked for $set, got $(cat "$work/name")"; exit 1; }
  diff "$work/expected" "$work/answers.txt" || { echo "$set: other bits than on this machine"; exit 1; }
done
echo "the same $(wc -l <"$work/expected") fingerprints"
