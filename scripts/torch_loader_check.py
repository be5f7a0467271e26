"""Compares examples/python/ksom_torch.py with the command, for every built-in model: codes and pixels.

    python scripts/torch_loader_check.py KSOM [PICTURE or FOLDER ...] [--jpeg FOLDER]

Both read the same pixels: pictures are decoded by Pillow and handed to the command as PNG. Exits with 1 if any code
differs. With --jpeg the command decodes the JPEG files of that folder itself, and how many codes differ is only told.
Needs torch, numpy, pillow and safetensors.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples/python"))
import ksom_torch  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("ksom")
parser.add_argument("pictures", nargs="*", default=[ROOT / "examples/images"], type=Path)
parser.add_argument("--jpeg", type=Path)
arguments = parser.parse_args()

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tiff"}


def files(paths):
    for path in paths:
        yield from sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]


def pixels(path):
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def command(*parts):
    subprocess.run([arguments.ksom, *map(str, parts), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def compare(folder, picture, array, name):
    """Codes that differ, all codes, and the largest difference of a decoded pixel."""
    model, config = ksom_torch.load(folder)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        command("encode", picture, "-o", work / "c.npy", "--model", name)
        levels = [work / "c.npy"] if len(list(work.glob("*.npy"))) == 1 else [
            work / "c.codes_top.npy", work / "c.codes_bottom.npy"]
        given = [np.load(level)[0] for level in levels]
        height, width = array.shape[:2]
        command("decode", *levels, "-o", work / "out", "--model", name, "--size", f"{width}x{height}")
        decoded = np.asarray(Image.open(next((work / "out").iterdir())))
    codes = ksom_torch.encode(model, config, array)
    differ = sum(int((a != b).sum()) for a, b in zip(codes, given))
    here = ksom_torch.decode(model, config, given, width, height)
    return differ, sum(level.size for level in given), int(np.abs(here.astype(int) - decoded).max())


failed = False
for folder in sorted(p.parent for p in (ROOT / "models").glob("*/model.safetensors")):
    total = count = far = 0
    for path in files(arguments.pictures):
        array = pixels(path)
        with tempfile.TemporaryDirectory() as work:
            png = Path(work) / "picture.png"
            Image.fromarray(array).save(png)
            differ, codes, most = compare(folder, png, array, folder.name)
        total, count, far = total + differ, count + codes, max(far, most)
    print(f"{folder.name}: {total} of {count} codes differ; pixels decoded from the same codes by at most {far} of 255")
    failed |= total > 0 or far > 1
    if arguments.jpeg:
        results = [compare(folder, path, pixels(path), folder.name) for path in files([arguments.jpeg])]
        total, count = sum(r[0] for r in results), sum(r[1] for r in results)
        print(f"  {len(results)} JPEG files, each decoded by both: {100 * total / count:.2f} % of {count} codes differ")
sys.exit(1 if failed else 0)
