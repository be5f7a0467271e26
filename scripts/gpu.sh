#!/usr/bin/env bash
# What an NVIDIA card has to show: the golden files, half precision, training beside PyTorch, speed and memory beside
# PyTorch. For a machine with a card and neither network nor Rust.
#
#   scripts/gpu.sh pack [FOLDER]      on a machine with Rust and no card: builds and links for CUDA 13, packs what travels
#   scripts/gpu.sh dry-run [FOLDER]   packs a build for the CPU likewise and runs it here, by candle's own operations, briefly
#
# `pack` writes FOLDER/ksom-gpu.tar.xz; FOLDER is target/gpu by default. On the machine with the card,
#
#   tar xf ksom-gpu.tar.xz && ksom-gpu/run.sh
#
# takes at most ten minutes and writes ksom-gpu/report.md. It needs Python 3 and NVIDIA's libraries of CUDA 13 (those of a
# PyTorch for CUDA 13 are found); what is compared with PyTorch needs PyTorch.
#
# NVIDIA's compiler and libraries are fetched from PyPI (Python with pip, a C and a C++ compiler). The driver's library is
# stood in for by one with the same functions that knows of no card, so the programs are linked as they will run. Kernels are PTX for
# compute capability 8.0 (CUDA_COMPUTE_CAP chooses another), which the driver compiles for newer cards.
set -euo pipefail
cd "$(dirname "$0")/.."
# The largest package, in bytes.
largest=60000000

case ${1:-} in pack | dry-run) ;; *) sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${2:-target/gpu}"
folder=$(cd "${2:-target/gpu}" && pwd)
python=${PYTHON:-python3}
started=$SECONDS
. scripts/device_package.sh

# NVIDIA's compiler and libraries, under names that the linker looks for.
fetch_toolkit() {
    export CUDA_HOME=$folder/python/nvidia/cu13 CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} CUDARC_CUDA_VERSION=13000
    export NVCC=$CUDA_HOME/bin/nvcc RUSTFLAGS="-L native=$folder/link ${RUSTFLAGS:-}"
    [ -x "$NVCC" ] || "$python" -m pip install --quiet --no-deps --target "$folder/python" \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
        nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35 nvidia-cuda-nvrtc==13.0.88
    mkdir -p "$folder/link"
    local library
    for library in "$CUDA_HOME"/lib/lib*.so.*; do
        ln -sf "$library" "$folder/link/$(basename "${library%%.so.*}").so"
    done
    # The driver's functions, by the names in NVIDIA's header. Each says that there is no device.
    grep -ohE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+)?(_pts[zd]|_ptds)?\b' "$CUDA_HOME/include/cuda.h" | sort -u \
        | sed 's/.*/int &(void) { return 100; }/' > "$folder/link/cuda.c"
    ${CC:-cc} -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$folder/link/libcuda.so" "$folder/link/cuda.c"
    ln -sf libcuda.so "$folder/link/libcuda.so.1"
}

# Whatever a program asks for is on every Linux machine, or NVIDIA's.
check_libraries() {
    local program=$1 library found
    found=$(ldd "$program")
    for library in $(objdump -p "$program" | sed -n 's/^ *NEEDED *//p'); do
        case $library in
        libcuda.so.1 | libcudart.so.13 | libcublas.so.13 | libcublasLt.so.13 | libcurand.so.10 | libnvrtc.so.13) ;;
        *) case $found in *"$library => /"* | *"/$library "*) ;; *) echo "$program asks for $library" >&2; exit 1 ;; esac ;;
        esac
    done
}

# With the stand-in for the driver a program starts, finds every function that it asks for, and says that there is no card.
check_start() {
    local path=$folder/link:$CUDA_HOME/lib told
    told=$(LD_BIND_NOW=1 LD_LIBRARY_PATH=$path "$1" info cifar10-ksom 2>&1 > /dev/null) || { echo "$told" >&2; exit 1; }
    case $told in
    *"computing on the CPU; not CUDA: this process sees no such NVIDIA card"*) ;;
    *) echo "$1 should say that there is no card, but says: $told" >&2; exit 1 ;;
    esac
}

pack() {
    fetch_toolkit
    build_programs bin --target-dir "$folder/build" --no-default-features --features ksom-cli/mimalloc,ksom-cli/cuda
    strip "$folder"/package/bin/*
    local program
    for program in "$folder"/package/bin/*; do check_libraries "$program"; done
    check_start "$folder/package/bin/ksom"
    write_notes "$(git describe --always --dirty), for CUDA 13.0 and compute capability $CUDA_COMPUTE_CAP or newer;" \
        "$(objdump -T "$folder"/package/bin/ksom | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1) or newer"
    rm -rf "$folder/ksom-gpu"
    mv "$folder/package" "$folder/ksom-gpu"
    # All programs hold the same kernels: a window as wide as two of them finds that.
    tar -C "$folder" -cf - ksom-gpu | xz --lzma2=preset=3,dict=192MiB > "$folder/ksom-gpu.tar.xz"
    local bytes
    bytes=$(stat -c %s "$folder/ksom-gpu.tar.xz")
    [ "$bytes" -le "$largest" ] || { echo "the package takes $bytes bytes, more than $largest" >&2; exit 1; }
    echo "$folder/ksom-gpu.tar.xz: $bytes bytes; linked for CUDA 13 ($((SECONDS - started)) s)"
}

# The package's README and the script that runs it.
write_notes() {
    add_files
    cat > "$folder/package/README.md" <<NOTES
# ksom on an NVIDIA card

ksom $*.

\`./run.sh\` takes at most ten minutes and writes \`report.md\`: the golden files on the card, f16 and bf16 against f32, a
training beside PyTorch from the same weights, speed and memory beside PyTorch. \`./run.sh --help\` has its options. It needs
Python 3, a driver for CUDA 13 (580 or newer), and NVIDIA's libraries of CUDA 13: those that a PyTorch for CUDA 13 brings,
or a toolkit in /usr/local/cuda. Without PyTorch (and NumPy, Pillow, safetensors) ksom is measured alone. Nothing is fetched.
NOTES
    cat > "$folder/package/run.sh" <<'RUN'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/scripts/device_report.py" --device cuda "$@"
RUN
    chmod +x "$folder/package/run.sh"
}

dry_run() {
    build_programs bin
    write_notes "$(git describe --always --dirty), for the CPU"
    "$folder/package/run.sh" --device cpu --short
    echo "dry run on the CPU: $folder/package/report.md ($((SECONDS - started)) s)"
}

rm -rf "$folder/package"
case $1 in
pack) pack ;;
dry-run) dry_run ;;
esac
