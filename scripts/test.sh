#!/usr/bin/env bash
# Passes the tests on a fresh Debian or Ubuntu with Rust: installs what is missing, then runs every test of the workspace.
# Tests that need a model or a text that is not here say so; `.ci/run` fetches both and runs the slow ones too.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_system
exec cargo test --release --workspace "$@"
