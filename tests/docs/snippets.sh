#!/bin/sh
# snippets.sh ROOT PAGE OUTPUT COMPILER FLAGS…: compiles the C++ blocks of a page (snippets.awk).
set -eu
root=$1 page=$2 output=$3
shift 3
here=$root/tests/docs
prelude=$(basename "$page" .md).hpp
[ -e "$here/$prelude" ] || prelude=''
awk -v page="$page" -v prelude="$prelude" -f "$here/snippets.awk" "$root/$page" >"$output"
"$@" -std=c++20 -fsyntax-only -w "-I$here" "$output"
