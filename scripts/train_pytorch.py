"""Trains a model as the CIFAR-10 recipe says, from given weights on given batches, and records its losses.

    python scripts/train_pytorch.py --init model.safetensors --config config.json --data cifar10 \
        --batches batches.txt --valid valid.txt --mean 0.49,0.48,0.44 --std 0.24,0.24,0.26 \
        --validate-every 100 --steps 300 --lr 1e-3 --out metrics.jsonl

`--data` is a folder with `train/<class>/*.jpg`; images are numbered by their sorted paths. Each line of `--batches`
holds the image numbers of one step, `--valid` those of the validation images; numbers are separated by white space.
Each line of the output is one step: its losses *before* the step's update and, where it was validated *after*
`step` updates, the validation's reconstruction loss, both in normalized units.

    python scripts/train_pytorch.py --check-golden tests/golden

compares the models with the golden files instead.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional as F

from pytorch_reference import Config, automatic_grid, build, optimizer, training_step

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def image_paths(data):
    """The training images, sorted by the bytes of their paths, folder by folder."""
    folder = Path(data) / "train"
    folder = folder if folder.is_dir() else Path(data)
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file()]
    if not paths:
        sys.exit(f"{folder}: expected images, found none")
    return sorted(paths, key=lambda path: [part.encode() for part in path.relative_to(folder).parts])


def read_images(paths, numbers):
    """The numbered images as {number: uint8 [H, W, 3]}."""

    def read(number):
        if not 0 <= number < len(paths):
            sys.exit(f"image {number}: expected a number below {len(paths)}")
        return np.asarray(Image.open(paths[number]).convert("RGB"))

    with ThreadPoolExecutor() as pool:
        return dict(zip(numbers, pool.map(read, numbers)))


def read_numbers(path):
    return [[int(word) for word in line.split()] for line in Path(path).read_text().splitlines() if line.strip()]


def triple(text):
    values = [float(word) for word in text.split(",")]
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers, found {text!r}")
    return values


class Batches:
    """Normalizes numbered images to NCHW tensors on a device."""

    def __init__(self, images, mean, std, device):
        self.images = images
        self.device = device
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)

    def __call__(self, numbers):
        pixels = torch.from_numpy(np.stack([self.images[number] for number in numbers]))
        return ((pixels.permute(0, 3, 1, 2).to(torch.float32) / 255 - self.mean) / self.std).to(self.device)


@torch.no_grad()
def validate(model, batches, numbers, batch_size=256):
    """The mean reconstruction loss over all elements of the numbered images."""
    model.eval()
    total = 0.0
    for start in range(0, len(numbers), batch_size):
        chunk = numbers[start : start + batch_size]
        images = batches(chunk)
        total += F.mse_loss(model(images).reconstruction, images).item() * len(chunk)
    return total / len(numbers)


def train(args, config):
    steps = read_numbers(args.batches)
    if len(steps) < args.steps:
        sys.exit(f"{args.batches}: expected {args.steps} batches, found {len(steps)}")
    steps = steps[: args.steps]
    valid = [number for line in read_numbers(args.valid) for number in line]
    paths = image_paths(args.data)
    images = read_images(paths, sorted({*valid, *(number for step in steps for number in step)}))
    print(f"{len(paths)} training images found, {len(images)} of them used", file=sys.stderr)
    device = {"metal": "mps"}.get(args.device, args.device)
    # f32 as such, as ksom computes it.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    batches = Batches(images, args.mean, args.std, device)
    model = build(config)
    model.load_state_dict(load_file(args.init))
    model = model.to(device)
    adamw = optimizer(model, args.lr)
    with open(args.out, "w") as out:
        for step, numbers in enumerate(steps, start=1):
            start = time.perf_counter()
            output, reconstruction, norm = training_step(model, adamw, batches(numbers))
            record = {
                "step": step,
                "reconstruction": reconstruction.item(),
                "commitment": output.commitment.item(),
                "perplexity": {name: value.item() for name, value in output.perplexity.items()},
                "grad_norm": norm.item(),
                "seconds": round(time.perf_counter() - start, 4),
            }
            if step % args.validate_every == 0 or step == args.steps:
                record["validation"] = validate(model, batches, valid)
                print(json.dumps(record))
            out.write(json.dumps(record) + "\n")
            out.flush()


def golden_config(golden):
    """The configuration in a golden file's metadata."""
    neighborhood, num_codes = golden["neighborhood"], golden["num_embeddings"]
    return Config(
        model=golden["model"],
        hidden=golden["num_hiddens"],
        residual_layers=golden["num_residual_layers"],
        residual_hidden=golden["num_residual_hiddens"],
        num_codes=num_codes,
        dim=golden["embedding_dim"],
        quantizer="gd_som" if golden["quantizer"] == "gd_som" else "ksom",
        neighborhood=neighborhood,
        grid=automatic_grid(num_codes, golden["grid_dim"]),
        counter_init=golden["counter_init"],
        shrink_step=golden["shrink_step"],
        gaussian_base=golden["gaussian_base"],
        decay=golden["decay"],
        commitment=golden["commitment_cost"],
        skip_unused=golden["quantizer"] == "hardsom_noupdate_zero",
        kohonen_cost=golden.get("kohonen_cost", 1.0),
    )


