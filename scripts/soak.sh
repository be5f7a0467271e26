#!/usr/bin/env bash
# Trains with validation and checkpoints while another process encodes over and over, and watches the memory of both.
#
#   scripts/soak.sh DATA OUT [MINUTES]
#
# DATA is a folder of pictures, OUT a new folder; 30 minutes by default. Writes OUT/memory.csv (seconds, KiB of the
# training, largest KiB of an encoding so far) and prints how the training's memory in the last third compares with that
# of the second. Fails if either process fails, or if memory has grown by more than 5 %.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
data=$(realpath "$1") out=$2 minutes=${3:-30}
here=$(cd "$(dirname "$0")" && pwd)
(cd "$here/.." && cargo build --release -q --locked --workspace --bins)
ksom=$(cd "$here/.." && realpath "${CARGO_TARGET_DIR:-target}")/release/ksom
mkdir "$out"

"$ksom" train --quiet --recipe cifar10 --data "folder:$data" --out "$out/run" --set 'size=[32,32]' --set batch_size=64 \
    --set validate_every=50 --set checkpoint_every=20 --set log_every=10 --steps 10000000 2> "$out/train.log" &
training=$!
(
    while "$ksom" encode --quiet "$data" -o "$out/codes.safetensors" > /dev/null 2>> "$out/encode.log"; do
        echo >> "$out/encodings"
    done
) &
encoding=$!
trap 'kill "$training" "$encoding" 2> /dev/null || true' EXIT

started=$SECONDS largest=0
while [ $((SECONDS - started)) -lt $((minutes * 60)) ]; do
    sleep 1
    now=$(ps -o rss= --ppid "$encoding" | sort -n | tail -1 || true)
    [ "${now:-0}" -le "$largest" ] || largest=$((now))
    kill -0 "$training" && kill -0 "$encoding" || { cat "$out"/*.log >&2; exit 1; }
    echo "$((SECONDS - started)),$(($(ps -o rss= -p "$training"))),$largest" >> "$out/memory.csv"
done
kill -INT "$training"
wait "$training" && code=0 || code=$?
[ "$code" -eq 130 ] || { echo "the training ended with exit code $code" >&2; cat "$out/train.log" >&2; exit 1; }
awk -F, -v encodings="$(wc -l < "$out/encodings")" -v steps="$(grep -c '"train"' "$out/run/metrics.jsonl")" '
    { t[NR] = $1; m[NR] = $2; largest = $3 }
    END {
        for (i = 1; i <= NR; i++) {
            if (i > 2 * NR / 3) { if (m[i] > last) last = m[i] } else if (i > NR / 3 && m[i] > middle) middle = m[i]
        }
        printf "%d s: %d steps, %d encodings; training at most %.1f MB in the second third, %.1f MB in the last; ", \
            t[NR], 10 * steps, encodings, middle / 1024, last / 1024
        printf "encoding at most %.1f MB\n", largest / 1024
        exit last > 1.05 * middle
    }' "$out/memory.csv"
