"""Fine-tunes a VQ-VAE in PyTorch as `ksom finetune` does, for comparison, and tells the error on pictures held out.

    python scripts/finetune_pytorch.py MODEL_DIR TRAIN_FOLDER HELD_FOLDER --steps 500 [--lr 1e-4] [--batch 32]

MODEL_DIR is a model directory. A fifth of TRAIN_FOLDER (in a seeded order) is left out, as `ksom finetune` keeps it for
validation. Training pictures are scaled so that the shorter side is 64 and cropped to 64×64 at random, flipped half of
the time. Pictures of HELD_FOLDER are taken as they are: all of one size. Prints the mean squared error in normalized
units before, every 25 steps, and after.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_reference import Config, build, optimizer, training_step
from safetensors.torch import load_file
from torch.nn import functional as F

SIDE = 64


def pictures(folder):
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return [Image.open(path).convert("RGB") for path in paths]


def small(picture):
    scale = SIDE / min(picture.size)
    return picture.resize([max(SIDE, round(side * scale)) for side in picture.size], Image.Resampling.BILINEAR)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("train")
    parser.add_argument("held")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = build(Config.read(args.model / "config.json"))
    model.load_state_dict(load_file(args.model / "model.safetensors"))
    model.to(memory_format=torch.channels_last)
    normalization = json.loads((args.model / "config.json").read_text())["preprocessing"]["normalization"]
    mean, std = (torch.tensor(normalization[key]).view(1, 3, 1, 1) for key in ["mean", "std"])

    def normalized(arrays):
        return (torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(torch.float32) / 255 - mean) / std

    rng = np.random.default_rng(args.seed)
    train = [small(picture) for picture in pictures(args.train)]
    train = [train[i] for i in rng.permutation(len(train))[: len(train) - len(train) // 5]]
    held = [np.asarray(picture) for picture in pictures(args.held)]

    def crop(picture):
        left, top = (int(rng.integers(side - SIDE + 1)) for side in picture.size)
        pixels = np.asarray(picture)[top : top + SIDE, left : left + SIDE]
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels

    @torch.inference_mode()
    def error():
        model.eval()
        errors = [F.mse_loss(model(normalized(held[i : i + 4])).reconstruction, normalized(held[i : i + 4])).item()
                  * len(held[i : i + 4]) for i in range(0, len(held), 4)]
        return sum(errors) / len(held)

    print(f"{len(train)} pictures to train on, {len(held)} held out\nstep 0: {error():.5f}", flush=True)
    adamw, order = optimizer(model, args.lr), []
    for step in range(1, args.steps + 1):
        while len(order) < args.batch:
            order.extend(rng.permutation(len(train)))
        chosen, order = order[: args.batch], order[args.batch :]
        training_step(model, adamw, normalized([crop(train[i]) for i in chosen]))
        if step % 25 == 0 or step == args.steps:
            print(f"step {step}: {error():.5f}", flush=True)


if __name__ == "__main__":
    main()
