#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE [ROUNDS SEED]: see tests/app/resume_after_kill.sh.
exec "$(dirname "$0")/../app/resume_after_kill.sh" "$2" "${3:-1}" "${4:-1}" "$1" \
  --classifier-steps 8 --autoencoder-steps 8 --latent 6 --width 4 --depth 3 --batch 8 --steps 8 \
  --images 3 --n 60 --n0 20 --checkpoint-every 2 --threads 1 --quiet
