#!/bin/sh
# What plot.gp draws of a preamplifier: PREFIX.response, frequency, gain and wanted gain.
#   curves.sh PREFIX RE1 R1 C1 R2 C2 RC1 RC2 RE2
set -eu
prefix=$1
shift
"$(dirname "$0")/circuit.sh" response "$@" >"$prefix.response"
