"""Pictures per second from tar shards to codes: ksom beside `webdataset` and PyTorch, in turn, on the same shards and threads.

    python scripts/bench_shards.py target/release/ksom 'shards/{000000..000009}.tar' [THREADS]

Needs scripts/requirements.txt and webdataset. The PyTorch side reads and decodes (Pillow) with webdataset in worker processes,
encodes with the same weights (scripts/pytorch_reference.py), and writes an .npy file for each shard. All pictures must have
one size. Starting is part of both times.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "cifar10-ksom"


def by_pytorch(shards, out, threads):
    import numpy as np
    import torch
    import webdataset
    from pytorch_reference import Config, build
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    model = build(Config.read(MODEL / "config.json"))
    model.load_state_dict(load_file(MODEL / "model.safetensors"))
    model.eval().to(memory_format=torch.channels_last)
    normalization = json.loads((MODEL / "config.json").read_text())["preprocessing"]["normalization"]
    mean, std = (torch.tensor(normalization[key]).view(1, 3, 1, 1) for key in ["mean", "std"])
    data = webdataset.WebDataset(shards, shardshuffle=False, nodesplitter=None, empty_check=False).decode("rgb8")
    data = data.rename(picture="png;jpg;jpeg;webp").to_tuple("__url__", "picture").batched(256)
    codes, count = {}, 0
    with torch.inference_mode():
        for urls, batch in torch.utils.data.DataLoader(data, batch_size=None, num_workers=threads):
            pixels = (torch.as_tensor(np.asarray(batch)).permute(0, 3, 1, 2).to(torch.float32) / 255 - mean) / std
            features = model._pre_vq_conv(model._encoder(pixels)).permute(0, 2, 3, 1)
            rows = features.reshape(-1, features.shape[-1])
            found = model._vq_vae.nearest(rows, model._vq_vae.codebook()).reshape(features.shape[:3])
            for url, grid in zip(urls, found.numpy().astype(np.uint16)):
                codes.setdefault(url, []).append(grid)
            count += len(urls)
    out.mkdir()
    for url, grids in codes.items():
        np.save(out / (Path(url).stem + ".npy"), np.stack(grids))
    print(count)


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--pytorch":
        return by_pytorch(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    ksom, shards = Path(sys.argv[1]).resolve(), sys.argv[2]
    threads = sys.argv[3] if len(sys.argv) > 3 else str(os.cpu_count())
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    rates = {"ksom": [], "webdataset and PyTorch": []}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(3):
            out = [str(Path(folder) / f"{name}-{run}") for name in ("ksom", "pytorch")]
            commands = [
                [ksom, "encode", shards, "-o", out[0], "--model", MODEL, "--json", "--quiet"],
                [sys.executable, __file__, "--pytorch", shards, out[1], threads],
            ]
            for name, command in zip(rates, commands):
                begun = time.perf_counter()
                told = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
                seconds = time.perf_counter() - begun
                count = told if isinstance(told, int) else told["pictures"]
                rates[name].append(count / seconds)
                print(f"{name}: {count} pictures in {seconds:.2f} s, {count / seconds:.0f}/s", flush=True)
    best = [max(each) for each in rates.values()]
    print(f"best of three: {best[0] / best[1]:.2f}× with {threads} threads")


if __name__ == "__main__":
    main()
