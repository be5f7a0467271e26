"""Checks that Python reads the tokens of ksom: `datasets`, `webdataset`, NumPy and `safetensors`, and a PyTorch Dataset.

    python scripts/read_tokens.py target/release/ksom FOLDER_OF_PICTURES

Needs datasets, webdataset, numpy, safetensors, pillow, pyarrow and torch; what is missing is skipped, and said. It makes three
shards of the first 60 pictures of the folder (all of one size) in a temporary folder; nothing leaves the machine.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
MODEL = "cifar10-ksom"


def check(what, holds):
    print(f"{'ok  ' if holds else 'FAIL'}  {what}")
    if not holds:
        sys.exit(1)


def shards(pictures, folder):
    """Three tar files; gives keys and classes."""
    keys = {}
    for number in range(3):
        with tarfile.open(folder / f"{number:06}.tar", "w") as tar:
            for index, path in enumerate(pictures[20 * number : 20 * number + 20]):
                key = f"{number}/{index:04}"
                keys[key] = index % 10
                for name, content in [(f"{key}{path.suffix}", path.read_bytes()), (f"{key}.cls", str(index % 10).encode())]:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return keys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ksom, source = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    pictures = sorted(path for path in source.rglob("*") if path.suffix in [".png", ".jpg"])[:60]
    check(f"60 pictures in {source}", len(pictures) == 60)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "shards").mkdir()
        keys = shards(pictures, folder / "shards")
        for form in ["parquet", "tar", "safetensors"]:
            command = [ksom, "encode", folder / "shards", "-o", folder / form, "--form", form, "--size", "32x32", "--model", MODEL]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        read(folder, keys)


def read(folder, keys):
    import numpy

    # NumPy, of a tar file's members.
    by_key, labels = {}, {}
    for number in range(3):
        with tarfile.open(folder / "tar" / f"{number:06}.tar") as tar:
            for member in tar:
                key, _, extension = member.name.rpartition("/")[2].partition(".")
                key = f"{member.name.rpartition('/')[0]}/{key}"
                if extension == "codes.npy":
                    by_key[key] = numpy.load(io.BytesIO(tar.extractfile(member).read()))
                elif extension == "cls":
                    labels[key] = int(tar.extractfile(member).read())
    check("NumPy reads codes of all keys", by_key.keys() == keys.keys())
    check("codes are uint16 of 8×8", all((c.shape, c.dtype) == ((8, 8), numpy.uint16) for c in by_key.values()))
    check("classes are kept", labels == keys)

    try:
        from safetensors import safe_open
    except ImportError as error:
        print(f"SKIPPED  safetensors: {error}")
    else:
        same = True
        for number in range(3):
            with safe_open(folder / "safetensors" / f"{number:06}.safetensors", "numpy") as file:
                names = json.loads(file.metadata()["ksom"])["names"]
                codes = file.get_tensor("codes")
            same &= all((codes[i] == by_key[name]).all() for i, name in enumerate(names)) and len(names) == 20
        check("safetensors reads the same codes", same)

    try:
        import datasets
    except ImportError as error:
        print(f"SKIPPED  datasets: {error}")
    else:
        cache = str(folder / "cache")
        files = sorted(str(path) for path in (folder / "parquet").glob("*.parquet"))
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
        print(f"      {loaded.features['codes']}, label {loaded.features['label']}")
        check("codes are rows of uint16", loaded.features["codes"] == datasets.List(datasets.List(datasets.Value("uint16"))))
        array = loaded.with_format("numpy")
        check("datasets reads the same codes", all((row["codes"] == by_key[row["key"]]).all() for row in array))
        check("in one array", array[:]["codes"].shape == (60, 8, 8))
        check("and the same classes", dict(zip(loaded["key"], loaded["label"])) == keys)
        fixed = loaded.cast_column("codes", datasets.Array2D((8, 8), "uint16"))
        check("and as arrays of a fixed shape", (fixed.with_format("numpy")[3]["codes"] == array[3]["codes"]).all())
        streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True, cache_dir=cache)
        check("datasets streams them", sum(1 for _ in streamed) == 60)

    try:
        import webdataset
    except ImportError as error:
        print(f"SKIPPED  webdataset: {error}")
    else:
        pattern = str(folder / "tar") + "/{000000..000002}.tar"
        found = {}
        for sample in webdataset.WebDataset(pattern, shardshuffle=False).decode():
            found[sample["__key__"]] = (sample["codes.npy"], sample["cls"])
        check("webdataset finds the keys", found.keys() == keys.keys())
        check("and the codes", all((codes == by_key[key]).all() for key, (codes, _) in found.items()))

    try:
        import torch
    except ImportError as error:
        print(f"SKIPPED  PyTorch: {error}")
    else:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "python"))
        from tokens_dataset import Tokens

        data = Tokens(str(folder / "parquet"))
        batch, classes = next(iter(torch.utils.data.DataLoader(data, batch_size=16)))
        check("a PyTorch Dataset gives batches", (batch.shape, batch.dtype) == ((16, 8, 8), torch.int64))
        check("of all pictures", len(data) == 60 and classes.tolist() == [index % 10 for index in range(16)])


main()
