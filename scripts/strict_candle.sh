#!/usr/bin/env bash
# Runs the portable path with a candle that refuses on the CPU what Metal computes wrongly or lacks, or CUDA computes
# slowly: conv2d of operands that are not contiguous, matmul of operands that are neither contiguous nor the transpose of
# a contiguous one, transposed convolutions, arithmetic in f64. Then trains on a device that is full at its n-th
# allocation, for many n: whatever n, the command says so, with what takes less memory, and leaves nothing half-written.
#
#   scripts/strict_candle.sh [COMMIT] [FOLDER]
#
# It compiles a copy of the working tree's tracked files, or of COMMIT, with candle-core of the registry changed by this
# script, and so all that depends on it: some minutes, in FOLDER (target/strict-candle by default). CARGO names another
# cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in -*) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
commit=${1:-$(git stash create)}
mkdir -p "${2:-target/strict-candle}"
folder=$(cd "${2:-target/strict-candle}" && pwd)
python=${PYTHON:-python3}
cargo=${CARGO:-cargo}
started=$SECONDS

# Files that did not change keep their times, for cargo's sake.
mkdir -p "$folder/new" "$folder/tree"
git archive "${commit:-HEAD}" | tar -xf - -C "$folder/new"
"$python" - "$folder/new" "$folder/tree" <<'SYNC'
import filecmp, os, shutil, sys
from pathlib import Path

new, tree = map(Path, sys.argv[1:])
for path in tree.rglob("*"):
    if path.is_file() and not (new / path.relative_to(tree)).is_file() and "target" not in path.relative_to(tree).parts[:1]:
        path.unlink()
for path in new.rglob("*"):
    there = tree / path.relative_to(new)
    if path.is_file() and not (there.is_file() and filecmp.cmp(path, there, shallow=False)):
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        os.utime(there)
shutil.rmtree(new)
SYNC

cargo metadata --format-version 1 --locked > "$folder/metadata.json"
"$python" - "$folder" <<'PATCH'
import json, re, shutil, sys
from pathlib import Path

folder = Path(sys.argv[1])
packages = json.loads((folder / "metadata.json").read_text())["packages"]
(manifest,) = [package["manifest_path"] for package in packages if package["name"] == "candle-core"]
done = folder / "candle-core"
if done.exists():
    sys.exit()
strict = folder / "candle-core.new"
shutil.rmtree(strict, ignore_errors=True)
shutil.copytree(Path(manifest).parent, strict)

(strict / "src/strict.rs").write_text('''//! What the portable path must not ask for.
use crate::{bail, DType, Layout, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

/// Writes what is asked of a device to the file `$STRICT_TRACE`, a line each.
pub(crate) fn trace(what: &str) -> Result<()> {
    use std::io::Write;
    static FILE: OnceLock<Option<std::fs::File>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::fs::File::create(std::env::var_os("STRICT_TRACE")?).ok());
    if let Some(mut file) = file.as_ref() {
        file.write_all(format!("{what}\n").as_bytes())?;
    }
    Ok(())
}

/// Counts an operation that allocates. Number `$STRICT_FULL_AT` finds the device full.
pub(crate) fn allocate(op: &str) -> Result<()> {
    trace(op)?;
    static FULL_AT: OnceLock<Option<u64>> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let full_at = FULL_AT.get_or_init(|| std::env::var("STRICT_FULL_AT").ok()?.parse().ok());
    if *full_at == Some(COUNT.fetch_add(1, Ordering::SeqCst) + 1) {
        return Err(crate::Error::Cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \\"out of memory\\")".into()));
    }
    Ok(())
}

pub(crate) fn type_of(op: &str, dtype: DType) -> Result<()> {
    if dtype == DType::F64 {
        bail!("strict candle: {op} in f64, which Metal has not")
    }
    Ok(())
}

pub(crate) fn contiguous(op: &str, what: &str, layout: &Layout) -> Result<()> {
    if !layout.is_contiguous() {
        bail!("strict candle: {op} of {what} that is not contiguous: {layout:?}")
    }
    Ok(())
}

pub(crate) fn operand(what: &str, layout: &Layout, rows: usize, columns: usize) -> Result<()> {
    let (dims, stride) = (layout.dims(), layout.stride());
    let batch = dims.len() - 2;
    let (down, right) = (stride[batch], stride[batch + 1]);
    let plain = (right == 1 || columns == 1) && (down == columns || rows == 1);
    let transposed = (down == 1 || rows == 1) && (right == rows || columns == 1);
    let mut dense = rows * columns;
    let batches = (0..batch).rev().all(|i| {
        let right = dims[i] == 1 || stride[i] == dense;
        dense *= dims[i];
        right
    });
    if !(plain || transposed) || !batches {
        bail!("strict candle: matmul whose {what} is neither contiguous nor the transpose of what is: {layout:?}")
    }
    Ok(())
}
''')
lib = strict / "src/lib.rs"
lib.write_text(lib.read_text().replace("mod strided_index;", "mod strict;\nmod strided_index;", 1))

