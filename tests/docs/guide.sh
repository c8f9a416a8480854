#!/bin/sh
# guide.sh FOLDER FIT SIMULATOR ROOT: the programs of docs/guide.md print what it shows, a fit that was
# stopped ends in the same bits, and failures and damaged files are said.
set -u
folder=$1 fit=$2 simulator=$3 page=$4/docs/guide.md plot=$4/examples/guide/plot.gp
fail() { echo "guide: $1" >&2; exit 1; }
rm -rf "$folder" && mkdir -p "$folder" && cp "$simulator" "$folder/simulator" && cd "$folder" || exit 1
simulator=./simulator  # a command, which a shell reads

shown() { # what the page shows below this command
  awk -v command="$ $1" '/^```/ { on = 0 } on { print } $0 == command { on = 1 }' "$page"
}
same() { # command, file
  [ -n "$(shown "$1")" ] && shown "$1" | diff - "$2" || fail "$1 prints other lines than the page"
}

"$simulator" 2 0.1 10 >misfit.txt || fail "the simulator failed"
same 'guide_simulator 2 0.1 10' misfit.txt
"$fit" "$simulator" slopes >slopes.txt || fail "no slopes"
# The last digits are noise, which other processors round otherwise.
first_digits() { sed -n 's/\(\.[0-9][0-9]\)[0-9]*/\1/g; /e-0[0123]/p'; }
[ "$(shown 'guide_fit guide_simulator slopes' | first_digits)" = "$(first_digits <slopes.txt)" ] ||
  fail "$(cat slopes.txt)"
"$fit" "$simulator" fit 200 >whole.txt || fail "the fit failed"
same 'guide_fit guide_simulator fit 200' whole.txt
mv fit.csv whole.csv && mv fit.state whole.state
"$fit" "$simulator" fit 73 >/dev/null && "$fit" "$simulator" fit 200 >resumed.txt || fail "no resume"
cmp whole.csv fit.csv && cmp whole.state fit.state && cmp whole.txt resumed.txt || fail "other bits"

"$fit" "$simulator" fit 200 2>said.txt && fail "200 steps were done before"
grep -q 'ask for more' said.txt || fail "$(cat said.txt)"
"$fit" false fit 201 2>said.txt && fail "a simulator that fails"
grep -q 'a query failed' said.txt || fail "$(cat said.txt)"
cmp whole.state fit.state || fail "a failed query changed the state"
echo 200 >fit.state
"$fit" "$simulator" fit 201 2>said.txt && fail "a damaged state"
grep -q 'damaged' said.txt || fail "$(cat said.txt)"

command -v gnuplot >/dev/null || { echo "without the picture: there is no gnuplot"; exit 0; }
"$simulator" 1.25 0.242 20.3 curve >curve.txt && gnuplot "$plot" && [ -s guide.png ] || fail "no picture"
