#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE [ROUNDS SEED]: see tests/app/resume_after_kill.sh.
exec "$(dirname "$0")/../app/resume_after_kill.sh" "$2" "${3:-1}" "${4:-1}" "$1" \
  --classifier-steps 4 --autoencoder-steps 4 --latent 12 --width 2 --depth 3 --batch 4 --steps 6 --q 12 \
  --start-steps 4 --evaluations 2 --held-out 40 --seeds 2 --images 2 --n 40 --n0 20 --checkpoint-every 2 --threads 1 --quiet \
  --method zo-ae-ds,deepzero,activations
