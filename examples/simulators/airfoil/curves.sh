#!/bin/sh
# What plot.gp draws of an airfoil: PREFIX.shape, and PREFIX.polar, lift and drag where XFOIL converges.
#   curves.sh PREFIX T0 T2 T3 C0 C1 C2
set -eu
prefix=$1
shift
ask=$(dirname "$0")/airfoil.sh
"$ask" shape "$@" >"$prefix.shape"
for lift in 0.05 0.1 0.15 0.2 0.25 0.3 0.35 0.4 0.45 0.5 0.55 0.6 0.65 0.7 0.75 0.8 0.85 0.9 0.95 1; do
  drag=$("$ask" drag $lift "$@" 2>/dev/null) && echo "$lift $drag" || true
done >"$prefix.polar"
