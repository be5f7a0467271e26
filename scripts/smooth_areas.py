"""How reconstructions err where a picture is smooth: in skies, on walls, on skin.

    pip install numpy pillow
    ksom reconstruct PICTURES -o OUT --model MODEL
    python scripts/smooth_areas.py PICTURES OUT...

Smooth is a block of 16×16 pixels that a plane in each channel tells but for 3 of 255 levels (root mean square). Over
these blocks of all pictures, in levels of 255, root mean squares of

- the error;
- its part that 4×4 pixels share, which shows as steps where colors should glide, and as a wrong color if it goes on;
- what of that is color: without the mean of the channels;
- the rest, within 4×4 pixels: texture that is not there.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CELL, ROUGHEST = 16, 4, 3.0


def blocks(picture):
    """[blocks, 16, 16, 3]; what is left over at the right and at the bottom is left out."""
    height, width = (side // SIDE * SIDE for side in picture.shape[:2])
    cut = picture[:height, :width].reshape(height // SIDE, SIDE, width // SIDE, SIDE, 3)
    return cut.swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)


def is_smooth(pieces):
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    plane = np.stack([np.ones(SIDE * SIDE), x, y], 1)
    flat = pieces.reshape(len(pieces), -1, 3)
    rest = flat - np.einsum("ij,jk,nkc->nic", plane, np.linalg.pinv(plane), flat)
    return np.sqrt(np.square(rest).mean((1, 2))) < ROUGHEST


def read(path):
    return np.asarray(Image.open(path).convert("RGB"), dtype=float)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    originals = {path.stem: path for path in sorted(Path(sys.argv[1]).rglob("*")) if path.is_file()}
    for folder in map(Path, sys.argv[2:]):
        sums, of, among = np.zeros(4), 0, 0
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if path.stem not in originals:
                sys.exit(f"{path}: {sys.argv[1]} has no picture of that name")
            original = blocks(read(originals[path.stem]))
            chosen = is_smooth(original)
            error = (blocks(read(path)) - original)[chosen]
            cells = error.reshape(-1, SIDE // CELL, CELL, SIDE // CELL, CELL, 3)
            shared = cells.mean((2, 4), keepdims=True)
            color = shared - shared.mean(-1, keepdims=True)
            parts = [cells, shared, color, cells - shared]
            sums += [np.square(part).mean((1, 2, 3, 4, 5)).sum() for part in parts]
            of, among = of + len(error), among + len(original)
        if of == 0:
            sys.exit(f"{folder}: no picture has a smooth block of {SIDE}×{SIDE} pixels")
        error, shared, color, texture = np.sqrt(sums / of)
        print(
            f"{folder}: {of} smooth blocks of {among}: error {error:.2f}, shared by 4×4 {shared:.2f} "
            f"(in color {color:.2f}), texture {texture:.2f}"
        )


if __name__ == "__main__":
    main()
