#!/usr/bin/env bash
# From a fresh Debian or Ubuntu with Rust to a result folder: installs what is missing, builds, and diagnoses the embedded
# model on the embedded text. Arguments go to `lm-infinite diagnose`, e.g. --model FOLDER --tokens 4k --out FOLDER.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_system
cargo build --release --bin lm-infinite
exec "${CARGO_TARGET_DIR:-target}/release/lm-infinite" diagnose "$@"
