#!/usr/bin/env bash
# Runs every fuzz target for a while, from the files in fuzz/seeds and from what earlier runs have found.
#
#   scripts/fuzz.sh [SECONDS] [TARGET]...
#
# 600 seconds each by default. Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler; a stable Rust compiler
# is told to be a nightly one. Dependencies are those of Cargo.lock. Fails at the first crash, hang over 10 s, or
# allocation over 2 GiB, and names the input: once mended, it belongs into fuzz/seeds, which `cargo test` reads.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift "$(($# < 1 ? $# : 1))"
export RUSTC_BOOTSTRAP=1
folder=${CARGO_TARGET_DIR:-fuzz/target}
mapfile -t targets < <([ $# -gt 0 ] && printf '%s\n' "$@" || cargo fuzz list)
# Targets that read files write them first: in memory, where that is possible.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
cp Cargo.lock fuzz/Cargo.lock

for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    corpora=("fuzz/corpus/$target" "fuzz/seeds/$target")
    [ "$target" != picture ] || corpora+=(crates/datasets/tests/datasets/data)
    cargo fuzz run --target-dir "$folder" "$target" "${corpora[@]}" -- -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 2>&1 |
        tee "fuzz/corpus/$target.log" | grep -E 'SUMMARY|panicked|number_of_executed_units|peak_rss|Test unit written' |
        sed "s/^/$target: /"
done
