"""Encodes every picture in a folder with a VQ-VAE in Pillow and PyTorch, as `ksom encode` does, for comparison.

    python scripts/encode_pytorch.py MODEL_DIR FOLDER OUT.npy [--batch 256]

All pictures must have one size. Prints the seconds spent on importing and loading, and on encoding.
"""

import argparse
import json
import sys
import time

STARTED = time.perf_counter()

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_reference import Config, build
from safetensors.torch import load_file


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out")
    parser.add_argument("--batch", type=int, default=256)
    args = parser.parse_args()
    model = build(Config.read(args.model / "config.json"))
    model.load_state_dict(load_file(args.model / "model.safetensors"))
    model.eval().to(memory_format=torch.channels_last)
    normalization = json.loads((args.model / "config.json").read_text())["preprocessing"]["normalization"]
    mean, std = (torch.tensor(normalization[key]).view(1, 3, 1, 1) for key in ["mean", "std"])
    paths = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        sys.exit(f"{args.folder}: expected pictures, found none")
    ready = time.perf_counter()

    codes = []
    with ThreadPoolExecutor() as pool, torch.inference_mode():
        pictures = pool.map(read, paths)
        for start in range(0, len(paths), args.batch):
            batch = np.stack([picture for _, picture in zip(range(args.batch), pictures)])
            pixels = (torch.from_numpy(batch).permute(0, 3, 1, 2).to(torch.float32) / 255 - mean) / std
            features = model._pre_vq_conv(model._encoder(pixels)).permute(0, 2, 3, 1)
            rows = features.reshape(-1, features.shape[-1])
            codes.append(model._vq_vae.nearest(rows, model._vq_vae.codebook()).reshape(features.shape[:3]))
    np.save(args.out, torch.cat(codes).numpy())
    print(f"{len(paths)} pictures; start {ready - STARTED:.2f} s, encoding {time.perf_counter() - ready:.2f} s")


if __name__ == "__main__":
    main()
