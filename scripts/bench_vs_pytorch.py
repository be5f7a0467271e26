"""Times ksom and PyTorch in turn, several rounds in one go, and prints medians and ratios.

    python scripts/bench_vs_pytorch.py target/release/ksom [--rounds 5] [--seconds 3] [--only NAME ...] [--out FILE]
        [--device cpu|cuda|metal] [--dtype f32|f16|bf16]

The peer is the fastest of three PyTorch variants: plain, channels_last, and compiled (torch.compile on channels_last). On
CUDA all three convolve by cuDNN, which tries its algorithms first, and f32 is computed without TF32; f16 and bf16 are
autocast, for inference alone. Each program is a process of its own that warms up, measures for some seconds and takes the
median time of a batch; the table gives the median over the rounds, and the ratio of these medians. Memory is the
processes' greatest resident set, in training alone, and on CUDA what they hold of the card too. Needs
scripts/requirements.txt and, for torch.compile, a C++ compiler. Leave the machine alone meanwhile.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

VARIANTS = ["plain", "channels_last", "compiled"]
# PyTorch's names of the devices.
DEVICES = {"cpu": "cpu", "cuda": "cuda", "metal": "mps"}

# Name: recipe, model, batch, width, height, parts.
CASES = {
    "cifar10 256": ("cifar10", "vqvae", 256, 32, 32, ["train", "encode", "decode", "reconstruct"]),
    "cifar10 32": ("cifar10", "vqvae", 32, 32, 32, ["train"]),
    "vqvae2 256² 4": ("imagenet", "vqvae2", 4, 256, 256, ["train", "reconstruct"]),
    "768×512 1": ("cifar10", "vqvae", 1, 768, 512, ["encode", "reconstruct"]),
}
# Where there is more to compute with.
DEVICE_CASES = {
    "cifar10 1024": ("cifar10", "vqvae", 1024, 32, 32, ["train", "encode", "decode", "reconstruct"]),
    "vqvae2 256² 32": ("imagenet", "vqvae2", 32, 256, 256, ["train", "reconstruct"]),
}
ALL_CASES = {**CASES, **DEVICE_CASES}


class Failed(Exception):
    """A program that ended with an error."""


def work(variant, case, parts, args):
    """Times parts of one case with PyTorch; prints images per second of each."""
    import torch
    from pytorch_reference import Config, automatic_grid, build, optimizer, training_step

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    device = DEVICES[args.device]
    wait = {"cpu": lambda: None, "cuda": torch.cuda.synchronize, "mps": lambda: torch.mps.synchronize()}[device]
    half = {"f16": torch.float16, "bf16": torch.bfloat16}.get(args.dtype)
    _, name, batch, width, height, _ = ALL_CASES[case]
    torch.manual_seed(0)
    model = build(Config(model=name, grid=automatic_grid(512, 2))).to(device)
    images = torch.randn(batch, 3, height, width).to(device)
    if variant != "plain":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    adamw = optimizer(model, 1e-3)

    def encode(images):
        features = model._pre_vq_conv(model._encoder(images)).permute(0, 2, 3, 1)
        return model._vq_vae.nearest(features.reshape(-1, features.shape[-1]), model._vq_vae.codebook())

    def decode(codes):
        side = lambda size: size // 4
        quantized = model._vq_vae.codebook()[codes].reshape(batch, side(height), side(width), -1)
        return model._decoder(quantized.permute(0, 3, 1, 2))

    def step_of(part):
        if part == "train":
            network = torch.compile(model) if variant == "compiled" else model
            return lambda: training_step(network, adamw, images)
        model.eval()
        with torch.inference_mode():
            codes = encode(images) if part == "decode" else None
        forward, argument = {"encode": (encode, images), "decode": (decode, codes), "reconstruct": (model, images)}[part]
        forward = torch.compile(forward) if variant == "compiled" else forward

        def step():
            autocast = torch.autocast(device, half) if half else contextlib.nullcontext()
            with torch.inference_mode(), autocast:
                forward(argument)

        return step

    rates = {}
    for part in parts:
        step = step_of(part)
        for _ in range(3):
            step()
        wait()
        times, started = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - started < args.seconds:
            start = time.perf_counter()
            step()
            wait()
            times.append(time.perf_counter() - start)
        rates[part] = batch / statistics.median(times)
    print(json.dumps(rates))


@contextlib.contextmanager
def card_memory(device):
    """MiB that are taken of the card meanwhile at most, above those before; none where nvidia-smi does not tell."""
    found = {"mib": None}
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
    try:
        before = int(subprocess.run(query, capture_output=True, text=True).stdout) if device == "cuda" else None
    except (OSError, ValueError):
        before = None
    if before is None:
        yield found
        return
    with subprocess.Popen([*query, "-lms", "20"], stdout=subprocess.PIPE, text=True) as watch:
        yield found
        watch.terminate()
        used = [int(line) for line in watch.stdout.read().split() if line.isdigit()]
    found["mib"] = max(used, default=before) - before


def run(command, device, limit=None):
    """A process's output, its greatest resident set in MiB, and what it took of the card; ended after `limit` seconds."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with card_memory(device) as card, subprocess.Popen(command, **pipes) as process:
        timer = threading.Timer(limit, process.kill) if limit else None
        if timer:
            timer.start()
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if timer:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} failed:\n{errors.strip()}")
    return output, usage.ru_maxrss / 1024, card["mib"]


