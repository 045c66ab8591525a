#!/usr/bin/env bash
# Speed of llama.cpp, candle-transformers and lm-infinite on the same GGUF file with the same threads, as one table.
#
#   benches/rivals/run.sh [--native] [-- options of compare.py, e.g. --rounds 5 --lengths 512 2048]
#
# The first run builds llama.cpp (about ten minutes on two cores). `--native` adds candle-transformers compiled for this
# very processor; its kernels choose instructions at compile time, ours and llama.cpp's need no such flag.
# LLAMA_PYTHON names a Python that has llama-cpp-python already, MODEL another GGUF file.
set -euo pipefail
cd "$(dirname "$0")/../.."

native=false
if [ "${1-}" = --native ]; then native=true; shift; fi
if [ "${1-}" = -- ]; then shift; fi

target=${CARGO_TARGET_DIR:-$PWD/target}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lm-infinite-rivals
mkdir -p "$cache"

cargo build --release --workspace --bin lm-infinite --example candle-llama
ours=$target/release/lm-infinite
candle=(--candle "candle-transformers" "$target/release/examples/candle-llama")
if $native; then
  RUSTFLAGS="-C target-cpu=native" cargo build --release -p lm-infinite-tests --example candle-llama --target-dir "$cache/native"
  candle+=(--candle "candle-transformers, native" "$cache/native/release/examples/candle-llama")
fi

MODEL=${MODEL:-$("$ours" models pull smollm2)}

runs() { "$1" benches/rivals/run_llama.py "$MODEL" 64 2 1 > /dev/null 2>&1; }
if [ -z "${LLAMA_PYTHON-}" ]; then
  LLAMA_PYTHON=$cache/venv/bin/python
  version=0.3.36
  if ! runs "$LLAMA_PYTHON"; then
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet "llama-cpp-python==$version"
  fi
  if ! runs "$LLAMA_PYTHON"; then
    # Some virtual machines announce AMX and then fault on it.
    echo "llama.cpp crashes as built; building it again without AMX" >&2
    off="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    CMAKE_ARGS="-DCMAKE_C_FLAGS='$off' -DCMAKE_CXX_FLAGS='$off'" "$cache/venv/bin/pip" install --quiet \
      --force-reinstall --no-cache-dir --no-binary llama-cpp-python --no-deps "llama-cpp-python==$version"
  fi
fi
runs "$LLAMA_PYTHON" || { echo "llama.cpp does not run here" >&2; exit 1; }

exec python3 benches/rivals/compare.py --model "$MODEL" --ours "$ours" --llama-python "$LLAMA_PYTHON" "${candle[@]}" "$@"
