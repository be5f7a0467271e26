#!/usr/bin/env bash
# How training scales over processes and threads on this machine, and where a network would end that.
#
#   scripts/mpi_scaling.sh DATA [STEPS]
#
# KSOM is the program (built with `--features mpi`). DATA as for --data; with batches of 256 of the recipe cifar10, both
# networks (or NETWORKS, of vqvae and vqvae2). A run's rate is the median of its steps, and each setup's the best of RUNS
# runs in alternation, since whatever else the machine does only makes it slower; communication is that of the fastest
# sum, for which processes hardly waited for each other.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
steps=${2:-12}
ksom=${KSOM:-target/release/ksom}
runs=${RUNS:-3}
read -ra networks <<<"${NETWORKS:-vqvae vqvae2}"
[ -x "$ksom" ] || { echo "$ksom is missing: cargo build --release --features mpi" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
launch=(mpirun)
mpirun --version | grep -q "Open MPI" && launch+=(--oversubscribe --allow-run-as-root)
lscpu | grep -E "^(Model name|CPU\(s\)|Thread\(s\) per core|Core\(s\) per socket)" || true

# NETWORK PROCESSES THREADS → images/s, and of several processes bytes per step and ms of the fastest sum.
one() {
    local out=$work/run
    rm -rf "$out"
    local start=("$ksom")
    [ "$2" = 1 ] || start=("${launch[@]}" --bind-to none -n "$2" "$ksom")
    RAYON_NUM_THREADS=$3 "${start[@]}" train --recipe cifar10 --data "$data" --out "$out" --steps "$steps" --json -q \
        --set architecture.kind="$1" --set normalization=half --set log_every=1 --set validate_every=1000000 \
        --set valid_images=16 --set checkpoint_every=1000000 >"$work/report.json"
    python3 - "$out/metrics.jsonl" "$work/report.json" <<'P'
import json, statistics, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
rates = [line["images_per_s"] for line in lines if line["kind"] == "train"][2:]
report = json.load(open(sys.argv[2]))
print(statistics.median(rates), report.get("bytes_per_step", 0), report.get("fastest_sum_ms", 0), report.get("sum_ms", 0))
P
}

cores=$(nproc)
for network in "${networks[@]}"; do
    : >"$work/$network"
    for _ in $(seq "$runs"); do
        for setup in "1 1" "1 $cores" "$cores 1"; do
            echo "$setup $(one "$network" $setup)" | tee -a "$work/$network" >&2
        done
    done
done
python3 - "$cores" "${networks[@]/#/$work/}" <<'P'
import statistics, sys
cores = int(sys.argv[1])
for path in sys.argv[2:]:
    name = path.rsplit("/", 1)[1]
    found = {}
    for line in open(path):
        processes, threads, *numbers = line.split()
        found.setdefault((int(processes), int(threads)), []).append([float(n) for n in numbers])
    rate = {k: max(n[0] for n in v) for k, v in found.items()}
    print(f"\n{name}, batch 256\nprocesses  threads each  images/s")
    for (processes, threads), r in sorted(rate.items()):
        print(f"{processes:9}  {threads:12}  {r:8.1f}")
    many = found[(cores, 1)]
    size = many[0][1]
    print(f"{cores} × 1 against 1 × {cores}: {rate[(cores, 1)] / rate[(1, cores)]:.3f}")
    print(f"1 × 1 → {cores} × 1: {rate[(cores, 1)] / rate[(1, 1)]:.3f}")
    print(f"each process sends {size / 1e6:.2f} MB per step; {min(n[2] for n in many):.2f} ms in the fastest step, "
          f"{statistics.median(n[3] for n in many):.2f} ms with waiting")
    # On paper: a step of n processes takes B / (n r) to compute and 2 (n − 1) / n · S / bandwidth to add up.
    whole = size * cores / (2 * (cores - 1)) * 1.0
    single = rate[(1, cores)]
    print(f"one such machine computes {single:.0f} images/s; {whole / 1e6:.2f} MB of sums; on Ethernet, at batch 256 (and 256 per process):")
    print("Gbit/s  processes at 90 %  at 50 %  most images/s   with 256 each: at 10000 processes")
    for gbit in (1, 10, 100):
        wire = gbit * 1e9 / 8 * 0.9
        def rate_of(n, batch):
            return batch / (batch / (n * single) + (2 * (n - 1) / n) * whole / wire + (4e-5 * 2 if n > 1 else 0))
        share = lambda n, batch: rate_of(n, batch) / (n * single)
        at = lambda part: max(n for n in range(1, 257) if share(n, 256) >= part)
        most = max(rate_of(n, 256) for n in range(1, 257))
        print(f"{gbit:6}  {at(0.9):17}  {at(0.5):7}  {most:13.0f}   {100 * share(10000, 256 * 10000):.1f} %")
P
