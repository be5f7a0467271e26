"""Encoding from Python, beside PyTorch and beside the command, in turn in one run.

    python scripts/bench_python.py --small FOLDER [--large FOLDER] [--count N] [--rounds N]

FOLDER holds pictures. Three ways to codes of the same model, files in, codes in memory (the command: a file) out: the
package `ksom`; PyTorch as programs for diffusers are written (a DataLoader of Pillow and NumPy, batches of one size, the
network of ksom.torch in channels last); the command `ksom`. Then what a call costs for one picture of 32×32. Needs ksom,
torch and pillow; the first round is not counted.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ksom
import ksom.torch
import numpy as np
import torch
from PIL import Image


class Pictures(torch.utils.data.Dataset):
    """Files → normalized tensors [3, H, W], the usual way."""

    def __init__(self, files, config):
        self.files = files
        normalization = config["preprocessing"]["normalization"]
        self.mean, self.std = (np.array(normalization[key], np.float32) for key in ("mean", "std"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        pixels = np.asarray(Image.open(self.files[number]).convert("RGB"), np.float32) / 255
        return torch.from_numpy((pixels - self.mean) / self.std).permute(2, 0, 1)


def by_torch(network, files, batch):
    loader = torch.utils.data.DataLoader(Pictures(files, network.config), batch, num_workers=torch.get_num_threads())
    with torch.inference_mode():
        return [network.encode(x.contiguous(memory_format=torch.channels_last)) for x in loader]


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(title, files, name, batch, rounds):
    model, network = ksom.Model.from_pretrained(name), ksom.torch.load(name)
    network = network.to(memory_format=torch.channels_last)
    command = str(Path(sys.executable).with_name("ksom"))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "pictures"
        folder.mkdir()
        for number, file in enumerate(files):
            (folder / f"{number:06}{Path(file).suffix}").symlink_to(Path(file).resolve())
        run = [command, "encode", str(folder), "-o", f"{work}/codes.safetensors", "--model", name, "--quiet"]
        ways = {
            "ksom from Python": lambda: model.encode(files),
            "the command": lambda: subprocess.run(run, check=True, stdout=subprocess.DEVNULL),
            "PyTorch": lambda: by_torch(network, files, batch),
        }
        times = {way: [] for way in ways}
        for round_number in range(rounds + 1):
            for way, work_of in ways.items():
                took = timed(work_of)
                if round_number > 0:
                    times[way].append(took)
    print(f"{title}: {len(files)} files, {name}")
    best = {way: len(files) / statistics.median(took) for way, took in times.items()}
    for way, speed in best.items():
        ratio = best["ksom from Python"] / speed
        spread = (max(times[way]) - min(times[way])) / statistics.median(times[way])
        print(f"  {way}: {speed:.1f} pictures/s (spread {100 * spread:.0f} %); ksom from Python is {ratio:.2f} times as fast")


def one_call(name, count):
    model = ksom.Model.from_pretrained(name)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    many = [picture] * 256
    model.encode(many)
    each = sorted(timed(lambda: model.encode(picture)) for _ in range(count))
    share = min(timed(lambda: model.encode(many)) for _ in range(3)) / len(many)
    native = sorted(timed(lambda: model._native.encode([(picture.shape, picture.tobytes())])) for _ in range(count))
    tiny = np.zeros((4, 4, 3), np.uint8)
    least = sorted(timed(lambda: model.encode(tiny)) for _ in range(count))
    middle = count // 2
    print(f"one call for a picture of 32×32: {1e6 * each[middle]:.0f} µs (least {1e6 * each[0]:.0f}); of 256 in one call "
          f"each {1e6 * share:.0f} µs; Python's half {1e6 * (each[middle] - native[middle]):.1f} µs; a picture of 4×4 "
          f"{1e6 * least[middle]:.0f} µs")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--small", type=Path, help="pictures of 32×32")
parser.add_argument("--large", type=Path, help="photographs of one size")
parser.add_argument("--count", type=int, default=10_000)
parser.add_argument("--rounds", type=int, default=2)
arguments = parser.parse_args()
one_call("cifar10-ksom", 2000)
if arguments.small:
    compare("small", ksom.find_pictures(arguments.small)[: arguments.count], "cifar10-ksom", 256, arguments.rounds)
if arguments.large:
    compare("large", ksom.find_pictures(arguments.large), "photos-ksom", 4, arguments.rounds)
