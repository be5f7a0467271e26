#!/usr/bin/env bash
# Everything that an NVIDIA card is asked: correctness against the golden files, half precision, training beside PyTorch,
# speed and memory beside PyTorch. Written for a machine with a card and neither network nor Rust.
#
#   scripts/gpu.sh pack [FOLDER]      on a machine with Rust and no card: builds and links for CUDA 13, and packs what travels
#   scripts/gpu.sh dry-run [FOLDER]   packs a build for the CPU likewise, and runs it here, on the portable path, briefly
#
# `pack` writes FOLDER/ksom-gpu.tar.xz (FOLDER is target/gpu by default). There: unpack it, and `./run.sh` in it writes
# `report.md` within ten minutes. It needs Python 3 there; PyTorch for what is compared with it.
#
# NVIDIA's compiler and libraries are fetched from PyPI (needs Python with pip, a C and a C++ compiler), and the driver's
# library is stood in for by an empty one of the same name, so that the programs are linked as they will run.
# The kernels are PTX for compute capability 8.0 (CUDA_COMPUTE_CAP chooses another), which the driver compiles for any
# newer card. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
# The largest package.
most_bytes=60000000

usage() { sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2; }
command=${1:-}
case $command in pack | dry-run) ;; *) usage ;; esac
mkdir -p "${2:-target/gpu}"
folder=$(cd "${2:-target/gpu}" && pwd)
python=${PYTHON:-python3}
started=$SECONDS

# Builds the programs that travel with some features of the command, into $folder/$2, and puts them into $folder/ksom-gpu/$3.
build() {
    local features=$1 target=$2 bin=$folder/ksom-gpu/$3
    mkdir -p "$bin"
    ${CARGO:-cargo} build --target-dir "$folder/$target" --release --locked --message-format json-render-diagnostics \
        -p ksom-cli -p ksom-vqvae -p ksom-quantizers --no-default-features \
        --features "ksom-cli/mimalloc,ksom-vqvae/pth,ksom-vqvae/zoo$features" \
        --bin ksom --example training_plan --test golden > "$folder/built.json"
    "$python" - "$folder/built.json" "$bin" <<'COPY'
import json, shutil, sys
names = {"ksom": "ksom", "training_plan": "training_plan"}
for line in open(sys.argv[1]):
    message = json.loads(line)
    executable = message.get("executable")
    if executable:
        target, package = message["target"]["name"], message["package_id"]
        name = names.get(target) or ("golden-models" if "vqvae" in package else "golden-quantizers")
        shutil.copy(executable, f"{sys.argv[2]}/{name}")
COPY
    for program in ksom training_plan golden-models golden-quantizers; do strip "$bin/$program"; done
}

# NVIDIA's compiler and libraries, under names that the linker looks for.
toolkit() {
    export CUDA_HOME=$folder/python/nvidia/cu13 CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} CUDARC_CUDA_VERSION=13000
    export NVCC=$CUDA_HOME/bin/nvcc RUSTFLAGS="-L native=$folder/link ${RUSTFLAGS:-}"
    [ -x "$NVCC" ] || "$python" -m pip install --quiet --no-deps --target "$folder/python" \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
        nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35 nvidia-cuda-nvrtc==13.0.88 \
        nvidia-cudnn-cu13==9.13.0.50
    mkdir -p "$folder/link"
    local library
    for library in "$CUDA_HOME"/lib/lib*.so.* "$folder"/python/nvidia/cudnn/lib/lib*.so.*; do
        ln -sf "$library" "$folder/link/$(basename "${library%%.so.*}").so"
    done
    # The driver's library, by the names in NVIDIA's header; the programs that are linked find the real one.
    grep -ohE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+)?(_pts[zd]|_ptds)?\b' "$CUDA_HOME/include/cuda.h" | sort -u \
        | sed 's/.*/void &(void) {}/' > "$folder/link/cuda.c"
    ${CC:-cc} -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$folder/link/libcuda.so" "$folder/link/cuda.c"
}
rm -rf "$folder/ksom-gpu"
toolkit
build ,ksom-cli/cuda build bin
build ,ksom-cli/cudnn build bin-cudnn
