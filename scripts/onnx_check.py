"""Compares the graphs of `ksom export` in onnxruntime with the command: codes and pixels of every built-in model.

    python scripts/onnx_check.py KSOM [--model NAME ...] [--speed [--rounds 5] [--seconds 2]]

Each file passes onnx.checker (full_check) and strict shape inference. Then, at 32×32, 100×60 and 768×512, one picture at a
time and eight, of examples/images: codes are those of `ksom encode` but for ties, where two distances agree to 1e-5 of the
vector's length (counted, and the worst shown; at the second level given the top codes of the command), and pixels decoded
from the command's codes are within 1e-4 of those that `ksom decode` rounds to bytes. The same is asked for with --half, and
with --dtype f16, whose convolutions onnxruntime computes in f32 on a CPU. What f16 does where it is computed is seen at 32×32
with ONNX's reference implementation: at most 5 % of the codes differ, and pixels by 0.01. Ends with 1 where that is not so.
--speed times onnxruntime and the command in turn instead; leave the machine alone meanwhile.

Needs onnx, onnxruntime, numpy and pillow.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
SIZES = [(32, 32), (100, 60), (768, 512)]
BATCHES = [1, 8]
TIE = 1e-5
FURTHEST = 1e-4
PRECISIONS = {"f32": [], "half": ["--half"], "f16": ["--dtype", "f16"]}
# Name: recipe and the model like it, batch, size.
SPEED = {
    "VQ-VAE, 32×32 × 256": ("cifar10", "cifar10-ksom", 256, (32, 32)),
    "VQ-VAE, 768×512": ("cifar10", "cifar10-ksom", 1, (768, 512)),
    "VQ-VAE-2, 256×256 × 4": ("imagenet", "photos-ksom-vqvae2", 4, (256, 256)),
}


def ksom(*parts):
    command = [arguments.ksom, *map(str, parts), "--quiet", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def checked(path):
    """A file that is as ONNX wants it."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


class Exported:
    """The graphs of a model, with the encoder's vectors as outputs of their own, so that ties can be told."""

    def __init__(self, name, folder, options):
        self.folder = folder
        ksom("export", name, "--onnx", folder, "--overwrite", *options)
        encoder, decoder = (checked(folder / f"{part}.onnx") for part in ("encoder", "decoder"))
        about = {entry.key: entry.value for entry in encoder.metadata_props}
        self.downsample = int(about["downsample"])
        self.levels = [output.name for output in encoder.graph.output]
        codebooks = {t.name: onnx.numpy_helper.to_array(t) for t in decoder.graph.initializer if ".vectors" in t.name}
        self.codebooks = list(codebooks.values())
        self.rows = [name.replace(".vectors", ".rows") for name in codebooks]
        self.bytes = [(folder / f"{part}.onnx").stat().st_size for part in ("encoder", "decoder")]
        self.decoder = session(folder / "decoder.onnx")
        self.encoder = session(folder / "encoder.onnx")
        encoder.graph.output.extend(onnx.helper.make_empty_tensor_value_info(rows) for rows in self.rows)
        self.observed = []
        for i, level in enumerate(self.levels):
            part = onnx.utils.Extractor(encoder).extract_model(["pixels", *self.levels[:i]], [level, self.rows[i]])
            self.observed.append(session(part.SerializeToString()))

    def padded(self, pictures):
        """Bytes [N, H, W, 3] → pixels in 0…1 [N, 3, H, W], padded."""
        height, width = pictures.shape[1:3]
        sides = ((0, 0), (0, -height % self.downsample), (0, -width % self.downsample), (0, 0))
        return np.pad(pictures, sides, mode="edge").transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)

    def encode(self, pictures):
        return self.encoder.run(self.levels, {"pixels": self.padded(pictures)})

    def encode_after(self, pictures, codes):
        """Codes and vectors of each level, given the coarser levels' codes: a tie there changes what follows here."""
        given = {"pixels": self.padded(pictures)} | {n: c.astype(np.int64) for n, c in zip(self.levels, codes)}
        pick = lambda i: {name: given[name] for name in ["pixels", *self.levels[:i]]}
        return [part.run([self.levels[i], self.rows[i]], pick(i)) for i, part in enumerate(self.observed)]

    def decode(self, codes, size):
        width, height = size
        given = {level: np.asarray(c, dtype=np.int64) for level, c in zip(self.levels, codes)}
        return self.decoder.run(["pixels"], given)[0].transpose(0, 2, 3, 1)[:, :height, :width]


def pictures(size):
    """Eight pictures of one size: the examples, and some of them mirrored."""
    files = sorted(p for p in (ROOT / "examples/images").iterdir() if p.suffix in {".jpg", ".png"})
    given = [ImageOps.fit(Image.open(file).convert("RGB"), size, Image.Resampling.BICUBIC) for file in files]
    return np.stack([np.asarray(picture) for picture in (given + [ImageOps.mirror(p) for p in given])[:8]])


def by_command(name, given, size, work):
    """Codes and decoded bytes of pictures, as the command has them."""
    folder = work / "pictures"
    folder.mkdir()
    for i, picture in enumerate(given):
        Image.fromarray(picture).save(folder / f"{i}.png")
    ksom("encode", folder, "-o", work / "c.npy", "--model", name)
    one = (work / "c.npy").exists()
    levels = [work / "c.npy"] if one else [work / f"c.codes_{level}.npy" for level in ("top", "bottom")]
    ksom("decode", *levels, "-o", work / "out", "--model", name, "--size", f"{size[0]}x{size[1]}")
    decoded = sorted((work / "out").iterdir(), key=lambda path: int("".join(filter(str.isdigit, path.stem)) or 0))
    return [np.load(level) for level in levels], np.stack([np.asarray(Image.open(path)) for path in decoded])


