#!/bin/sh
# failing_calls.sh SHIM SAVE COMPARE: whichever system call on its files fails, a run ends with one
# sentence, or as if nothing had failed; and the checkpoint is the old one or the new one.
set -u
shim=$1
save=$2
compare=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "call $n: $1"
  cat "$work/err"
  exit 1
}

n=0
"$save" "$work/old" 1 2>"$work/err" && "$save" "$work/new" 2 2>"$work/err" || fail "cannot save"
calls=1
while [ "$n" -le "$calls" ]; do
  rm -rf "$work/run"
  cp -R "$work/old" "$work/run"
  LD_PRELOAD=$shim FAIL_AT=$n FAIL_BELOW=$work/run FAIL_COUNT=$work/count \
    "$save" "$work/run" 2 >"$work/out" 2>"$work/err"
  status=$?
  [ "$n" -eq 0 ] && calls=$(cat "$work/count")
  saved=$work/run/checkpoints/c.safetensors
  if [ "$status" -eq 0 ]; then
    "$compare" "$work/new/checkpoints/c.safetensors" "$saved" 2>/dev/null || fail "exit 0, another checkpoint"
    cmp -s "$work/new/summary.json" "$work/run/summary.json" || fail "exit 0, other results"
  else
    [ "$status" -eq 1 ] || fail "exit $status"
    grep -q "^Cannot .*\.$" "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ] || fail "no sentence"
    "$compare" "$work/old/checkpoints/c.safetensors" "$saved" 2>/dev/null ||
      "$compare" "$work/new/checkpoints/c.safetensors" "$saved" || fail "the checkpoint is lost"
    # The next run goes on; nothing is in its way.
    "$save" "$work/run" 2 2>"$work/err" || fail "cannot go on"
  fi
  [ -z "$(find "$work/run" -name '.*.tmp')" ] || fail "a leftover"
  n=$((n + 1))
done
[ "$calls" -gt 20 ] || fail "only $calls calls"
echo "each of $calls calls failed once"
