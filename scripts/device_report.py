"""What a device has to show, as a report in Markdown: the golden files, half precision against f32, a training beside
PyTorch from the same weights, speed and memory beside PyTorch.

    python scripts/device_report.py --device cuda|metal|cpu [--short] [--minutes 9.5] [--out report.md]

It runs in a package as scripts/gpu.sh and scripts/metal.sh make it: `bin` with the programs, `golden`,
`images`, and these scripts. Python's own library is enough; what is compared with PyTorch is left out, and said so, where
PyTorch is not there. Ends with 1 if something is not as it should be. On the CPU, which is for trying the way there, ksom
computes by candle's own operations.
"""

import argparse
import ast
import importlib.util
import json
import math
import os
import platform
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from bench_vs_pytorch import ALL_CASES, CASES, DEVICE_CASES, VARIANTS, Failed, measure, run
from compare_losses import validations

HERE = Path(__file__).resolve().parent.parent
# Half precision against f32: the least share of equal codes, and the most dB.
LEAST_EQUAL, MOST_DB = 0.98, 0.1
# The most that the losses of the training may be apart at its end.
MOST_APART = 0.05
# A model of one level, one of two, and the zoo's for small pictures.
MODELS = {"photos-ksom": "images", "photos-ksom-vqvae2": "images", "cifar10-ksom": "small"}
# What PyTorch's side needs.
PEER = ["torch", "numpy", "PIL", "safetensors"]


class Report:
    """Lines of Markdown, and whether all is as it should be."""

    def __init__(self):
        self.lines, self.failed, self.left_out = [], [], []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def check(self, right, what):
        if not right:
            self.failed.append(what)
        return "yes" if right else "**no**"

    def table(self, header, rows):
        self.say("| " + " | ".join(header) + " |")
        self.say("|" + "---|" * len(header))
        for row in rows:
            self.say("| " + " | ".join(map(str, row)) + " |")
        self.say()


class Bench:
    """The programs and where they compute."""

    def __init__(self, args, work):
        self.args, self.work, self.ends = args, work, time.monotonic() + 60 * args.minutes
        self.programs = {"ksom": HERE / "bin"}
        self.missing = [name for name in PEER if importlib.util.find_spec(name) is None]

    def left(self):
        return self.ends - time.monotonic()

    def run(self, command, **more):
        """A program's output; raises `Failed` where it fails, or takes longer than there is time."""
        if self.left() <= 0:
            raise Failed("no time was left for it")
        limit = {"timeout": self.left(), "capture_output": True, "text": True}
        try:
            done = subprocess.run([str(part) for part in command], **limit, **more)
        except subprocess.TimeoutExpired:
            raise Failed("it took longer than there was time") from None
        except OSError as error:
            raise Failed(str(error)) from None
        if done.returncode != 0:
            raise Failed((done.stdout[-2000:] + done.stderr[-2000:]).strip())
        return done.stdout

    def ksom(self, folder, *arguments):
        where = ["--device", self.args.device] + ["--portable"] * (self.args.device == "cpu")
        return json.loads(self.run([folder / "ksom", *arguments, *where, "--json", "--quiet"]))


def library_folders():
    """Folders with NVIDIA's libraries: those of Python's packages, and of toolkits."""
    roots = [Path(path) for path in sys.path if path.endswith("site-packages")]
    found = [folder for root in roots for folder in sorted(root.glob("nvidia/*/lib"))]
    return found + [Path(path) for path in ["/usr/local/cuda/lib64", "/opt/cuda/lib64"] if Path(path).is_dir()]


def find_libraries(bench, report):
    """Lets the programs find NVIDIA's libraries; drops those that ask for one that is not there."""
    folders = [str(folder) for folder in library_folders()]
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), *folders]))
    for name, folder in list(bench.programs.items()):
        listed = subprocess.run(["ldd", folder / "ksom"], capture_output=True, text=True).stdout
        missing = [line.split()[0] for line in listed.splitlines() if "not found" in line]
        if missing:
            report.say(f"{name}: not found, in {', '.join(folders) or 'any folder'}: {', '.join(missing)}")
            report.check(False, f"libraries of {name}")
            del bench.programs[name]


