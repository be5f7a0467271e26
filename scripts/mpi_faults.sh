#!/usr/bin/env bash
# Kills processes of a training under mpirun at random, again and again, goes on each time, by another number of processes
# now and then, and compares what comes of it with an undisturbed run.
#
#   scripts/mpi_faults.sh [KILLS [PROCESSES]]
#
# KSOM is the program (built with `--features mpi`); SEED sets the kills. With one number of processes throughout the
# result is the same to the bit; CHANGING=1 varies it, and then the last validation error may differ in its rounding.
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-50}
processes=${2:-2}
ksom=${KSOM:-target/release/ksom}
RANDOM=${SEED:-1}
[ -x "$ksom" ] || { echo "$ksom is missing: cargo build --release --features mpi" >&2; exit 1; }
work=$(mktemp -d)
# By this name its processes are found.
cp "$ksom" "$work/ksom"
ksom=$work/ksom
trap 'rm -rf "$work"' EXIT
cd "$work"

launch=(mpirun)
mpirun --version | grep -q "Open MPI" && launch+=(--oversubscribe --allow-run-as-root)
python3 - <<'P' || { echo "python3 makes the pictures" >&2; exit 1; }
import os, random, struct, zlib
def png(path, seed):
    r = random.Random(seed)
    a, b, c = r.randrange(1, 9), r.randrange(1, 9), r.randrange(256)
    rows = b"".join(b"\0" + bytes((x * a * 5 + y if k == 0 else y * b * 7 if k == 1 else x * y + c) % 256
                                  for x in range(32) for k in range(3)) for y in range(32))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
os.mkdir("data")
for seed in range(40):
    png(f"data/{seed:02}.png", seed)
P
# Steps enough that the kills come before the end.
steps=$((kills * 600))
recipe=(--recipe cifar10 --data data --steps "$steps" --set hidden=8 --set residual_layers=1 --set residual_hidden=4
    --set num_codes=16 --set dim=8 --set batch_size=8 --set log_every=10 --set validate_every=200 --set checkpoint_every=20)
"${launch[@]}" -n "$processes" "$ksom" train --out undisturbed -q "${recipe[@]}" >/dev/null

killed=0 resumed=0 slowest=0
while :; do
    n=$processes
    [ "${CHANGING:-0}" = 1 ] && n=$((RANDOM % 3 + 1))
    if [ -e run/training.safetensors ]; then
        args=(--resume) resumed=$((resumed + 1))
    else
        rm -rf run
        args=("${recipe[@]}")
    fi
    setsid "${launch[@]}" -n "$n" "$ksom" train --out run -q "${args[@]}" >out.txt 2>err.txt &
    launcher=$!
    if [ "$killed" -lt "$kills" ]; then
        sleep "0.$((RANDOM % 8 + 1))"
        sleep "0.$((RANDOM % 10))"
        # In the order of ranks.
        mapfile -t started < <(pgrep -P "$launcher" -x ksom | sort -n)
        victims=
        [ ${#started[@]} = 0 ] || victims=${started[$((RANDOM % ${#started[@]}))]}
        case $((RANDOM % 4)) in
        0 | 1) name=KILL ;;
        2) name=TERM ;;
        3) name=TERM victims=$launcher ;;
        esac
        if [ -n "$victims" ] && kill -s "$name" $victims 2>/dev/null; then
            killed=$((killed + 1))
            since=$(date +%s%N)
            while kill -0 "$launcher" 2>/dev/null || pgrep -g "$launcher" -x ksom >/dev/null; do
                took=$((($(date +%s%N) - since) / 1000000))
                [ "$took" -lt 30000 ] || { echo "kill $killed ($name): processes go on after 30 s" >&2; exit 1; }
                sleep 0.02
            done
            took=$((($(date +%s%N) - since) / 1000000))
            [ "$took" -le "$slowest" ] || slowest=$took
            errors=$(grep -c "^error: " err.txt || true)
            [ "$errors" -le 1 ] || { echo "kill $killed ($name): $errors messages" >&2; cat err.txt >&2; exit 1; }
            wait "$launcher" || true
            continue
        fi
    fi
    wait "$launcher" || { cat err.txt >&2; exit 1; }
    if [ -e run/last/model.safetensors ] && "$ksom" train --out run --resume -q 2>&1 | grep -q "trained to step $steps"; then
        break
    fi
done
[ "$killed" -ge "$kills" ] || { echo "it came to its end after $killed kills: more steps are needed" >&2; exit 1; }
if [ "${CHANGING:-0}" = 1 ]; then
    for run in undisturbed run; do grep '"valid"' "$run/metrics.jsonl" | tail -1; done
else
    for file in model.safetensors training.safetensors last/model.safetensors config.json; do
        cmp "undisturbed/$file" "run/$file"
    done
    [ "$(grep -c '"train"' run/metrics.jsonl)" = "$((steps / 10))" ]
fi
echo "$killed kills, gone on with $resumed times: the result of the undisturbed run; all had ended within $slowest ms"
