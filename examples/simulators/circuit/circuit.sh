#!/bin/sh
# Asks ngspice how far a phono preamplifier of two transistors is from the RIAA curve with 40 dB at 1 kHz.
# Eight components are arguments, kiloohms and nanofarads (docs/circuit.md has the circuit).
#   circuit.sh RE1 R1 C1 R2 C2 RC1 RC2 RE2            mean square of the difference, in dB²
#   circuit.sh response RE1 R1 C1 R2 C2 RC1 RC2 RE2   frequency, gain in dB, wanted gain in dB
# Exits with 1, and a sentence on stderr, where ngspice has no answer or the output has no room to swing.
set -eu

fail() { echo "circuit.sh: $1" >&2; exit "${2:-1}"; }

what=error
[ "${1:-}" = response ] && { what=response; shift; }
[ $# -eq 8 ] || fail "usage: circuit.sh [response] RE1 R1 C1 R2 C2 RC1 RC2 RE2" 2
for value in "$@"; do
  awk -v v="$value" 'BEGIN { exit !(v + 0 > 0 && v !~ /[a-df-z]/) }' ||
    fail "a component must be a number above 0, got $value"
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder"

cat >circuit <<END
RIAA preamplifier
.model bc550 npn(is=1.8e-14 bf=400 nf=0.9955 vaf=80 ikf=0.14 ise=5e-14 ne=1.46 br=35 var=12.5 rb=100
+ re=0.5 rc=0.25 cje=13e-12 cjc=4e-12 tf=0.64e-9 tr=50e-9)
Vsupply vcc 0 24
Vin in 0 dc 0 ac 1
Cin in b1 4.7u
* the first transistor, its base fed from the emitter of the second
Q1 c1 b1 e1 bc550
Rbias e2 b1 220k
RC1 vcc c1 ${6}k
RE1 e1 0 ${1}k
* the second
Q2 c2 c1 e2 bc550
RC2 vcc c2 ${7}k
RE2 e2 0 ${8}k
CE2 e2 0 100u
* feedback that makes the curve
Cfeedback c2 f 10u
R1 f m ${2}k
C1 f m ${3}n
R2 m e1 ${4}k
C2 m e1 ${5}n
* what comes after it
Cout c2 out 10u
Rload out 0 100k
.control
op
echo point \$&v(c1) \$&v(e1) \$&v(c2) \$&v(e2)
ac dec 10 20 20480
wrdata response vdb(out)
quit 0
.endc
.end
END
command -v ngspice >/dev/null || fail "there is no ngspice: apt-get install ngspice"
ngspice -b circuit >out 2>why || fail "ngspice gave no answer: $(grep -i -m 1 error why out)"

# The quiet output must be 5 V away from the supply and from the emitter, to follow a click of the record.
set -- $(sed -n 's/^point //p' out)
[ $# -eq 4 ] || fail "ngspice found no operating point: $(grep -i -m 1 error why out)"
awk -v c1="$1" -v e1="$2" -v c2="$3" -v e2="$4" 'BEGIN {
  if (!(c1 - e1 > 0.3)) { print "the first transistor is saturated"; exit 1 }
  if (!(c2 - e2 > 5)) { printf "the output swings no further than %.1f V down, and must 5 V\n", c2 - e2; exit 1 }
  if (!(24 - c2 > 5)) { printf "the output swings no further than %.1f V up, and must 5 V\n", 24 - c2; exit 1 }
}' >reason || fail "$(cat reason)"

awk -v what=$what '
  # 3180, 318 and 75 microseconds, 40 dB at 1 kHz
  function curve(hertz, w) {
    w = 2 * 3.14159265358979 * hertz * 1e-6
    return 10 / log(10) * log((1 + (318 * w) ^ 2) / ((1 + (3180 * w) ^ 2) * (1 + (75 * w) ^ 2)))
  }
  {
    wanted = 40 + curve($1) - curve(1000)
    if (what == "response") printf "%.2f %.4f %.4f\n", $1, $2, wanted
    sum += ($2 - wanted) ^ 2
    ++rows
  }
  END {
    if (rows != 31) exit 1
    if (what == "error") printf "%.10g\n", sum / rows
  }' response || fail "ngspice computed no response"
