#!/bin/sh
# Stands for a simulator that is started for each question: numbers as arguments, the answer last.
echo "simulating at $*"
awk -v x="$1" -v y="$2" 'BEGIN { a = 1 - x; b = y - x * x; printf "%.17g\n", a * a + 100 * b * b }'
