#!/usr/bin/env bash
# Builds what the page of `ksom explore` loads, from crates/web: crates/web/page/pkg.
#
#   scripts/build_web.sh [FOLDER]
#
# Compiled by rustup's target wasm32-unknown-unknown where it is installed (`rustup target add wasm32-unknown-unknown`), else by the compiler
# that Debian packages for such things (rustc-web, rust-web-src, lld), which is downloaded with apt-get and unpacked, not
# installed. wasm-bindgen's own command is compiled by cargo. Everything else is written in FOLDER, target/web by default.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in -*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${1:-target/web}"
folder=$(cd "${1:-target/web}" && pwd)
cargo=${CARGO:-cargo}
started=$SECONDS
target=wasm32-unknown-unknown
pkg=crates/web/page/pkg

# wasm-bindgen's command has the version of the crate, or they do not understand each other.
version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
bindgen=$folder/tools/bin/wasm-bindgen
if [ "$("$bindgen" --version 2>/dev/null)" != "wasm-bindgen $version" ]; then
    "$cargo" install wasm-bindgen-cli --version "$version" --bin wasm-bindgen --root "$folder/tools" --locked ||
        "$cargo" install wasm-bindgen-cli --version "$version" --bin wasm-bindgen --root "$folder/tools"
fi

options=() flags=
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    source scripts/debian_rust.sh
    debian_rust "$folder"
    linker=$(debian_dependency lld 'lld-[0-9]*')
    debian_packages "$folder" "$linker" "$(debian_dependency "$linker" 'libllvm[0-9]*')"
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$folder/debian/usr/lib/x86_64-linux-gnu" \
        "$(echo "$folder"/debian/usr/bin/wasm-ld*)" > "$folder/wasm-ld"
    chmod +x "$folder/wasm-ld"
    options=(--ignore-rust-version -Zbuild-std=std,panic_abort)
    flags="-Clinker=$folder/wasm-ld"
fi

RUSTFLAGS="$flags -Ctarget-feature=+simd128" "$cargo" rustc --locked "${options[@]}" --package ksom-web --lib \
    --crate-type cdylib --target "$target" --profile web --target-dir "$folder/build"
"$bindgen" --target web --no-typescript --remove-name-section --remove-producers-section \
    --out-dir "$folder/pkg" "$folder/build/$target/web/ksom_web.wasm"
mkdir -p "$pkg"
cp "$folder/pkg/ksom_web.js" "$pkg/"
gzip -9nc "$folder/pkg/ksom_web_bg.wasm" > "$pkg/ksom_web_bg.wasm.gz"

# What it was built from, for the test that says when it is stale: the sources that the compiler has read, but those of
# what a page never does, and the packages.
unused='^crates/(vqvae/(recipes|src/(training|hub|record))|datasets/src/(sources|sets))/'
{
    tr ' ' '\n' < "$folder/build/$target/web/ksom_web.d" | sed -n "s#^$PWD/\(crates/.*\)#\1#p" |
        grep -vE "$unused" | LC_ALL=C sort | xargs sha256sum
    "$cargo" tree --locked --quiet --package ksom-web --target "$target" --edges normal --prefix none --format '{p}' |
        sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1 \2/p' | grep -v '^ksom-' | LC_ALL=C sort -u
} > "$pkg/built_from.txt"
ls -l "$pkg"
echo "built in $((SECONDS - started)) s"
