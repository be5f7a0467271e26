#!/usr/bin/env bash
# Runs the kernels' tests in WebAssembly under Node, where its instruction set is compared with float64 as all others are.
# Needs rustup's target wasm32-wasip1 (`rustup target add wasm32-wasip1`) and Node 20 or later.
#
#   scripts/test_web_kernels.sh [FILTER…]
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in -*) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
export RUSTFLAGS=-Ctarget-feature=+simd128
export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/scripts/run_wasi.mjs"
"${CARGO:-cargo}" test --release --locked --package ksom-kernels --lib --target wasm32-wasip1 \
    --target-dir target/web/tests -- "$@"
