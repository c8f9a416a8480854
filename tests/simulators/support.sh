# Sourced by the tests of simulators: sh TEST.sh SIMULATORS FOLDER.
set -eu
program=$1 here=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

broken() { echo "$*" >&2; exit 1; }
# installed SIMULATOR: or the test is skipped.
installed() { command -v "$1" >/dev/null || { echo "skipped: there is no $1"; exit 77; }; }
# between LOW HIGH COMMAND …: its answer is a number from LOW to HIGH.
between() {
  low=$1 high=$2
  shift 2
  answer=$("$@") || broken "$*: failed"
  awk -v a="$low" -v b="$answer" -v c="$high" 'BEGIN { exit !(b + 0 == b && a <= b && b <= c) }' ||
    broken "$*: answered '$answer', not a number from $low to $high"
}
# fails CODE SENTENCE COMMAND …: says the sentence on stderr and answers nothing.
fails() {
  wanted=$1 sentence=$2 code=0
  shift 2
  "$@" >"$work/out" 2>"$work/err" || code=$?
  [ "$code" -eq "$wanted" ] || broken "$*: exit code $code instead of $wanted: $(cat "$work/err")"
  [ ! -s "$work/out" ] || broken "$*: answered $(cat "$work/out")"
  grep -q -- "$sentence" "$work/err" || broken "$*: said '$(cat "$work/err")', not '$sentence'"
}
# minimizes NAME RUNS HIGHEST: a few steps end at HIGHEST or below, the same point again from the log
# alone, and there the wrapper answers the same.
minimizes() {
  "$program" "$1" "$work/log" "$2" >"$work/first" || broken "$1: no run"
  asked=$(grep -c '"id"' "$work/log")
  [ "$asked" -le "$2" ] || broken "$1: $asked runs, more than $2"
  "$program" "$1" "$work/log" "$2" >"$work/second"
  [ "$asked" -eq "$(grep -c '"id"' "$work/log")" ] || broken "$1: the log was not enough to go on"
  cmp -s "$work/first" "$work/second" || broken "$1: another run from its log"
  best=$(sed -n 's/.*: best \([^ ]*\) after .*/\1/p' "$work/first")
  between 0 "$3" echo "$best"
}