def check_golden(path):
    """Runs one golden file; gives how many tensors were compared and the worst deviation over its tolerance."""
    with safe_open(path, "pt") as file:
        settings = json.loads(file.metadata()["config"])
        golden = {key: file.get_tensor(key) for key in file.keys()}
    model = build(golden_config(settings))
    part = lambda prefix: {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}
    model.load_state_dict(part("init."))
    adamw = optimizer(model, settings["lr"])
    compared, worst = 0, (0.0, "nothing")

    def compare(name, found):
        nonlocal compared, worst
        expected = golden[name]
        if found.shape != expected.shape:
            sys.exit(f"{path}: {name}: expected shape {tuple(expected.shape)}, found {tuple(found.shape)}")
        if expected.dtype == torch.int64:
            ratio = float((found != expected).sum())
        else:
            ratio = ((found - expected).abs() / (1e-5 + 1e-4 * expected.abs())).max().item()
        compared, worst = compared + 1, max(worst, (ratio, name))

    for step in range(settings["steps"]):
        output, reconstruction, norm = training_step(model, adamw, golden[f"step{step}.input"], settings["grad_clip"])
        compare(f"step{step}.recon_loss", reconstruction)
        compare(f"step{step}.commit_loss", output.commitment.detach())
        compare(f"step{step}.grad_norm", norm)
        for name, codes in output.codes.items():
            compare(f"step{step}.{name}", codes)
        if step == 0:
            compare("step0.output", output.reconstruction.detach())
            for name, parameter in model.named_parameters():
                compare(f"step0.grad_clipped.{name}", parameter.grad)
    state = model.state_dict()
    if state.keys() != part("final.").keys():
        sys.exit(f"{path}: the model's names differ from the file's: {state.keys() ^ part('final.').keys()}")
    for name, tensor in state.items():
        compare(f"final.{name}", tensor)
    model.eval()
    last_input = f"step{settings['steps'] - 1}.input"
    with torch.no_grad():
        output = model(golden.get("eval.input", golden[last_input]))
    compare("eval.output", output.reconstruction)
    for name, codes in output.codes.items():
        compare(f"eval.{name}", codes)
    return compared, *worst


def check_all_golden(folder):
    folder = Path(folder)
    folder = folder / "model" if (folder / "model").is_dir() else folder
    paths = sorted(folder.glob("vqvae*.safetensors"))
    if not paths:
        sys.exit(f"{folder}: expected golden files vqvae*.safetensors, found none")
    failed = 0
    for path in paths:
        compared, ratio, name = check_golden(path)
        failed += ratio > 1
        verdict = "FAILED" if ratio > 1 else "ok"
        print(f"{path.name}: {compared} tensors, worst at {ratio:.3f} of its tolerance ({name}): {verdict}")
    return failed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-golden", metavar="DIR", help="compare with the golden files, and stop")
    parser.add_argument("--init", help="initial weights, a model directory's model.safetensors")
    parser.add_argument("--config", help="a model directory's config.json; else the flags below")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--residual-hidden", type=int, default=32)
    parser.add_argument("--residual-layers", type=int, default=2)
    parser.add_argument("--codes", type=int, default=512)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--neighborhood", choices=["hard", "gaussian", "none"], default="hard")
    parser.add_argument("--grid", help="lengths of the axes, e.g. 32x16; default: automatic 2-D")
    parser.add_argument("--counter-init", type=float, default=1.0)
    parser.add_argument("--shrink-step", type=float, default=0.1)
    parser.add_argument("--data", help="folder with train/<class>/*.jpg")
    parser.add_argument("--batches", help="image numbers, one step per line")
    parser.add_argument("--valid", help="image numbers")
    parser.add_argument("--mean", type=triple, help="r,g,b in 0..1; default: the configuration's")
    parser.add_argument("--std", type=triple, help="r,g,b in 0..1; default: the configuration's")
    parser.add_argument("--validate-every", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", help="metrics, one JSON object per line")
    parser.add_argument("--device", choices=["cpu", "cuda", "metal"], default="cpu")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.check_golden:
        return args
    if args.config and not (args.mean and args.std):
        normalization = json.loads(Path(args.config).read_text())["preprocessing"]["normalization"]
        args.mean, args.std = args.mean or normalization["mean"], args.std or normalization["std"]
    for name in ["init", "data", "batches", "valid", "mean", "std", "out"]:
        if getattr(args, name) is None:
            parser.error(f"--{name} is required")
    return args


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.check_golden:
        sys.exit(check_all_golden(args.check_golden) > 0)
    if args.config:
        config = Config.read(args.config)
    else:
        grid = [int(length) for length in args.grid.split("x")] if args.grid else automatic_grid(args.codes, 2)
        config = Config(
            hidden=args.hidden,
            residual_layers=args.residual_layers,
            residual_hidden=args.residual_hidden,
            num_codes=args.codes,
            dim=args.dim,
            neighborhood=args.neighborhood,
            grid=grid,
            counter_init=args.counter_init,
            shrink_step=args.shrink_step,
        )
    train(args, config)


if __name__ == "__main__":
    main()
