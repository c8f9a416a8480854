#!/bin/sh
# resume_after_kill.sh PROGRAM COMPARE [ROUNDS SEED]: see tests/app/resume_after_kill.sh.
exec "$(dirname "$0")/../app/resume_after_kill.sh" "$2" "${3:-1}" "${4:-1}" "$1" \
  --images 1280 --test-images 100 --channels 4 --depth 2 --epochs 2 --interval 0.25 --directions 8 \
  --checkpoint-every 3 --evaluations 1 --threads 1 --quiet
