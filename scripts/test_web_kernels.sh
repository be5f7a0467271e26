#!/usr/bin/env bash
# Runs the kernels' tests in WebAssembly under Node, where each instruction set is compared with float64: with SIMD, and
# with relaxed SIMD. Needs rustup's target wasm32-wasip1 (`rustup target add wasm32-wasip1`) and Node 20 or later.
#
#   scripts/test_web_kernels.sh [FILTER…]
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in -*) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
cargo=${CARGO:-cargo}
target=wasm32-wasip1
relaxed=
# Node had it behind a flag once.
if node --v8-options | grep -q -- --experimental-wasm-relaxed-simd; then relaxed=--experimental-wasm-relaxed-simd; fi
# What the kernels depend on is compiled once.
mkdir -p target/web
printf '#!/bin/sh\nexec "$@" -Ctarget-feature=+relaxed-simd\n' > target/web/relaxed_rustc
chmod +x target/web/relaxed_rustc
export RUSTFLAGS=-Ctarget-feature=+simd128
export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $relaxed $PWD/scripts/run_wasi.mjs"
for wrapper in "" "$PWD/target/web/relaxed_rustc"; do
    RUSTC_WORKSPACE_WRAPPER=$wrapper "$cargo" test --release --locked --package ksom-kernels --lib --target "$target" \
        --target-dir target/web/tests -- "$@"
done
