#!/usr/bin/env bash
# What a Mac's GPU has to show: the golden files, half precision, training beside PyTorch, speed and memory beside PyTorch.
#
#   scripts/metal.sh [FOLDER]           on a Mac with Rust: builds with the feature `metal` and writes FOLDER/package/report.md
#   scripts/metal.sh dry-run [FOLDER]   the same with a build for the CPU, by candle's own operations, briefly, anywhere
#
# FOLDER is target/metal by default. It needs Rust, Python 3 and macOS 15 or later; what is compared with PyTorch needs
# scripts/requirements.txt in PYTHON's environment. Running takes at most ten minutes, building before it more.
set -euo pipefail
cd "$(dirname "$0")/.."

dry=
[ "${1:-}" = dry-run ] && { dry=yes; shift; }
case ${1:-} in -*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${1:-target/metal}"
folder=$(cd "${1:-target/metal}" && pwd)
python=${PYTHON:-python3}
. scripts/device_package.sh

rm -rf "$folder/package"
if [ -n "$dry" ]; then
    build_programs bin
    add_files
    "$python" "$folder/package/scripts/device_report.py" --device cpu --short
else
    [ "$(uname -s)" = Darwin ] || { echo "this is no Mac: scripts/metal.sh dry-run goes the same way on the CPU" >&2; exit 1; }
    build_programs bin --features ksom-cli/metal
    add_files
    "$python" "$folder/package/scripts/device_report.py" --device metal
fi
echo "$folder/package/report.md"
