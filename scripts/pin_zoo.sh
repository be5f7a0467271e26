#!/usr/bin/env bash
# Records what every model of the zoo does on the example photographs (models/examples.json), and the hash of every file
# (models/SHA256SUMS), which the tests compare with.
#
#   scripts/pin_zoo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -q --locked --workspace --bins
ksom=$(realpath "${CARGO_TARGET_DIR:-target}")/release/ksom
"$ksom" compare examples/images --quiet --json -o docs/images/zoo.jpg | jq 'del(.output)' > models/examples.json
cd models
sha256sum ./*/{README.md,config.json,curve.svg,map.png,metrics.jsonl,model.safetensors,recipe.toml,samples.jpg} |
    sed 's| \./| |' | sort -k2 > SHA256SUMS
