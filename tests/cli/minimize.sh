#!/bin/sh
# minimize.sh ZO ROOT: a run, killed and gone on with, and every way to say something wrong.
. "$(dirname "$0")/common.sh"
value() { sed -n "s/.*\"$1\": \([^,]*\),*$/\1/p" "$2"; }

# The minimum, with the budget kept, and the same answers by workers.
"$zo" minimize --command './wing {x}' $parameters --budget 60 --json --quiet >alone
[ "$(wc -l <asked)" -le 60 ] || fail "more questions than the budget"
[ "$(value queries alone)" -eq "$(wc -l <asked)" ] || fail "queries that were not made"
awk -v best="$(value best alone)" 'BEGIN { exit !(best < .5001) }' || fail "no minimum: $(cat alone)"
"$zo" minimize --command './wing {x}' $parameters --budget 60 --json --quiet --workers 3 >three
cmp alone three || fail "other answers by three workers"

# Killed again and again it ends as it would have, and asks again only what was being answered.
"$zo" minimize --command './wing {x}' $parameters --budget 40 --rule adam --json --quiet >expected
: >asked
kills=0
while :; do
  "$zo" minimize --command './wing {x}' $parameters --budget 40 --rule adam --json --quiet --log run.jsonl --resume >killed 2>/dev/null &
  pid=$!
  sleep 0.1
  kill -9 $pid 2>/dev/null || true
  if wait $pid 2>/dev/null; then break; fi
  kills=$((kills + 1))
  [ "$kills" -lt 200 ] || fail "it does not end"
done
cmp expected killed || fail "another end after $kills kills"
[ "$(wc -l <asked)" -le $((40 + kills)) ] || fail "$(wc -l <asked) questions for 40 answers and $kills kills"
# A last line that was cut off is asked again; any other damage is refused.
head -c $(($(wc -c <run.jsonl) - 9)) run.jsonl >cut.jsonl
"$zo" minimize --log cut.jsonl --resume --json --quiet >again
cmp expected again || fail "another end after a cut"
sed '3s/answer/Answer/' run.jsonl >bad.jsonl
says 'is damaged: line 3' 1 "$zo" minimize --log bad.jsonl --resume
says 'add --resume' 2 "$zo" minimize --log run.jsonl
says '--seed of the log is 0' 2 "$zo" minimize --log run.jsonl --resume --seed 4
says 'parameters of its own' 2 "$zo" minimize --log run.jsonl --resume --start 1,2

# A simulator that fails, hangs and prints nan, with a budget of 400.
cat >fragile <<'W'
#!/bin/sh
echo x >>asked
n=$(wc -l <asked)
case $((n % 9)) in
  2) echo "no licence" >&2; exit 3 ;;
  5) [ $((n % 90)) -ne 5 ] || sleep 60; echo nan ;;
  7) echo "residual" ;;
  *) ./wing "$1" "$2" ;;
esac
W
chmod +x fragile
: >asked
"$zo" minimize --command './fragile {x}' $parameters --budget 400 --timeout 0.5 --retries 2 --workers 2 --json --quiet >got
awk -v best="$(value best got)" 'BEGIN { exit !(best < .51) }' || fail "no minimum: $(cat got)"
[ "$(value queries got)" -le 400 ] || fail "budget: $(cat got)"

# Ctrl-C ends it, says how to go on, and it does.
cat >slow <<'W'
#!/bin/sh
sleep 0.2
./wing "$1" "$2"
W
chmod +x slow
# In the background a shell lets programs ignore Ctrl-C; SIGTERM ends them alike.
"$zo" minimize --command './slow {x}' $parameters --budget 30 --log slow.jsonl --quiet >stopped 2>stopped.err &
pid=$!
sleep 1
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code -eq 143 ] || fail "exit code $code after SIGTERM: $(cat stopped stopped.err)"
grep -q interrupted stopped && grep -q 'zo minimize --log slow.jsonl --resume' stopped.err || fail "$(cat stopped stopped.err)"
"$zo" minimize --command './wing {x}' --log slow.jsonl --resume --json --quiet >/dev/null

# Parameters of a file; whole and fixed ones.
cat >parameters.json <<'W'
[{"name": "a", "lower": 0, "upper": 1, "start": 0.8}, {"name": "b", "lower": 1, "upper": 1},
 {"name": "n", "lower": -3, "upper": 5, "start": 4, "whole": true}]
W
cat >mixed <<'W'
#!/bin/sh
case $3 in *.*) echo "$3 is not whole" >&2; exit 1 ;; esac
[ "$2" = 1 ] || exit 1
awk -v a="$1" -v n="$3" 'BEGIN { print (a - .3) ^ 2 + (n - 1) ^ 2 / 10 }'
W
chmod +x mixed
"$zo" minimize --command './mixed {x}' --parameters parameters.json --budget 400 --smoothing 0.0625 --failures stop --json --quiet >got
[ "$(value n got)" = 1.0 ] || fail "whole: $(cat got)"

says 'say what the parameters are' 2 "$zo" minimize --command x --budget 3
says 'say what is asked' 2 "$zo" minimize --start 1 --budget 3
says 'say what the run may cost' 2 "$zo" minimize --command x --start 1
says "must be numbers, got 'one'" 2 "$zo" minimize --command x --start one --budget 3
says '--lower has 1 entries' 2 "$zo" minimize --command x --start 1,2 --lower 3 --budget 3
says 'there is no parameter c' 2 "$zo" minimize --command x --start 1 --integer c --budget 3
says 'needs whole gradients' 2 "$zo" minimize --command x --start 1 --estimator rge --rule lbfgs --budget 3
says 'is no JSON' 2 "$zo" minimize --command x --parameters wing --budget 3
says 'not found' 1 "$zo" minimize --command './none {x}' --start 1 --budget 4