backend = strict / "src/cpu_backend/mod.rs"
text = backend.read_text()
start = text.index("impl BackendStorage for CpuStorage")
head, text = text[:start], text[start:]


def insert(function, *checks):
    """At the beginning of a function of the backend."""
    global text
    found = re.search(rf"    (?:pub )?fn {function}\b[^{{]*?-> Result<[^{{]*>\s*\{{\n", text)
    if not found:
        sys.exit(f"{backend}: expected a function {function}: this candle is another one than the script knows")
    checks = [check.replace("allocate()", f'allocate("{function}")') for check in checks]
    lines = "".join(f"        crate::strict::{check}?;\n" for check in checks)
    text = text[: found.end()] + lines + text[found.end() :]


for name in ["to_dtype", "reduce_op"]:
    insert(name, "allocate()")
for name in ["cmp", "affine", "powf", "elu", "binary_impl", "index_select", "gather", "index_add"]:
    insert(name, "allocate()", f'type_of("{name}", self.dtype())')
insert("where_cond", "allocate()", 'type_of("where_cond", t.dtype())')
for name in ["scatter_set", "scatter_add_set"]:
    insert(name, f'trace("{name}")', f'type_of("{name}", self.dtype())')
for name in ["copy2d", "copy_strided_src", "const_set"]:
    insert(name, f'trace("{name}")')
# The magnitude and sum of weights in f64 is how they are seen to be finite, on the host.
insert("unary_impl", "allocate()", 'type_of("unary", if B::NAME == "abs" { DType::F32 } else { self.dtype() })')
insert("matmul", "allocate()", 'type_of("matmul", self.dtype())', 'operand("left side", lhs_l, bmnk.1, bmnk.3)',
       'operand("right side", rhs_l, bmnk.3, bmnk.2)')
for name in ["conv1d", "conv2d"]:
    source = re.search(rf"    fn {name}\(\s*&self,\s*(\w+): &Layout,\s*\w+: &Self,\s*(\w+): &Layout", text)
    insert(name, "allocate()", f'type_of("{name}", self.dtype())', f'contiguous("{name}", "an input", {source[1]})',
           f'contiguous("{name}", "a kernel", {source[2]})')
for name in ["conv_transpose1d", "conv_transpose2d"]:
    insert(name, f'refused("{name}")')
for name in ["zeros_impl", "rand_uniform", "rand_normal"]:
    insert(name, "allocate()")
backend.write_text(head + text)
tensor = strict / "src/tensor.rs"
text = tensor.read_text()
for name in ["to_scalar", "to_vec1", "to_vec2", "to_vec3"]:
    insert(name, 'trace("read back")')
