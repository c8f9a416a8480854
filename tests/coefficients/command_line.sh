#!/bin/sh
# command_line.sh PROGRAM: wrong options give one sentence and exit code 2, wrong data one sentence and
# exit code 1; a run that is stopped again and again ends in the same results.
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
  status=$?
  if [ "$status" -ne "$code" ] || ! grep -q -e "$pattern" "$work/err" || [ "$(wc -l <"$work/err")" -ne 1 ]; then
    echo "exit $status: $*"
    cat "$work/err"
    failures=$((failures + 1))
  fi
}

refused 2 "no-such-flag" --no-such-flag
refused 2 "equation" --equation heat
refused 2 "steps" --steps 0
refused 2 "leave it out" --method cge --grid 8
mkdir "$work/pde"
refused 1 "reference solution is missing" --data "$work" --out "$work/run"
echo nonsense >"$work/pde/burgers.safetensors"
refused 1 "burgers.safetensors" --equation burgers --data "$work" --out "$work/run"
[ -e "$work/run" ] && { echo "a folder was made for a run that never began"; failures=$((failures + 1)); }
[ -n "${ZO_DATA_DIR:-}" ] && [ -e "$ZO_DATA_DIR/pde/burgers.safetensors" ] ||
  { echo "the reference solutions are not here: the rest is left out"; exit "$failures"; }

head -c 5000 "$ZO_DATA_DIR/pde/burgers.safetensors" >"$work/pde/burgers.safetensors"
refused 1 "burgers.safetensors" --equation burgers --data "$work" --out "$work/run"

# The same numbers whether it was stopped or not. Times are left out.
small="--equation burgers,kdv --method cge,rge,least-squares --seeds 1 --steps 60 --checkpoint-every 7 --quiet"
# shellcheck disable=SC2086  # words on purpose
"$program" $small --threads 2 --out "$work/whole" >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
stops=0
for signal in KILL INT TERM KILL INT; do
  # shellcheck disable=SC2086
  "$program" $small --threads 1 --out "$work/stopped" --resume >"$work/out" 2>&1 &
  pid=$!
  sleep 0.3
  kill -s "$signal" "$pid" 2>/dev/null && stops=$((stops + 1))
  wait "$pid" 2>/dev/null
done
# shellcheck disable=SC2086
"$program" $small --threads 1 --out "$work/stopped" --resume >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
cmp "$work/whole/curve.csv" "$work/stopped/curve.csv" || failures=$((failures + 1))
[ "$stops" -ge 1 ] || { echo "no run was stopped"; failures=$((failures + 1)); }
exit "$failures"
