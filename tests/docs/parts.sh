#!/bin/sh
# parts.sh ROOT PAGE FILE: the page shows the whole program, piece by piece and word for word.
set -eu
root=$1 page=$2 file=$3
[ -e "$root/$page" ] || { echo "skipped: there is no $page"; exit 0; }
shown=$(awk -v file="$file" -f "$root/tests/docs/parts.awk" "$root/$page")
[ "$shown" = "$(grep -v '^$' "$root/$file")" ] || {
  echo "the blocks of $page below <!-- part of $file --> must together be that file, word for word:"
  echo "$shown" | grep -v '^$' | diff - "$root/$file" | grep '^[<>] .' || true
  exit 1
}