tensor.write_text(text)
with open(strict / "src/strict.rs", "a") as file:
    file.write('''
pub(crate) fn refused(op: &str) -> Result<()> {
    bail!("strict candle: {op}, which no device computes well")
}
''')
strict.rename(done)
PATCH

cd "$folder/tree"
# Little is computed: what compiles fast is fast.
strict=(--release --config 'profile.release.opt-level=1' --config "patch.crates-io.candle-core.path='$folder/candle-core'" --target-dir "$folder/build")
tests=(--test golden)
# Earlier commits have neither.
! grep -q '^pth = ' crates/vqvae/Cargo.toml || tests+=(--features ksom-vqvae/pth)
[ ! -f crates/vqvae/tests/accumulation.rs ] || tests+=(--test accumulation)
echo "== golden files and training steps"
KSOM_TEST_DEVICE=portable "$cargo" test "${strict[@]}" -p ksom-quantizers -p ksom-vqvae "${tests[@]}"

"$cargo" build "${strict[@]}" -p ksom-cli --no-default-features --bin ksom
# The arguments of a small training, and its run directory.
train() {
    "$folder/build/release/ksom" train --portable --device cpu --recipe cifar10 --data folder:examples/images \
        --out "$folder/run" --set size=[32,32] --set valid_fraction=0.4 --set batch_size=4 --set hidden=8 \
        --set residual_hidden=4 --set num_codes=16 --set dim=4 "$@"
}

echo "== what a training step asks of a device"
for kind in vqvae vqvae2; do
    # By how much a step more adds to it.
    for steps in 2 3; do
        rm -rf "$folder/run"
        STRICT_TRACE=$folder/trace-$steps train --set "architecture.kind=$kind" --set steps=$steps > "$folder/stdout" 2> "$folder/stderr"
    done
    "$python" - "$kind" "$folder"/trace-{2,3} <<'COUNT'
import sys
from collections import Counter

kind, *traces = sys.argv[1:]
two, three = (Counter(open(trace).read().splitlines()) for trace in traces)
step = {what: three[what] - two[what] for what in three}
readbacks = step.pop("read back", 0)
by_kind = ", ".join(f"{count} {what}" for what, count in sorted(step.items(), key=lambda item: -item[1]) if count)
print(f"{kind}: {sum(step.values())} operations and {readbacks} readbacks a step ({by_kind})")
if readbacks > 2:
    sys.exit(f"{kind}: a training step should read from the device twice at the most, and reads {readbacks} times")
COUNT
done

echo "== a device that is full"
full_at=1 full=0 in_steps=0
while :; do
    run=$folder/run
    rm -rf "$run"
    if STRICT_FULL_AT=$full_at train --set steps=2 --set accumulate=2 > "$folder/stdout" 2> "$folder/stderr"; then
        # So many allocations are not made: nothing is left to try.
        [ "$in_steps" -gt 20 ] || { echo "only $in_steps of $full allocations that failed were in training steps" >&2; exit 1; }
        echo "strict candle: passed; $full allocations that failed, $in_steps of them in training steps, were told" \
            "($((SECONDS - started)) s)"
        exit
    fi
    full=$((full + 1))
    grep -q 'error: .*ran out of memory (DriverError(CUDA_ERROR_OUT_OF_MEMORY' "$folder/stderr" \
        || { echo "full at allocation $full_at:" >&2; cat "$folder/stderr" >&2; exit 1; }
    if grep -q 'training on 2 pictures of 32×32 at once (a batch of 4, accumulate = 2)' "$folder/stderr"; then
        in_steps=$((in_steps + 1))
        grep -q -- '--set accumulate=4' "$folder/stderr" || { cat "$folder/stderr" >&2; exit 1; }
    fi
    partial=$(find "$run" -name '*.part' -o -name '.tmp*' 2> /dev/null)
    [ -z "$partial" ] || { echo "full at allocation $full_at: left behind: $partial" >&2; exit 1; }
    full_at=$((full_at + full_at / 16 + 1))
done
