#!/usr/bin/env bash
# 60 shards of 1,000 pictures, encoded by four processes of which one is killed again and again: is any key missing or there
# twice, and are the codes those of one process that was left alone? And what memory does each take?
#
#     scripts/token_shards.sh target/release/ksom PICTURES [KILLS]
#
# PICTURES is a folder with 60,000 picture files (CIFAR-10's, training and test together, are). MODEL= another model than
# cifar10-ksom, WORK= a folder for shards and tokens that stays. Needs Linux, tar, and for the keys Python with pyarrow.
set -euo pipefail

ksom=$(realpath "$1") pictures=$(realpath "$2") kills=${3:-50} model=${MODEL:-cifar10-ksom}
work=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists" "$work/shards"

if [ ! -e "$work/shards/000059.tar" ]; then
    (cd "$pictures" && find . -type f \( -name '*.png' -o -name '*.jpg' \) -printf '%P\n' | sort | head -60000) > "$work/all"
    [ "$(wc -l < "$work/all")" = 60000 ] || { echo "$pictures has fewer than 60,000 pictures"; exit 1; }
    split -l 1000 -d -a 6 "$work/all" "$work/lists/"
    for list in "$work"/lists/*; do
        tar cf "$work/shards/$(basename "$list").tar" -C "$pictures" --no-recursion -T "$list"
    done
fi

# Peak memory of a process, as far as it is seen before it ends.
peak() {
    local most=0 now
    while now=$(awk '/VmHWM/ { print $2 }' "/proc/$1/status" 2> /dev/null) && [ -n "$now" ]; do
        most=$now
        sleep 0.05
    done
    echo "$most" >> "$2"
}

encode() { exec "$ksom" encode "$work/shards" -o "$1" --model "$model" --quiet > /dev/null; }

echo "== one process"
rm -rf "$work/alone" "$work/shared" "$work"/peak-*
begun=$(date +%s.%N)
encode "$work/alone" & one=$!
peak $one "$work/peak-alone" &
wait $one
seconds=$(awk "BEGIN { print $(date +%s.%N) - $begun }")
sleep 0.2
echo "60,000 pictures in $seconds s ($(awk "BEGIN { printf \"%.0f\", 60000 / $seconds }")/s), peak $(($(sort -n "$work/peak-alone" | tail -1) / 1024)) MiB"

echo "== four processes of one thread, $kills times one of them is killed"
export RAYON_NUM_THREADS=1
pids=() killed=0
start() {
    encode "$work/shared" 2>> "$work/errors" & pids[$1]=$!
    peak "${pids[$1]}" "$work/peak-shared" &
}
for slot in 0 1 2 3; do start $slot; done
while [ "$killed" -lt "$kills" ]; do
    sleep "$(awk "BEGIN { srand($RANDOM); printf \"%.2f\", 0.05 + 0.6 * rand() }")"
    slot=$((RANDOM % 4))
    if kill -9 "${pids[$slot]}" 2> /dev/null; then
        killed=$((killed + 1))
    fi
    wait "${pids[$slot]}" 2> /dev/null || true
    if [ "$(find "$work/shared" -name '*.parquet' ! -name '.*' | wc -l)" = 60 ] && [ "$killed" -lt "$kills" ]; then
        # Done before enough were killed: a third of the work again.
        find "$work/shared" -name '*[147].parquet' -delete
    fi
    start $slot
done
for slot in 0 1 2 3; do
    wait "${pids[$slot]}" || { echo "a process failed:"; tail -3 "$work/errors"; exit 1; }
done
sleep 0.2
echo "killed $killed times; peak of the ${#pids[@]} at a time: $(($(sort -n "$work/peak-shared" | tail -1) / 1024)) MiB"

echo "== what is there"
left=$(find "$work/shared" -name '.*' -type f | wc -l)
[ "$left" = 0 ] || { echo "FAIL: $left files were left behind"; find "$work/shared" -name '.*' -type f; exit 1; }
for shard in "$work"/alone/*.parquet; do
    cmp "$shard" "$work/shared/$(basename "$shard")" || { echo "FAIL: codes differ"; exit 1; }
done
[ "$(ls "$work"/shared/*.parquet | wc -l)" = 60 ] || { echo "FAIL: not 60 shards"; exit 1; }
echo "60 shards, each the same as that of the one process, byte for byte"
"${PYTHON:-python3}" - "$work" << 'EOF' || exit 1
import sys, tarfile
from pathlib import Path
try:
    import pyarrow.parquet as parquet
except ImportError as error:
    sys.exit(print(f"SKIPPED: the keys are not compared: {error}"))
work = Path(sys.argv[1])
found = [key for path in sorted((work / "shared").glob("*.parquet")) for key in parquet.read_table(path)["key"].to_pylist()]
names = [name for path in sorted((work / "shards").glob("*.tar")) for name in tarfile.open(path).getnames()]
expected = [name.rpartition("/")[0] + "/" * ("/" in name) + name.rpartition("/")[2].split(".")[0] for name in names]
print(f"{len(found)} keys, {len(set(found))} different, {len(set(expected) - set(found))} missing")
sys.exit(found != expected or len(set(found)) != len(found))
EOF
echo ok
