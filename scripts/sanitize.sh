#!/usr/bin/env bash
# Runs the tests of the crates with unsafe code under AddressSanitizer, which stops at the first access out of bounds or
# after the end of a life.
#
#   scripts/sanitize.sh [TEST_ARGUMENT]...
#
# Needs a C++ compiler; a stable Rust compiler is told to be a nightly one. The standard library is not instrumented.
# Everything is written in target/sanitize, or in CARGO_TARGET_DIR. Doctests, which are linked in another way, are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/sanitize}
# What proptest and rayon keep for the life of the program is no leak.
export ASAN_OPTIONS=detect_leaks=0
started=$SECONDS
cargo test --release --locked --target x86_64-unknown-linux-gnu -p ksom-kernels -p ksom-datasets --lib --tests -- "$@"
echo "AddressSanitizer found nothing in the tests of ksom-kernels and ksom-datasets ($((SECONDS - started)) s)"