def gaps(rows, codebook, found, expected):
    """By how much codes that differ are nearer or farther than the others: of the vector's length, and of the distance."""
    differ = found != expected
    x, w = rows[differ].astype(np.float64), codebook.astype(np.float64)
    distances = [np.linalg.norm(x - w[codes[differ]], axis=-1) for codes in (found, expected)]
    gap = np.abs(distances[0] - distances[1])
    return list(zip(gap / np.linalg.norm(x, axis=-1), gap / distances[1]))


def compare(name, precision, work, given):
    exported = Exported(name, work / f"{name}-{precision}", PRECISIONS[precision])
    count = differing = following = 0
    apart = []
    far = 0.0
    for size, (all_pictures, all_codes, all_bytes) in given.items():
        for batch in BATCHES:
            for first in range(0, len(all_pictures), batch):
                part = slice(first, first + batch)
                expected = [level[part] for level in all_codes]
                whole = exported.encode(all_pictures[part])
                after = exported.encode_after(all_pictures[part], expected)
                for level, (codes, (found, rows), wanted) in enumerate(zip(whole, after, expected)):
                    assert codes.dtype == np.int64 and codes.shape == wanted.shape, (codes.shape, wanted.shape)
                    count += found.size
                    differing += int((found != wanted).sum())
                    apart += gaps(rows, exported.codebooks[level], found, wanted)
                    following += int((codes != wanted).sum()) - int((found != wanted).sum())
                decoded = exported.decode(expected, size).astype(np.float64)
                assert decoded.min() >= 0 and decoded.max() <= 1
                # The command's pixels are known as bytes: what lies beyond half a byte is more than rounding.
                off = np.abs(decoded * 255 - all_bytes[part]) - 0.5
                far = max(far, float(off.max()) / 255)
    worst = [max((gap[i] for gap in apart), default=0) for i in range(2)]
    good = worst[0] <= TIE and far <= FURTHEST
    print(
        f"{name}, {precision}: {differing} of {count:,} codes differ, distances by {worst[0]:.1e} of the vector and {worst[1]:.1e} "
        f"of the distance at most ({following} more follow from the level above); pixels beyond rounding by {max(far, 0):.1e}; {exported.bytes[0]:,} + {exported.bytes[1]:,} bytes{'' if good else '  <- NOT GOOD'}",
        flush=True,
    )
    return good and (precision != "f16" or by_reference(exported, name, given[SIZES[0]]))


def by_reference(exported, name, given):
    """Whether computing in f16 comes near, by a program that does."""
    shown, codes, in_bytes = given
    encoder, decoder = (ReferenceEvaluator(str(exported.folder / f"{part}.onnx")) for part in ("encoder", "decoder"))
    found = encoder.run(exported.levels, {"pixels": exported.padded(shown)})
    differing = sum(int((a != b).sum()) for a, b in zip(found, codes))
    count = sum(level.size for level in codes)
    decoded = decoder.run(["pixels"], {level: c.astype(np.int64) for level, c in zip(exported.levels, codes)})[0]
    off = np.abs(decoded.transpose(0, 2, 3, 1)[:, : SIZES[0][1], : SIZES[0][0]] * 255.0 - in_bytes) - 0.5
    far = max(float(off.max()) / 255, 0)
    good = differing <= 0.05 * count and far <= 0.01
    print(f"  computed in f16: {differing} of {count} codes differ; pixels beyond rounding by {far:.1e}"
          f"{'' if good else '  <- NOT GOOD'}", flush=True)
    return good


def median_time(run, seconds):
    run()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def speed(work):
    for case, (recipe, name, batch, (width, height)) in SPEED.items():
        exported = Exported(name, work / case.replace("/", " "), [])
        pixels = np.random.default_rng(0).random((batch, 3, height, width), dtype=np.float32)
        codes = dict(zip(exported.levels, exported.encoder.run(exported.levels, {"pixels": pixels})))
        runs = {
            "encode": lambda: exported.encoder.run(exported.levels, {"pixels": pixels}),
            "decode": lambda: exported.decoder.run(["pixels"], codes),
        }
        rates = {(who, what): [] for who in ("ksom", "onnxruntime") for what in runs}
        for _ in range(arguments.rounds):
            for what, run in runs.items():
                report = ksom("bench", "--recipe", recipe, "--batch", batch, "--size", f"{width}x{height}",
                              "--only", what, "--seconds", arguments.seconds)
                rates["ksom", what].append(report[f"{what}_images_per_s"])
                rates["onnxruntime", what].append(batch / median_time(run, arguments.seconds))
        for what in runs:
            own, other = (statistics.median(rates[who, what]) for who in ("ksom", "onnxruntime"))
            print(f"{case}, {what}: ksom {own:,.1f} pictures/s, onnxruntime {other:,.1f}; ratio {own / other:.2f}", flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("ksom")
parser.add_argument("--model", action="append")
parser.add_argument("--speed", action="store_true")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--seconds", type=float, default=2)
arguments = parser.parse_args()
print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    if arguments.speed:
        speed(folder)
        sys.exit(0)
    failed = False
    names = arguments.model or [model["name"] for model in ksom("list")["models"]]
    for name in names:
        given = {}
        for size in SIZES:
            work = folder / f"{name}-{size[0]}"
            work.mkdir()
            shown = pictures(size)
            given[size] = (shown, *by_command(name, shown, size, work))
        for precision in PRECISIONS:
            failed |= not compare(name, precision, folder, given)
sys.exit(1 if failed else 0)
