#!/bin/sh
# names.sh ROOT: docs/reference.md has a section for each header, which names its public names in
# `code` and begins no line with a name that the header does not have.
set -eu
cd "$1"
find include/zo -name '*.hpp' | sort | xargs awk -v root=include/ -f tests/docs/names.awk |
  awk -F '\t' -v page=docs/reference.md '
    FILENAME == page && /^### / { header = substr($0, 5); next }
    FILENAME == page && /^#/ { header = ""; next }
    FILENAME == page {
      count = split($0, piece, "`")
      for (k = 2; k <= count; k += 2) {
        words = split(piece[k], word, /[^a-zA-Z_0-9]+/)
        for (w = 1; w <= words; ++w) told[header, word[w]] = 1
        if ($0 ~ /^- `/ && k == 2) leads[header, word[1]] = 1
      }
      next
    }
    { has[$1, $2] = 1 }
    !(($1, $2) in told) { print page ", section " $1 ": `" $2 "` is missing"; bad = 1 }
    END {
      for (key in leads) {
        split(key, part, SUBSEP)
        if (!(key in has)) { print page ", section " part[1] ": `" part[2] "` is not in that header"; bad = 1 }
      }
      exit bad
    }' docs/reference.md -
