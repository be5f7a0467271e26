"""What JPEG and WebP make of pictures at the bits per pixel of a tokenizer: PSNR and SSIM as docs/metrics.md defines them.

    pip install numpy pillow
    python scripts/codecs.py FOLDER... [--bits 0.5625]

For each picture the highest quality whose file takes at most so many bits per pixel, headers included; the mean over the
pictures of each measure. Beside it stands what `ksom compare FOLDER -o sheet.png` prints.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
CODECS = {
    "JPEG": lambda picture, quality, out: picture.save(out, "JPEG", quality=quality, optimize=True),
    "WebP": lambda picture, quality, out: picture.save(out, "WEBP", quality=quality, method=6),
}


def window(length):
    """SSIM's weights along an axis, as the library cuts them to short ones."""
    radius = (min(11, length) + 1) // 2 - 1
    weights = np.exp(-0.5 * ((np.arange(2 * radius + 1) - radius) / 1.5) ** 2)
    return weights / weights.sum()


def blur(x):
    for axis in (0, 1):
        weights = window(x.shape[axis])
        places = x.shape[axis] + 1 - len(weights)
        x = sum(w * np.take(x, range(i, i + places), axis) for i, w in enumerate(weights))
    return x


def ssim(x, y):
    x, y = x.astype(float), y.astype(float)
    mx, my = blur(x), blur(y)
    variances = blur(x * x + y * y) - mx * mx - my * my
    covariance = blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return ((2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2))).mean()


def psnr(x, y):
    return 10 * np.log10(255**2 / np.square(x.astype(float) - y).mean())


def encode(codec, picture, bits):
    """The bytes of the highest quality within the budget, found by halving; those of the lowest where none is."""
    budget = bits * picture.width * picture.height / 8

    def at(quality):
        out = io.BytesIO()
        CODECS[codec](picture, quality, out)
        return out.getvalue()

    low, high = 1, 100
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(at(middle)) <= budget else (low, middle - 1)
    return at(low)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--bits", type=float, default=0.5625, help="bits per pixel")
    args = parser.parse_args()
    for folder in args.folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        print(f"{folder}: {len(files)} pictures, at most {args.bits} bits per pixel")
        for codec in CODECS:
            rows, over = [], 0
            for file in files:
                picture = Image.open(file).convert("RGB")
                data = encode(codec, picture, args.bits)
                spent = 8 * len(data) / (picture.width * picture.height)
                over += spent > args.bits
                original, decoded = np.asarray(picture), np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                rows.append((psnr(original, decoded), ssim(original, decoded), spent))
            mean = np.mean(rows, axis=0)
            note = f"; {over} pictures take more at the lowest quality" if over else ""
            print(f"  {codec}: {mean[0]:.2f} dB, SSIM {mean[1]:.4f}, {mean[2]:.4f} bits per pixel{note}")


if __name__ == "__main__":
    main()
