#!/usr/bin/env bash
# Checks that every crate, test, example and bench compiles with the features `cuda` and `cudnn`, on a machine that has
# neither the card nor the toolkit.
#
#   scripts/check_cuda.sh [--compiler] [FOLDER]
#
# By default candle's kernels are left out: a stand-in for `nvcc` writes empty outputs, and Rust code is type-checked.
# With --compiler NVIDIA's compiler is fetched from PyPI (needs Python with pip, and a C++ compiler), candle's kernels
# are compiled for compute capability 8.0, and the programs are built and linked against stubs of the driver's
# libraries. Everything is written in FOLDER, target/check-cuda by default.
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=
[ "${1:-}" = --compiler ] && { compiler=yes; shift; }
case ${1:-} in -*) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${1:-target/check-cuda}"
folder=$(cd "${1:-target/check-cuda}" && pwd)
export CUDA_COMPUTE_CAP=80 CUDARC_CUDA_VERSION=13000
started=$SECONDS

# Takes the arguments of nvcc that candle's build uses, and creates the files that they name.
stand_in() {
    cat > "$1" <<'NVCC'
#!/usr/bin/env bash
folder=. source=
while [ $# -gt 0 ]; do
    case $1 in
    --version) echo "Cuda compilation tools, release 13.0, V13.0.88"; exit ;;
    --list-gpu-code) echo sm_80; exit ;;
    -o) : > "$2"; shift ;;
    --output-directory) folder=$2; shift ;;
    *.cu) source=$1 ;;
    esac
    shift
done
[ -z "$source" ] || : > "$folder/$(basename "$source" .cu).ptx"
NVCC
    chmod +x "$1"
}

if [ -z "$compiler" ]; then
    export CARGO_TARGET_DIR=$folder/check NVCC=$folder/nvcc
    mkdir -p "$folder/include" "$folder/bin"
    stand_in "$NVCC"
    export CUDA_HOME=$folder
    for feature in cuda cudnn; do
        cargo check --locked --workspace --all-targets --features "$feature"
    done
    echo "features cuda and cudnn: all crates, tests, examples and benches compile ($((SECONDS - started)) s)"
    exit
fi

python=${PYTHON:-python3}
[ -d "$folder/python/nvidia/cu13" ] || "$python" -m pip install --quiet --no-deps --target "$folder/python" \
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cccl==13.0.85
export CUDA_HOME=$folder/python/nvidia/cu13 CARGO_TARGET_DIR=$folder/build
export NVCC=$CUDA_HOME/bin/nvcc
chmod +x "$CUDA_HOME"/bin/* "$CUDA_HOME"/nvvm/bin/* 2>/dev/null || true
# The libraries of driver and mathematics are not on PyPI in a form to link with: linking needs their names only.
mkdir -p "$folder/stubs"
for library in cuda cublas cublasLt curand nvrtc cudart; do
    [ -e "$folder/stubs/lib$library.so" ] || cc -shared -o "$folder/stubs/lib$library.so" -x c /dev/null
done
export RUSTFLAGS="-L native=$folder/stubs -C link-arg=-Wl,--unresolved-symbols=ignore-all ${RUSTFLAGS:-}"
cargo build --release --locked --workspace --all-targets --features cuda
echo "feature cuda, with NVIDIA's compiler: kernels compiled, all programs linked ($((SECONDS - started)) s)"
