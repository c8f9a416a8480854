#!/bin/sh
# Asks XFOIL for the drag of an airfoil 12 % thick. The shape is six numbers (docs/airfoil.md).
#   airfoil.sh T0 T2 T3 C0 C1 C2                mean drag at three lifts, in counts (0.0001)
#   airfoil.sh drag LIFT T0 T2 T3 C0 C1 C2      drag at one lift coefficient
#   airfoil.sh shape T0 T2 T3 C0 C1 C2          the points of the outline
# Exits with 1, and a sentence on stderr, where XFOIL has no answer.
set -eu

fail() { echo "airfoil.sh: $1" >&2; exit "${2:-1}"; }
usage() { fail "usage: airfoil.sh [shape | drag LIFT] T0 T2 T3 C0 C1 C2" 2; }

reynolds=1e6 lifts="0.3 0.5 0.7" what=mean
case "${1:-}" in
  shape) what=shape; shift ;;
  drag) [ $# -gt 1 ] || usage; what=mean lifts=$2; shift 2 ;;
esac
[ $# -eq 6 ] || usage

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

# The outline, from the trailing edge over the upper side to the nose and back below. Thickness is
# sqrt(x) (1 - x) times a Bernstein polynomial of weights T0, 1, T2, T3, scaled to 12 % of the chord;
# the centre line x (1 - x) / 10 times one of weights C0, C1, C2.
awk -v t0="$1" -v t2="$2" -v t3="$3" -v c0="$4" -v c1="$5" -v c2="$6" '
  function half(x, r) {
    r = 1 - x
    return sqrt(x) * r * (t0 * r * r * r + 3 * x * r * r + 3 * t2 * x * x * r + t3 * x * x * x)
  }
  function centre(x, r) { r = 1 - x; return x * r * (c0 * r * r + 2 * c1 * x * r + c2 * x * x) / 10 }
  BEGIN {
    n = 80
    for (i = 0; i <= n; ++i) {
      x[i] = (1 - cos(3.14159265358979 * i / n)) / 2
      h[i] = half(x[i])
      if (h[i] > most) most = h[i]
      if (i > 0 && i < n && h[i] <= 0) { print "the two sides cross at x = " x[i] >"/dev/stderr"; exit 1 }
    }
    print "airfoil"
    for (i = n; i >= -n; --i) {
      j = i < 0 ? -i : i
      print x[j], centre(x[j]) + (i < 0 ? -1 : 1) * 0.06 * h[j] / most
    }
  }' >"$folder/shape" 2>"$folder/why" || fail "$(cat "$folder/why")"
[ $what = shape ] && { sed 1d "$folder/shape"; exit; }

# XFOIL draws when it has an answer. Without a display it ends there, and the answer is printed by
# then; PLOP G, which switches drawing off, makes Debian's XFOIL divide by zero instead. So every lift
# is a run of its own. It writes files where it is started.
command -v xfoil >/dev/null || fail "there is no xfoil: apt-get install xfoil"
cd "$folder"
for lift in $lifts; do
  printf 'LOAD shape\nPANE\nOPER\nVISC %s\nITER 60\nCL %s\n\nQUIT\n' "$reynolds" "$lift" |
    env -u DISPLAY xfoil >out 2>why || true
  # After the last iteration comes a line with more digits: Ncrit, …, drag, …, "#".
  grep -q rms: out || fail "XFOIL gave no answer at lift $lift: $(tail -n 1 why)"
  if grep -q -e 'VISCAL:  Conv' -e 'SPECCL:  CL conv' out; then fail "XFOIL did not converge at lift $lift"; fi
  awk '$NF == "#" && NF == 8 { drag = $3 } END { if (!(drag > 0)) exit 1; print drag }' out >>drags ||
    fail "XFOIL printed no drag at lift $lift"
done
awk '{ sum += $1 } END { printf "%.4f\n", 1e4 * sum / NR }' drags
