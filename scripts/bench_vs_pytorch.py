"""Times ksom and PyTorch in turn, several rounds in one go, and prints medians and ratios.

    python scripts/bench_vs_pytorch.py target/release/ksom [--rounds 5] [--seconds 3] [--only NAME ...] [--out FILE]

The peer is the fastest of three PyTorch variants: plain, channels_last, and compiled (torch.compile on channels_last).
Each program is a process of its own that warms up, measures for some seconds and takes the median time of a batch;
the table gives the median over the rounds, and the ratio of these medians. Memory is the processes' greatest resident
set, for training alone. Needs scripts/requirements.txt and, for torch.compile, a C++ compiler. Leave the machine alone
meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

VARIANTS = ["plain", "channels_last", "compiled"]

# Name: recipe, model, batch, width, height, parts.
CASES = {
    "cifar10 256": ("cifar10", "vqvae", 256, 32, 32, ["train", "encode", "decode", "reconstruct"]),
    "cifar10 32": ("cifar10", "vqvae", 32, 32, 32, ["train"]),
    "vqvae2 256² 4": ("imagenet", "vqvae2", 4, 256, 256, ["train", "reconstruct"]),
    "768×512 1": ("cifar10", "vqvae", 1, 768, 512, ["encode", "reconstruct"]),
}


def work(variant, case, part, seconds):
    """Times one part of one case with PyTorch; prints images per second."""
    import torch
    from pytorch_reference import Config, automatic_grid, build, optimizer, training_step

    _, name, batch, width, height, _ = CASES[case]
    torch.manual_seed(0)
    model = build(Config(model=name, grid=automatic_grid(512, 2)))
    images = torch.randn(batch, 3, height, width)
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

    if part == "train":
        network = torch.compile(model) if variant == "compiled" else model
        step = lambda: training_step(network, adamw, images)
    else:
        model.eval()
        codes = encode(images) if part == "decode" else None
        forward, argument = {"encode": (encode, images), "decode": (decode, codes), "reconstruct": (model, images)}[part]
        forward = torch.compile(forward) if variant == "compiled" else forward

        def step():
            with torch.inference_mode():
                forward(argument)

    for _ in range(3):
        step()
    times, started = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(batch / statistics.median(times))


def run(command):
    """A process's output, and its greatest resident set in MiB."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{errors}")
    return output, usage.ru_maxrss / 1024


def measure(program, ksom, case, part, seconds):
    """Images per second, and MiB."""
    if program != "ksom":
        worker = [sys.executable, __file__, "--worker", program, case, part, "--seconds", str(seconds), ksom]
        rate, memory = run(worker)
        return float(rate), memory
    recipe, _, batch, width, height, _ = CASES[case]
    command = [ksom, "bench", "--json", "--quiet", "--recipe", recipe, "--batch", str(batch), "--only", part]
    report, memory = run([*command, "--size", f"{width}x{height}", "--seconds", str(seconds)])
    return json.loads(report)[f"{part}_images_per_s"], memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ksom", help="the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--out", help="every measurement, one JSON object per line")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(*args.worker, args.seconds)

    out = open(args.out, "w") if args.out else None
    print(f"{'':24}{'ksom':>10}" + "".join(f"{variant:>15}" for variant in args.variants) + f"{'ratio':>8}", flush=True)
    for case in args.only:
        for part in CASES[case][-1]:
            rates, memories = {}, {}
            for round_number in range(args.rounds):
                for program in ["ksom", *args.variants]:
                    rate, memory = measure(program, args.ksom, case, part, args.seconds)
                    rates.setdefault(program, []).append(rate)
                    memories.setdefault(program, []).append(memory)
                    if out:
                        record = {"case": case, "part": part, "round": round_number, "program": program}
                        out.write(json.dumps({**record, "images_per_s": rate, "mib": memory}) + "\n")
                        out.flush()
            median = {program: statistics.median(values) for program, values in rates.items()}
            ratio = median["ksom"] / max(median[variant] for variant in args.variants)
            print(f"{case + ' ' + part:24}" + "".join(
                f"{value:{10 if program == 'ksom' else 15}.1f}" for program, value in median.items()
            ) + f"{ratio:8.2f}", flush=True)
            if part == "train":
                memory = {program: statistics.median(values) for program, values in memories.items()}
                print(f"{'  MiB':24}" + "".join(
                    f"{value:{10 if program == 'ksom' else 15}.0f}" for program, value in memory.items()
                ), flush=True)


if __name__ == "__main__":
    main()
