#!/usr/bin/env bash
# Runs every fuzz target for a while, from files that are in order and from what earlier runs have found.
#
#   scripts/fuzz.sh [SECONDS] [TARGET]...
#
# 600 seconds each by default. Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler; a stable Rust compiler
# is told to be a nightly one. Fails at the first crash, hang over 10 s, or allocation over 2 GiB, and names the input.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift "$(($# < 1 ? $# : 1))"
export RUSTC_BOOTSTRAP=1
folder=${CARGO_TARGET_DIR:-fuzz/target}
mapfile -t targets < <([ $# -gt 0 ] && printf '%s\n' "$@" || cargo fuzz list)

seed() {
    mkdir -p "fuzz/corpus/$1"
    case $1 in
    config) cp models/*/config.json "fuzz/corpus/$1/" ;;
    recipe) cp crates/vqvae/recipes/*.toml "fuzz/corpus/$1/" ;;
    pth) cp tests/golden/model/*.pth "fuzz/corpus/$1/" ;;
    picture) cp crates/datasets/tests/datasets/data/* "fuzz/corpus/$1/" ;;
    data_spec) printf 'folder:a+cifar10:b/c' > "fuzz/corpus/$1/mixture" ;;
    esac
}

for target in "${targets[@]}"; do
    seed "$target"
    cargo fuzz run --target-dir "$folder" "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=65536 -print_final_stats=1 2>&1 |
        tee "fuzz/corpus/$target.log" | grep -E 'SUMMARY|panicked|number_of_executed_units|peak_rss|Test unit written' |
        sed "s/^/$target: /"
done
