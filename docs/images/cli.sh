#!/bin/sh
# cli.sh ZO: makes cli.png, the picture of docs/cli.md.
set -eu
zo=$(command -v "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >wing <<'W'
#!/bin/sh
awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN {
  if (int(a * 1e7) % 13 == 5) exit 3
  l = log(b) / log(10) + 2; print (a - .3 + l / 20) ^ 2 * 10 + l * l + (c - 4) ^ 2 / 9 + .5 }'
W
chmod +x wing
"$zo" minimize --command './wing {x}' --names camber,rate,angle --start 0.8,1,9 --lower 0,0.0001,0 --upper 1,10,10 \
  --log-scale rate --rule adam --rate 0.05 --budget 240 --workers 2 --log run.jsonl --quiet
"$zo" plot run.jsonl -o "$here/cli.png"
