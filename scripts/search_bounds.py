"""Can the map's order make the exact search for the nearest code cheaper? Blocks of neighboring codes have a center and a
radius, so that no code of a block is nearer to a vector x than |x − center| − radius. A descent from blocks of 8 × 8 codes to
such of 4 × 4, of 2 × 2 and to codes leaves out what is not nearer than a code that is known already: the one to which the
nearest centers lead, or (the best that could be had) the nearest itself. This counts the distances that it computes for a
vector, to centers and to codes.

    python scripts/search_bounds.py ENCODER.onnx WIDTH HEIGHT PICTURES

ENCODER.onnx is by `ksom export`, of a model with one grid of WIDTH × HEIGHT codes, sides that 8 divides. The same is done with
blocks that know the codes' vectors and not their map: the codebook halved again and again along its widest axis. Needs NumPy,
onnx, onnxruntime and Pillow; PICTURES is a folder of pictures of one size, of which 64 are taken.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from PIL import Image


def features_and_codes(path, pictures):
    model = onnx.load(path)
    products = [node for node in model.graph.node if node.op_type == "MatMul" and "products" in node.output[0]]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    parts = [constants[node.input[1]] for node in products]
    features = products[0].input[0]
    model.graph.output.append(onnx.ValueInfoProto(name=features))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    files = sorted(file for file in Path(pictures).rglob("*") if file.suffix in (".jpg", ".png"))
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, 64).astype(int)]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in chosen])
    pixels = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    x, codes = session.run([features, "codes"], {"pixels": pixels})
    return x.reshape(-1, x.shape[-1]).astype(np.float64), codes.ravel(), parts


def halved(w, members):
    """An order of the codes in which those of each 4, 16 and 64 that follow each other are near to each other."""
    if len(members) <= 4:
        return members
    axis = np.argmax(np.var(w[members], axis=0))
    order = members[np.argsort(w[members, axis])]
    return np.concatenate([halved(w, order[: len(order) // 2]), halved(w, order[len(order) // 2 :])])


def by_grid(width, height):
    """The same by the map."""
    y, x = np.divmod(np.arange(width * height), width)
    key = (y // 8 * (width // 8) + x // 8) * 64 + (y // 4 % 2 * 2 + x // 4 % 2) * 16
    key += (y // 2 % 2 * 2 + x // 2 % 2) * 4 + y % 2 * 2 + x % 2
    return np.argsort(key)


def distances(x, centers):
    squares = (x**2).sum(1)[:, None] + (centers**2).sum(1) - 2 * x @ centers.T
    return np.sqrt(np.maximum(squares, 0))


def descend(x, w, best):
    """Distances that are computed for a vector, with the nearest code's known, and with that of the first way down."""
    levels = [w.reshape(-1, size, w.shape[1]) for size in (64, 16, 4)]
    centers = [blocks.mean(1) for blocks in levels]
    radii = [np.linalg.norm(b - c[:, None], axis=2).max(1) for b, c in zip(levels, centers)]
    spans = [distances(x, c) for c in (*centers, w)]
    place = spans[0].argmin(1)
    for span in spans[1:]:
        children = place[:, None] * 4 + np.arange(4)
        place = children[np.arange(len(x)), np.take_along_axis(span, children, 1).argmin(1)]
    first = np.take_along_axis(spans[3], place[:, None], 1)[:, 0]
    counts = []
    for known in (best, first):
        open_blocks = np.ones(spans[0].shape, bool)
        count = 0
        for span, radius in zip(spans, (*radii, None)):
            count += open_blocks.sum(1).mean()
            if radius is not None:
                open_blocks = np.repeat(open_blocks & (span - radius <= known[:, None]), 4, axis=1)
        counts.append(count)
    return counts


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    width, height = int(sys.argv[2]), int(sys.argv[3])
    x, codes, parts = features_and_codes(sys.argv[1], sys.argv[4])
    w = np.concatenate([part.T if part.shape[0] == x.shape[1] else part for part in parts])
    # The graph holds the codes times a constant: the one by which its own choice is the nearest.
    scale = next(s for s in (1, -1, 2, -2, 0.5, -0.5) if (nearest(x[:64], w * s)[0] == codes[:64]).mean() > 0.9)
    w = w.astype(np.float64) * scale
    found, best = nearest(x, w)
    print(f"{len(x)} vectors, {len(w)} codes; the graph's choice is the nearest for {100 * (found == codes).mean():.2f} %")
    for name, order in [("the map", by_grid(width, height)), ("halving", halved(w, np.arange(len(w))))]:
        known, first = descend(x, w[order], best)
        print(f"blocks by {name}: {first:.0f} distances a vector, {known:.0f} if the nearest were known")


def nearest(x, w):
    squares = (w**2).sum(1)
    found = [np.argmin(squares - 2 * part @ w.T, axis=1) for part in np.array_split(x, max(1, len(x) // 512))]
    found = np.concatenate(found)
    return found, np.linalg.norm(x - w[found], axis=1)


if __name__ == "__main__":
    main()