def describe_machine(bench, report):
    lines = [f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPU threads"]
    try:
        if bench.args.device == "cuda":
            fields = "name,driver_version,memory.total,compute_cap"
            lines.append(bench.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]).strip())
        if bench.args.device == "metal":
            lines.append(bench.run(["sysctl", "-n", "machdep.cpu.brand_string"]).strip())
    except (Failed, OSError) as error:
        lines.append(f"the card does not tell what it is: {error}")
    if bench.missing:
        lines.append(f"without PyTorch: {', '.join(bench.missing)} not there")
    else:
        versions = "import torch; print('PyTorch', torch.__version__, 'cuDNN', torch.backends.cudnn.version())"
        lines.append(bench.run([sys.executable, "-c", versions]).strip())
    for line in lines:
        report.say(f"- {line}")
    report.say()


def golden(bench, report):
    """The golden files, by the tests of the repository."""
    rows = []
    for name, folder in bench.programs.items():
        for program in ["golden-quantizers", "golden-models"]:
            env = {**os.environ, "KSOM_GOLDEN": str(HERE / "golden"), "KSOM_TEST_DEVICE": bench.args.device}
            started = time.monotonic()
            try:
                output = bench.run([folder / program, "--nocapture", "--test-threads", "1"], env=env)
                passed = [line for line in output.splitlines() if line.startswith("test result: ok.")]
                right = bool(passed) and "SKIPPED" not in output
                what = passed[0].split(";")[0].removeprefix("test result: ok. ") if passed else "nothing"
            except Failed as error:
                right, what = False, last_line(error)
            verdict = report.check(right, f"{program} of {name}")
            rows.append([f"{name}: {program}", verdict, what, f"{time.monotonic() - started:.0f} s"])
    report.table(["golden files", "right", "", "time"], rows)


def last_line(error):
    return (str(error).splitlines() or ["no message"])[-1][:200]


def read_npy(path):
    """The raw values of a NumPy array."""
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0] if data[6] == 1 else struct.unpack("<I", data[8:12])[0]
    start = (10 if data[6] == 1 else 12) + length
    size = int(ast.literal_eval(data[start - length : start].decode().strip())["descr"][-1])
    return [data[i : i + size] for i in range(start, len(data), size)]


def codes_of(bench, folder, model, pictures, dtype, size):
    out = Path(tempfile.mkdtemp(dir=bench.work))
    bench.ksom(folder, "encode", pictures, "-m", model, "-o", out / "codes.safetensors", "--npy", "--dtype", dtype, *size)
    return [value for path in sorted(out.glob("*.npy")) for value in read_npy(path)]


def decibels(bench, folder, model, pictures, dtype):
    out = Path(tempfile.mkdtemp(dir=bench.work)) / "out"
    found = bench.ksom(folder, "reconstruct", pictures, "-m", model, "-o", out, "--dtype", dtype)
    return found["mean"]["psnr"]


def half_precision(bench, report):
    """Codes and dB of f16 and bf16 against f32 on the same device."""
    rows = []
    # candle has no products of bf16 on the CPU.
    types = ["f16"] if bench.args.device == "cpu" else ["f16", "bf16"]
    for name, folder in bench.programs.items():
        for model, pictures in MODELS.items():
            pictures, size = (HERE / "images", ["--size", "256x256"]) if pictures == "images" else (bench.work / "data", [])
            try:
                codes = {dtype: codes_of(bench, folder, model, pictures, dtype, size) for dtype in ["f32", *types]}
                psnr = {dtype: decibels(bench, folder, model, pictures, dtype) for dtype in codes}
            except Failed as error:
                rows.append([f"{name}: {model}", report.check(False, f"types of {name}, {model}"), last_line(error), ""])
                continue
            for dtype in types:
                pairs = list(zip(codes["f32"], codes[dtype], strict=True))
                equal = sum(a == b for a, b in pairs) / len(pairs)
                apart = abs(psnr[dtype] - psnr["f32"])
                right = equal >= LEAST_EQUAL and apart <= MOST_DB
                verdict = report.check(right, f"{dtype} of {name}, {model}")
                rows.append([f"{name}: {model}, {dtype}", verdict, f"{100 * equal:.2f} %", f"{apart:.3f}"])
    report.table(["against f32", "right", "equal codes", "dB apart"], rows)


