#!/usr/bin/env bash
# Checks that every crate compiles for macOS on Apple silicon with the features `metal` and `accelerate`, on a Debian
# machine: no Mac and no SDK. NEON code is compiled on the way.
#
#   scripts/check_metal.sh [FOLDER]
#
# Debian packages a Rust compiler with its library's source (rustc-web, rust-web-src). They are downloaded with apt-get and
# unpacked, not installed; the standard library for the Mac is compiled from that source. Everything is written in
# FOLDER, target/check-metal by default. That compiler is older than the one the workspace asks for, and what reaches the
# network needs the newer one: the features candle-datasets and hub are left out, and ksom-python, which has both. CARGO
# names another cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in -*) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${1:-target/check-metal}"
folder=$(cd "${1:-target/check-metal}" && pwd)
started=$SECONDS
target=aarch64-apple-darwin

source scripts/debian_rust.sh
debian_rust "$folder"
# C code of dependencies cannot be compiled without Apple's headers; type-checking Rust does not need it.
cat > "$folder/cc" <<'WRAPPER'
#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
    -o) : > "$2"; shift ;;
    esac
    shift
done
WRAPPER
cat > "$folder/ar" <<'WRAPPER'
#!/bin/sh
for file; do case $file in *.a) : > "$file" ;; esac; done
WRAPPER
chmod +x "$folder/cc" "$folder/ar"
mkdir -p "$folder/sdk"

export SDKROOT=$folder/sdk
# sha2's own code for ARM uses intrinsics as safe functions, which they have only since become.
export CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS='--cfg sha2_backend="soft"'
export CC_aarch64_apple_darwin=$folder/cc CXX_aarch64_apple_darwin=$folder/cc AR_aarch64_apple_darwin=$folder/ar
${CARGO:-cargo} check --target-dir "$folder/check" --locked --ignore-rust-version -Zbuild-std --target "$target" --workspace \
    --exclude ksom-python --all-targets --no-default-features --features metal,accelerate,parquet
echo "features metal, accelerate and parquet for $target: all crates but ksom-python, tests, examples and benches compile" \
    "($((SECONDS - started)) s)"
