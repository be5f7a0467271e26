#!/usr/bin/env bash
# Makes models/NAME from a training's run directory and measures it.
#
#   scripts/add_to_zoo.sh RUN NAME DATA SAMPLE...
#
# DATA is the data that RUN was trained on, as for `ksom train`; each SAMPLE a picture to show in the card. The
# figures are those of the pictures that training validated on, whole and at their own size. Weights are stored as 16-bit
# floats if that changes the validation error by less than 0.1 %. Of the training's log every tenth line is kept. The
# folder becomes the package ksom-model-NAME; by hand come its description and card (README.md: the tests tell which
# figures it lacks), a line in the workspace's Cargo.toml, in models/Cargo.toml and in models/src/lib.rs, and then
# scripts/pin_zoo.sh. With 16,384 codes map.png comes to 9 MB: draw it anew with --enlarge 1 and halve it.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
run=$1 name=$2 data=$3
shift 3
mapfile -t samples < <(realpath "$@")
here=$(cd "$(dirname "$0")/.." && pwd)
(cd "$here" && cargo build --release -q --locked --workspace --bins)
ksom=$(cd "$here" && realpath "${CARGO_TARGET_DIR:-target}")/release/ksom
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
evaluate() { "$ksom" eval --data "$data" --part valid "$@"; }
mse() { evaluate --quiet --json --model "$1" | jq .mse; }

"$ksom" convert --quiet "$run" "$work/half" --half
"$ksom" convert --quiet "$run" "$work/full"
before=$(mse "$work/full") after=$(mse "$work/half")
kept=$(awk -v a="$before" -v b="$after" 'BEGIN { d = (b > a ? b - a : a - b); print (d < 0.001 * a ? "half" : "full") }')
echo "$name: validation error $before with 32 bits, $after with 16: keeping $kept"

model=$here/models/$name
mkdir -p "$model"
for file in Cargo.toml lib.rs; do
    [ -e "$model/$file" ] || sed "s/cifar10-ksom/$name/" "$here/models/cifar10-ksom/$file" > "$model/$file"
done
cp -P "$here/models/cifar10-ksom"/LICENSE-* "$model"
cp "$work/$kept"/{config.json,model.safetensors,recipe.toml} "$model"
jq -c 'select(.kind != "train" or .step % 100 == 0)' "$run/metrics.jsonl" > "$model/metrics.jsonl"
evaluate --model "$model" --record
# Pictures name what they were asked to draw.
cd "$here/models"
"$ksom" plot --quiet "$name" -o "$name/curve.svg"
"$ksom" map --quiet "$name" -o "$name/map.png"
"$ksom" compare --quiet "${samples[@]}" --model "$name" -o "$name/samples.jpg"
