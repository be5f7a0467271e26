#!/usr/bin/env bash
# Trains the CIFAR-10 recipe with ksom and with PyTorch from the same weights on the same batches, and compares their
# validation losses.
#
#   scripts/compare_training.sh DATA OUT [STEPS] [key=value]...
#
# DATA is a folder with train/<class>/*.jpg. Needs scripts/requirements.txt in PYTHON's environment (default: python3).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
data=$1 out=$2 steps=${3:-300}
shift "$(($# < 3 ? $# : 3))"
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}

(cd "$here/.." && cargo build --release -q --workspace --bins --examples)
built=${CARGO_TARGET_DIR:-$here/../target}/release
"$built/examples/training_plan" "folder:$data" "$out" "$steps" steps="$steps" validate_every=100 "$@"
cp "$out/model.safetensors" "$out/initial.safetensors"
"$built/ksom" train --out "$out" --resume
"$python" "$here/train_pytorch.py" --init "$out/initial.safetensors" --config "$out/config.json" --data "$data" \
    --batches "$out/batches.txt" --valid "$out/valid.txt" --validate-every 100 --steps "$steps" \
    --out "$out/pytorch.jsonl"
"$python" "$here/compare_losses.py" "$out/metrics.jsonl" "$out/pytorch.jsonl"
