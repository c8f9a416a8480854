#!/bin/sh
# sh airfoil.sh SIMULATORS FOLDER: the wrapper of XFOIL and a short run with it.
. "$(dirname "$0")/support.sh"
installed xfoil
ask=$here/airfoil.sh

# Weights that are NACA 0012 but for 0.0003 of the chord; XFOIL's drag of that, at a Reynolds number of
# a million, is 54.0 without lift.
naca="1.102 0.910 0.936"
between 52.5 55.5 "$ask" drag 0 $naca 0 0 0
# The outline is 12 % thick, goes around once, and has no camber.
"$ask" shape $naca 0 0 0 | awk '
  { y[NR] = $2; if ($2 > most) most = $2; if ($2 < least) least = $2 }
  END {
    if (NR != 161 || y[1] != 0 || y[81] != 0 || y[161] != 0) exit 1
    for (i = 1; i <= NR; ++i) if (y[i] != -y[NR + 1 - i]) exit 1
    thick = most - least
    exit !(thick > 0.1199999 && thick < 0.1200001)
  }' || broken "the outline of NACA 0012"
# The mean is that of the three drags.
between 61 62 "$ask" 1.1 0.9 0.9 1.1 0.7 0.7
mean=$(for lift in 0.3 0.5 0.7; do "$ask" drag $lift 1.1 0.9 0.9 1.1 0.7 0.7; done | awk '{ s += $1 } END { print s / NR }')
between 61 62 echo "$mean"

fails 1 "XFOIL did not converge at lift 3" "$ask" drag 3 $naca 0 0 0
fails 1 "the two sides cross" "$ask" 1 -3 1 0 0 0
fails 2 "usage: airfoil.sh" "$ask" 1 1 1

minimizes airfoil 28 60.5
