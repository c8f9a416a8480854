# What the tests of the program share: a folder of their own, and checks that say what failed.
set -eu
zo=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "$*" >&2; exit 1; }
# says TEXT CODE COMMAND…: it exits with the code, and prints the text.
says() {
  text=$1 code=$2
  shift 2
  got=0
  "$@" >said 2>&1 || got=$?
  [ "$got" -eq "$code" ] || fail "exit code $got, not $code: $*: $(cat said)"
  grep -qF -- "$text" said || fail "no \"$text\": $*: $(cat said)"
}
# A simulator with a minimum of .5 at a = .3, b = .01, as people write them.
cat >wing <<'W'
#!/bin/sh
echo x >>asked
awk -v a="$1" -v b="$2" 'BEGIN { l = log(b) / log(10) + 2; print "computing"; printf "%.15g\n", (a - .3) ^ 2 * 10 + l * l + .5 }'
W
chmod +x wing
parameters='--names a,b --start 0.8,1 --lower 0,0.0001 --upper 1,10 --log-scale b'
