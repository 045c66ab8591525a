#!/usr/bin/env bash
# From a fresh Debian or Ubuntu with Rust to a result folder: installs what is missing, builds, fetches SmolLM2 (98 MB)
# and diagnoses it on the embedded text. Arguments go to `lm-infinite diagnose`, e.g. --tokens 4k --out FOLDER.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_system
cargo build --release --bin lm-infinite
program=${CARGO_TARGET_DIR:-target}/release/lm-infinite
"$program" models pull smollm2 > /dev/null

out=results/smollm2-$(date +%Y%m%d-%H%M%S)
for argument in "$@"; do
  # The caller's own folder is used, and the program says where it is.
  case $argument in --out | --out=*) out= ;; esac
done
if [ -n "$out" ]; then
  "$program" diagnose --model smollm2 --out "$out" "$@"
  echo "The result is in $PWD/$out" >&2
else
  "$program" diagnose --model smollm2 "$@"
fi
