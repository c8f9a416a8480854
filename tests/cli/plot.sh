#!/bin/sh
# plot.sh ZO ROOT: pictures of logs, whole and hardly begun.
. "$(dirname "$0")/common.sh"
command -v gnuplot >/dev/null || exit 77
"$zo" minimize --command './wing {x}' $parameters --budget 30 --log run.jsonl --quiet >/dev/null
[ "$("$zo" plot run.jsonl)" = run.jsonl.png ] || fail "another name"
[ "$(head -c 4 run.jsonl.png | tail -c 3)" = PNG ] && [ "$(wc -c <run.jsonl.png)" -gt 20000 ] || fail "no picture"
"$zo" plot run.jsonl -o out.svg >/dev/null
grep -q '</svg>' out.svg || fail "no SVG"
"$zo" ask new.jsonl --names "it's" --start 2 --budget 9 >/dev/null
"$zo" plot new.jsonl >/dev/null
"$zo" tell new.jsonl 0 --failed broke
"$zo" plot new.jsonl >/dev/null
says 'a picture ends in .png or .svg' 2 "$zo" plot run.jsonl -o out.jpg
says 'cannot read' 1 "$zo" plot none.jsonl
