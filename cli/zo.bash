# Completion of zo for bash.
_zo() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  local run='--start --lower --upper --names --log-scale --integer --parameters --estimator --directions --distribution
    --scheme --smoothing --rule --rate --seed --failures --penalty --retries'
  local words=
  COMPREPLY=()
  case $before in
    --estimator) words='cge rge' ;;
    --distribution) words='gaussian rademacher sphere' ;;
    --scheme) words='central forward' ;;
    --smoothing) words='automatic' ;;
    --rule) words='lbfgs adam sgd sign_sgd' ;;
    --failures) words='drop replace penalise stop' ;;
    --log | --csv | --parameters | -o | --output | --folder)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
  esac
  if [ -n "$words" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    return
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='minimize ask tell status plot --help --version'
  else
    case $command in
      minimize)
        words="--command --kept --folder --service --token-from --timeout --workers --budget --target --log --resume
          --csv --json --quiet --help $run"
        ;;
      ask) words="--most --budget --json --help $run" ;;
      tell) words='--failed --budget --help' ;;
      status) words='--json --help' ;;
      plot) words='--output --help' ;;
    esac
  fi
  case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    *)
      if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
      fi
      ;;
  esac
}
complete -F _zo zo
