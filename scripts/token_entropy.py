"""Are the tokens of a map easier to predict? Bits for a code of models with one grid of codes, on pictures that they never saw:
as it is stored, by its frequency alone, and given its left and upper neighbor (`ksom encode --compress`, which learns on the
way; tables and headers do not count). The last is taken again with the codes' numbers shuffled, so that they no longer lie
on a map: what the pictures themselves say of a neighbor is left, what the numbers say is gone.

    python scripts/token_entropy.py target/release/ksom PICTURES MODEL...

Needs NumPy and safetensors.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SHUFFLED = ["_vq_vae._w", "_vq_vae._ema_w", "_vq_vae._ema_cluster_size", "_vq_vae.w", "_vq_vae.frozen"]


def encode(ksom, pictures, model, output, *options):
    command = [ksom, "encode", pictures, "--model", model, "-o", output, "--quiet", *options]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def coded_bits(ksom, pictures, model, folder):
    file = folder / "codes.safetensors"
    encode(ksom, pictures, model, file, "--compress")
    with safe_open(file, "numpy") as codes:
        return 8 * codes.get_tensor("codes").size


def shuffled(model, folder):
    """The same model with its codes in another order; none where the order is what the codes are (FSQ)."""
    tensors = load_file(model / "model.safetensors")
    names = [name for name in SHUFFLED if name in tensors]
    if not names:
        return None
    order = np.random.default_rng(0).permutation(len(tensors[names[0]]))
    tensors |= {name: np.ascontiguousarray(tensors[name][order]) for name in names}
    folder.mkdir()
    shutil.copy(model / "config.json", folder)
    with safe_open(model / "model.safetensors", "numpy") as file:
        save_file(tensors, folder / "model.safetensors", file.metadata())
    return folder


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ksom, pictures = Path(sys.argv[1]).resolve(), sys.argv[2]
    print("model | stored | frequency | neighbors | neighbors, numbers shuffled")
    for model in map(Path, sys.argv[3:]):
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            encode(ksom, pictures, model, work / "codes.npy")
            codes = np.load(work / "codes.npy").ravel()
            share = np.bincount(codes) / codes.size
            entropy = -np.sum(share[share > 0] * np.log2(share[share > 0]))
            stored = np.log2(json.loads((model / "config.json").read_text())["quantizer"]["num_codes"])
            bits = coded_bits(ksom, pictures, model, work) / codes.size
            other = shuffled(model, work / "shuffled")
            control = f"{coded_bits(ksom, pictures, other, work) / codes.size:.3f}" if other else "–"
            print(f"{model} | {stored:g} | {entropy:.3f} | {bits:.3f} | {control}", flush=True)


if __name__ == "__main__":
    main()
