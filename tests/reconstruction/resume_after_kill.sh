#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE [ROUNDS SEED]: see tests/app/resume_after_kill.sh.
exec "$(dirname "$0")/../app/resume_after_kill.sh" "$2" "${3:-1}" "${4:-1}" "$1" \
  --reconstructor-steps 6 --autoencoder-steps 6 --latent 6 --width 4 --depth 3 --batch 8 --steps 6 \
  --images 3 --copies 2 --attack-steps 2 --seeds 1 --checkpoint-every 2 --threads 1 --quiet
