#!/bin/sh
# sh circuit.sh SIMULATORS FOLDER: the wrapper of ngspice and a short run with it.
. "$(dirname "$0")/support.sh"
installed ngspice
ask=$here/circuit.sh
plain="1 1000 3.3 82 1 220 10 1"

# The wanted curve is RIAA's: 19.274 dB at 20 Hz above that at 1 kHz, which is 40 dB, and flat nowhere.
"$ask" response $plain >"$work/response"
awk 'NR == 1 { exit !($1 == 20 && $3 > 59.27 && $3 < 59.28) }' "$work/response" || broken "the wanted curve"
[ "$(wc -l <"$work/response")" -eq 31 ] || broken "31 frequencies"
# The answer is the mean square of what the response shows.
square=$(awk '{ s += ($2 - $3) ^ 2 } END { printf "%.5f", s / NR }' "$work/response")
between "$(awk -v s="$square" 'BEGIN { print s - 1e-3 }')" "$(awk -v s="$square" 'BEGIN { print s + 1e-3 }')" "$ask" $plain
between 0.64 0.66 "$ask" $plain

fails 1 "swings no further than 0.1 V down" "$ask" 1 1000 3.3 82 1 220 30 1
fails 1 "the first transistor is saturated" "$ask" 1 1000 3.3 82 1 1e9 10 1
fails 1 "a component must be a number above 0, got -1" "$ask" 1 1000 3.3 82 -1 220 10 1
fails 1 "a component must be a number above 0, got x" "$ask" 1 1000 x 82 1 220 10 1
fails 2 "usage: circuit.sh" "$ask" 1 2 3

minimizes circuit 60 0.4