def measure(program, ksom, case, parts, args):
    """Images per second of each part, MiB, and MiB of the card."""
    options = ["--device", args.device, "--dtype", args.dtype, "--seconds", str(args.seconds)]
    if program != "ksom":
        worker = [sys.executable, __file__, "--worker", program, case, ",".join(parts), *options, ksom]
        rates, *memory = run(worker, args.device, args.limit)
        return json.loads(rates), *memory
    recipe, _, batch, width, height, _ = ALL_CASES[case]
    command = [ksom, "bench", "--json", "--quiet", "--recipe", recipe, "--batch", str(batch), *options]
    command += ["--size", f"{width}x{height}", "--only", ",".join(parts)] + ["--portable"] * args.portable
    report, *memory = run(command, args.device, args.limit)
    report = json.loads(report)
    return {part: report[f"{part}_images_per_s"] for part in parts}, *memory


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ksom", help="the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", choices=list(DEVICES), default="cpu")
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="f32")
    parser.add_argument("--portable", action="store_true", help="ksom by candle's own operations")
    parser.add_argument("--only", nargs="+", choices=list(ALL_CASES), default=list(CASES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--out", help="every measurement, one JSON object per line")
    parser.add_argument("--limit", type=float, help="seconds that a program may take")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.worker:
        variant, case, parts = args.worker
        return work(variant, case, parts.split(","), args)

    out = open(args.out, "w") if args.out else None
    print(f"{'':24}{'ksom':>10}" + "".join(f"{variant:>15}" for variant in args.variants) + f"{'ratio':>8}", flush=True)
    for case in args.only:
        for part in ALL_CASES[case][-1]:
            if part == "train" and args.dtype != "f32":
                continue
            rates, memories, cards = {}, {}, {}
            for round_number in range(args.rounds):
                for program in ["ksom", *args.variants]:
                    found, mib, card = measure(program, args.ksom, case, [part], args)
                    rates.setdefault(program, []).append(found[part])
                    memories.setdefault(program, []).append(mib)
                    cards.setdefault(program, []).append(card)
                    if out:
                        record = {"case": case, "part": part, "round": round_number, "program": program}
                        record |= {"images_per_s": found[part], "mib": mib, "card_mib": card}
                        out.write(json.dumps(record) + "\n")
                        out.flush()
            median = {program: statistics.median(values) for program, values in rates.items()}
            ratio = median["ksom"] / max(median[variant] for variant in args.variants)
            row(f"{case} {part}", median, 1, f"{ratio:8.2f}")
            for name, values in [("MiB", memories), ("MiB of the card", cards)]:
                if part == "train" and all(value is not None for value in values["ksom"]):
                    row(f"  {name}", {program: statistics.median(each) for program, each in values.items()}, 0, "")


def row(name, values, digits, end):
    cells = [f"{value:{10 if program == 'ksom' else 15}.{digits}f}" for program, value in values.items()]
    print(f"{name:24}" + "".join(cells) + end, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