def png(path, width, height, pixels):
    """Writes RGB bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[3 * width * y : 3 * width * (y + 1)] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(folder, count):
    """Pictures of 32×32: a disk on a slope of colors, with a little noise."""
    drawn = random.Random(1)
    (folder / "train" / "disks").mkdir(parents=True)
    for number in range(count):
        base = [drawn.uniform(40, 200) for _ in range(3)]
        slope = [(drawn.uniform(-2, 2), drawn.uniform(-2, 2)) for _ in range(3)]
        disk = [drawn.uniform(0, 255) for _ in range(3)]
        cx, cy, radius = drawn.uniform(4, 28), drawn.uniform(4, 28), drawn.uniform(3, 12)
        pixels = bytearray()
        for y in range(32):
            for x in range(32):
                inside = math.hypot(x - cx, y - cy) < radius
                for channel in range(3):
                    dx, dy = slope[channel]
                    value = disk[channel] if inside else base[channel] + dx * (x - 16) + dy * (y - 16)
                    pixels.append(min(255, max(0, int(value + drawn.gauss(0, 4)))))
        png(folder / "train" / "disks" / f"{number:04}.png", 32, 32, bytes(pixels))


def training(bench, report):
    """The CIFAR-10 recipe on the small pictures, beside PyTorch from the same weights on the same batches."""
    steps = 20 if bench.args.short else 300
    data, each = bench.work / "data", max(1, steps // 3)
    changes = [f"steps={steps}", f"validate_every={each}", "batch_size=64" if not bench.args.short else "batch_size=16"]
    rows = []
    for name, folder in bench.programs.items():
        out = bench.work / f"run-{folder.name}"
        try:
            bench.run([folder / "training_plan", f"folder:{data}", out, steps, *changes])
            shutil.copy(out / "model.safetensors", out / "initial.safetensors")
            started = time.monotonic()
            bench.ksom(folder, "train", "--out", out, "--resume")
            ours = time.monotonic() - started
            if bench.missing:
                rows.append([name, "", steps, f"{ours:.1f}", "", "", ""])
                continue
            started = time.monotonic()
            script = [sys.executable, HERE / "scripts/train_pytorch.py", "--device", bench.args.device]
            given = ["--init", out / "initial.safetensors", "--config", out / "config.json", "--data", data]
            given += ["--batches", out / "batches.txt", "--valid", out / "valid.txt", "--validate-every", each]
            bench.run([*script, *given, "--steps", steps, "--out", out / "pytorch.jsonl"])
            theirs = time.monotonic() - started
            compared = validations(out / "metrics.jsonl", out / "pytorch.jsonl")
            step, a, b = compared[-1]
            verdict = report.check(step == steps and abs(a / b - 1) <= MOST_APART, f"training with {name}")
            rows.append([name, verdict, step, f"{ours:.1f}", f"{theirs:.1f}", f"{a:.5f}", f"{b:.5f}"])
        except (Failed, OSError, IndexError) as error:
            rows.append([name, report.check(False, f"training with {name}"), last_line(error), "", "", "", ""])
    header = ["training", "right", "steps", "ksom, s", "PyTorch, s", "validation loss, ksom", "PyTorch"]
    report.table(header, rows)


def speed(bench, report):
    """Images per second and memory, ksom and PyTorch in turn."""
    args = bench.args
    seconds = 0.2 if args.short else 1.0
    cases = {"cifar10 32": ["train", "encode", "decode", "reconstruct"]}
    if not args.short:
        # The most telling first: what there is no time for is left out.
        names = ["cifar10 256", "vqvae2 256² 32", "cifar10 1024", "cifar10 32", "768×512 1", "vqvae2 256² 4"]
        cases = {name: ALL_CASES[name][-1] for name in names}
    variants = [] if bench.missing else VARIANTS if not args.short else ["plain", "channels_last"]
    programs = {name: ("ksom", folder / "ksom") for name, folder in bench.programs.items()}
    programs |= {f"PyTorch {variant}": (variant, HERE / "bin" / "ksom") for variant in variants}
    rows = []
    for dtype in ["f32"] if args.short else ["f32", "bf16"]:
        for case, parts in cases.items():
            if dtype != "f32":
                parts = [part for part in parts if part != "train"]
            # Training alone, for its memory.
            for group in [[part] for part in parts if part == "train"] + [[part for part in parts if part != "train"]]:
                rows += time_group(bench, report, programs, case, group, dtype, seconds) if group else []
    header = ["images/s", *programs, "ratio", "MiB of the card" if args.device == "cuda" else "MiB", "in PyTorch, least"]
    report.table(header, rows)


def time_group(bench, report, programs, case, parts, dtype, seconds):
    """A row for each part of a case; programs that fail or that there is no time for have none."""
    rates, memories = {}, {}
    for name, (program, ksom) in programs.items():
        what = f"{name}, {case}, {dtype}: {', '.join(parts)}"
        limit = min(bench.left(), 120)
        if limit < 10:
            report.left_out.append(f"{what} (no time was left)")
            continue
        portable = bench.args.device == "cpu"
        how = argparse.Namespace(
            device=bench.args.device, dtype=dtype, seconds=seconds, portable=portable, limit=limit
        )
        try:
            rates[name], host, card = measure(program, str(ksom), case, parts, how)
            memories[name] = card if card is not None else host
        except Failed as error:
            report.left_out.append(f"{what} ({last_line(error)})")
            if program == "ksom" and limit >= 120:
                report.check(False, what)
    rows = []
    for part in parts:
        cell = lambda name: f"{rates[name][part]:.1f}" if name in rates else "–"
        ours = [rates[name][part] for name in rates if name.startswith("ksom")]
        theirs = [rates[name][part] for name in rates if not name.startswith("ksom")]
        ratio = f"{max(ours) / max(theirs):.2f}" if ours and theirs else "–"
        least = lambda ours: min(
            (mib for name, mib in memories.items() if name.startswith("ksom") == ours), default=None
        )
        memory = [f"{least(True):.0f}" if least(True) else "–", f"{least(False):.0f}" if least(False) else "–"]
        rows.append([f"{case}, {dtype}: {part}", *map(cell, programs), ratio, *memory])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "metal", "cpu"], required=True)
    parser.add_argument("--short", action="store_true", help="few steps and small batches, to try the way")
    parser.add_argument("--minutes", type=float, default=9.5, help="what it may take in all")
    parser.add_argument("--out", type=Path, default=HERE / "report.md")
    args = parser.parse_args()
    report = Report()
    report.say(f"# ksom on {args.device}, {time.strftime('%Y-%m-%d %H:%M')}")
    report.say()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(args, Path(work))
        if args.device == "cuda":
            find_libraries(bench, report)
        make_data(bench.work / "data", 256 if args.short else 1024)
        describe_machine(bench, report)
        for part in [golden, half_precision, training, speed]:
            try:
                part(bench, report)
            except Exception as error:
                # Whatever it is, the other parts are worth having.
                report.say(f"{part.__name__}: {type(error).__name__}: {error}")
                report.check(False, part.__name__)
            args.out.write_text("\n".join(report.lines) + "\n")
    for what in report.left_out:
        report.say(f"- not measured: {what}")
    report.say(f"Not as it should be: {', '.join(report.failed)}." if report.failed else "All that was tried is as it should be.")
    args.out.write_text("\n".join(report.lines) + "\n")
    sys.exit(bool(report.failed))


if __name__ == "__main__":
    main()
