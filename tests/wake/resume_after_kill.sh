#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE [ROUNDS SEED]: see tests/app/resume_after_kill.sh.
exec "$(dirname "$0")/../app/resume_after_kill.sh" "$2" "${3:-1}" "${4:-1}" "$1" \
  --rows 8 --factor 2 --settling 10 --frames 12 --test-steps 10 --starts 1 --reynolds 80,200 --test-reynolds 120 \
  --unroll 3 --batch 2 --steps 60 --calls 6000 --channels 3 --seeds 1 --evaluations 5 --checkpoint-every 2 \
  --method non,cut,rge,boundary-rge,chain,fo --threads 1 --quiet
