#!/bin/sh
# help.sh ZO ROOT: the manual and the completion know every option, and nothing else.
. "$(dirname "$0")/common.sh"
for command in minimize ask tell status plot; do
  "$zo" "$command" --help >help
  options=$(grep -oE '^  (-o,)?--[a-z-]+' help | grep -oE -- '--[a-z-]+')
  [ -n "$options" ] || fail "no options in the help of $command"
  for option in $options; do
    escaped=$(echo "$option" | sed 's/-/\\\\-/g')
    [ "$option" = --help ] || grep -q -- "$escaped" "$root/cli/zo.1" || fail "zo.1 does not know $option"
    complete=$(bash -c '. "$1"; COMP_WORDS=(zo "$2" "$3"); COMP_CWORD=2; _zo; echo "${COMPREPLY[*]}"' bash "$root/cli/zo.bash" "$command" "$option")
    case " $complete " in *" $option "*) ;; *) fail "zo.bash does not complete $command $option: $complete" ;; esac
  done
done
known=$("$zo" minimize --help; "$zo" ask --help; "$zo" tell --help; "$zo" status --help; "$zo" plot --help)
for option in $(sed 's/\\-/-/g' "$root/cli/zo.1" | grep -oE -- '--[a-z-]+[a-z]' | sort -u); do
  echo "$known" | grep -qE -- "$option( |,|$)" || fail "zo.1 has $option, which zo has not"
done
[ "$(bash -c '. "$1"; COMP_WORDS=(zo mi); COMP_CWORD=1; _zo; echo "${COMPREPLY[*]}"' bash "$root/cli/zo.bash")" = minimize ] || fail "zo mi is not completed"
[ "$(bash -c '. "$1"; COMP_WORDS=(zo minimize --rule l); COMP_CWORD=3; _zo; echo "${COMPREPLY[*]}"' bash "$root/cli/zo.bash")" = lbfgs ] || fail "--rule l is not completed"
if command -v groff >/dev/null; then
  said=$(groff -man -ww -z -Tutf8 "$root/cli/zo.1" 2>&1) || true
  [ -z "$said" ] || fail "the manual: $said"
fi
says 'Exit codes' 0 "$zo" --help
says 'A subcommand is required' 2 "$zo"
says 'nonsense' 2 "$zo" minimize --nonsense
