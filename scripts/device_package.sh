# What scripts/gpu.sh and scripts/metal.sh have in common: a folder with the programs, files and scripts that
# scripts/device_report.py needs. Sourced with `folder` and `python` set, in the repository's root.

# Builds the programs with more options of cargo, and puts them into the package's folder $1.
build_programs() {
    local bin=$folder/package/$1
    shift
    mkdir -p "$bin"
    ${CARGO:-cargo} build --release --locked --workspace --message-format json-render-diagnostics \
        --features ksom-vqvae/pth,ksom-vqvae/zoo "$@" \
        --bin ksom --example training_plan --test golden > "$folder/built.json"
    "$python" - "$folder/built.json" "$bin" <<'COPY'
import json, shutil, sys

for line in open(sys.argv[1]):
    message = json.loads(line)
    if message.get("executable"):
        name = message["target"]["name"]
        if name == "golden":
            name = "golden-models" if "ksom-vqvae" in message["package_id"] else "golden-quantizers"
        shutil.copy(message["executable"], f"{sys.argv[2]}/{name}")
COPY
}

# Puts beside them what they need.
add_files() {
    local package=$folder/package script
    mkdir -p "$package/scripts"
    cp -R tests/golden examples/images LICENSE-MIT LICENSE-APACHE "$package"
    for script in device_report.py bench_vs_pytorch.py pytorch_reference.py train_pytorch.py compare_losses.py; do
        cp "scripts/$script" "$package/scripts"
    done
}
