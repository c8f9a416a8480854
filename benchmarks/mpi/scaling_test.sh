#!/usr/bin/env bash
# Usage: scaling_test.sh ZO_MPI_SCALING. What is known without a simulation: queries of a second each,
# to which nothing else adds, end when the rank with most of them does; wrong options and files are
# answered by sentences.
set -u
scaling=$1
measured=$(dirname "${BASH_SOURCE[0]}")/measured.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

expect() { # exit code, text of the answer, arguments …
  local wanted=$1 text=$2 answer code
  shift 2
  answer=$("$scaling" "$@" 2>&1)
  code=$?
  answer=$(tr -s ' ' <<<"$answer")
  if [ "$code" -ne "$wanted" ] || [[ $answer != *"$text"* ]]; then
    echo "Wanted exit code $wanted and '$text' of: $*"
    echo "Got exit code $code and: $answer"
    failures=$((failures + 1))
  fi
}

cat >"$folder/even" <<'END'
message 1e-9 1e-12 1e-12
query 1 1 1
direction_number 1e-15
compared_number 1e-15
updated_number 1e-15
prepare 1e-9
probe:dear 1000 3 3
probe:cheap 1000 1 1
probe_jitter 1 1 1
deal 2 1e-12
deal 10000 1e-12
END
nothing=(--network "none,1e-6,1e9")
expect 0 "128 queries" "$folder/even" "${nothing[@]}"
expect 0 $'\n100 64 64 %' "$folder/even" "${nothing[@]}"      # 128 queries: two each for some
expect 0 $'\n10000 128 1.28 %' "$folder/even" "${nothing[@]}" # and no more than one
expect 0 $'\n1000 1e+03 100 %' "$folder/even" "${nothing[@]}" # a dear and a cheap probe each
expect 0 $'\n10000 1.33e+03 13.3 %' "$folder/even" "${nothing[@]}" # the dear ones take longest
expect 0 "InfiniBand" "$measured"
grep -v prepare "$folder/even" >"$folder/less"
expect 3 "no row 'prepare'" "$folder/less" "${nothing[@]}"
expect 3 "no row 'message_tcp'" "$folder/even"
expect 3 "cannot read" "$folder/missing"
expect 2 "the file of measurements is missing"
expect 2 "unknown option --fast" "$measured" --fast
expect 2 "wanted are NAME,MICROSECONDS,GBITS" "$measured" --network slow
expect 2 "wanted are NAME,MICROSECONDS,GBITS" "$measured" --network slow,1,1,udp
expect 2 "'x' is no number above 0" "$measured" --network slow,x,1
exit "$((failures > 0))"
