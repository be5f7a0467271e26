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
for features in simd128 simd128,relaxed-simd; do
    echo "== $features"
    CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $relaxed $PWD/scripts/run_wasi.mjs" \
        RUSTFLAGS="-Ctarget-feature=+${features//,/,+}" \
        "$cargo" test --release --locked --package ksom-kernels --lib --target "$target" \
        --target-dir "target/web/tests-$features" -- "$@"
done
