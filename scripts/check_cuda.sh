#!/usr/bin/env bash
# Checks that every crate, test, example and bench compiles with the feature `cuda`, on a machine that has
# neither the card nor the toolkit; and with `mpi`, too, where MPI is installed.
#
#   scripts/check_cuda.sh [--compiler] [FOLDER]
#
# candle's kernels are left out: a stand-in for `nvcc` writes empty outputs. With --compiler, NVIDIA's compiler is fetched
# from PyPI (needs Python with pip, and a C++ compiler) and compiles them for compute capability 8.0 first. Nothing is
# linked: scripts/gpu.sh does that. Everything is written in FOLDER, target/check-cuda by default. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=
[ "${1:-}" = --compiler ] && { compiler=yes; shift; }
case ${1:-} in -*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
mkdir -p "${1:-target/check-cuda}"
folder=$(cd "${1:-target/check-cuda}" && pwd)
export CUDA_COMPUTE_CAP=80 CUDARC_CUDA_VERSION=13000
started=$SECONDS

if [ -z "$compiler" ]; then
    what="kernels left out"
    export CUDA_HOME=$folder NVCC=$folder/nvcc
    target=$folder/check
    mkdir -p "$folder/include"
    # Takes the arguments of nvcc that candle's build uses, and creates the files that they name.
    cat > "$NVCC" <<'STAND_IN'
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
STAND_IN
    chmod +x "$NVCC"
else
    what="kernels compiled by NVIDIA's compiler"
    export CUDA_HOME=$folder/python/nvidia/cu13
    # A folder of its own: outputs of the stand-in would count as up to date.
    export NVCC=$CUDA_HOME/bin/nvcc
    target=$folder/compiled
    [ -x "$NVCC" ] || "${PYTHON:-python3}" -m pip install --quiet --no-deps --target "$folder/python" \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
        nvidia-cuda-cccl==13.0.85
fi
features=cuda
! command -v mpicc >/dev/null || features=cuda,ksom-cli/mpi
${CARGO:-cargo} check --target-dir "$target" --locked --workspace --all-targets --features "$features"
echo "features $features, $what: all crates, tests, examples and benches compile ($((SECONDS - started)) s)"
