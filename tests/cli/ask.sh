#!/bin/sh
# ask.sh ZO ROOT: a run answered by hand, a program a question, ends as one that asks by itself.
. "$(dirname "$0")/common.sh"
"$zo" minimize --command './wing {x}' $parameters --budget 23 --rule adam --json --quiet >expected
"$zo" ask run.jsonl $parameters --budget 23 --rule adam >questions
head -n 1 questions | grep -qx '# id a b' || fail "$(cat questions)"
says 'cannot read' 1 "$zo" tell none.jsonl 0 1
says 'was never asked' 2 "$zo" tell run.jsonl 99 1
says 'tell a value, or --failed' 2 "$zo" tell run.jsonl 0
says "must be numbers, got 'much'" 2 "$zo" tell run.jsonl 0 much
while [ -s questions ]; do
  # The last question first.
  sed 1d questions | sort -rn >todo
  while read -r id a b; do
    "$zo" tell run.jsonl "$id" -- "$(./wing "$a" "$b" | tail -n 1)"
  done <todo
  "$zo" ask run.jsonl >questions 2>end
done
grep -q 'the run is over: query budget spent' end || fail "$(cat end)"
"$zo" status run.jsonl --json >got
for key in best a b; do
  [ "$(grep "\"$key\"" got)" = "$(grep "\"$key\"" expected)" ] || fail "another $key: $(cat got) and $(cat expected)"
done
says 'is answered already' 2 "$zo" tell run.jsonl 0 1

# Failures, and JSON.
"$zo" ask other.jsonl --start 2 --budget 9 --json --most 1 >one
[ "$(cat one)" = '{"id":0,"values":{"x1":2.01}}' ] || fail "$(cat one)"
"$zo" tell other.jsonl 0 --failed 'the cable broke'
says 'the cable broke' 0 "$zo" status other.jsonl
says 'not at its end' 0 "$zo" status other.jsonl
