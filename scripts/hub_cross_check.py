"""Checks `ksom pull` and `ksom push` against Python's `huggingface_hub`, on a Hub on this machine.

    cargo build --release --workspace --bins --examples
    python scripts/hub_cross_check.py target/release [MODEL_DIRECTORY]

Needs scripts/requirements.txt. It starts the loopback Hub of the tests; nothing leaves the machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL_FILES = ["config.json", "model.safetensors"]


def check(what, holds):
    print(f"{'ok  ' if holds else 'FAIL'}  {what}")
    if not holds:
        sys.exit(1)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    built = Path(sys.argv[1]).resolve()
    model = Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else ROOT / "models" / "cifar10-ksom"
    server = subprocess.Popen([built / "examples" / "hub_server"], stdout=subprocess.PIPE, text=True)
    try:
        endpoint, token, _ = server.stdout.readline().split()
        with tempfile.TemporaryDirectory() as folder:
            # Before huggingface_hub is imported: it reads them once.
            os.environ.update(HF_ENDPOINT=endpoint, HF_TOKEN=token, HF_HOME=f"{folder}/python", HF_HUB_OFFLINE="0")
            # The loopback Hub has no xet, without which large files go by LFS.
            os.environ["HF_HUB_DISABLE_XET"] = "1"
            run(built / "ksom", model, Path(folder), token)
    finally:
        server.kill()


def run(ksom, model, folder, token):
    from huggingface_hub import HfApi, ModelCard, get_safetensors_metadata, snapshot_download
    from safetensors.torch import load_file

    def command(*arguments, home="ksom", **variables):
        environment = {**os.environ, "HF_HOME": str(folder / home), **variables}
        finished = subprocess.run([ksom, *arguments, "--json"], env=environment, capture_output=True, text=True)
        check(f"ksom {' '.join(map(str, arguments))}", finished.returncode == 0 or print(finished.stderr))
        return json.loads(finished.stdout)

    def same(one, other, names=MODEL_FILES):
        return all((Path(one) / name).read_bytes() == (Path(other) / name).read_bytes() for name in names)

    # From ksom to Python. The card is to be ksom's own.
    source = folder / "model"
    source.mkdir()
    for name in [*MODEL_FILES, "metrics.jsonl"]:
        (source / name).write_bytes((model / name).read_bytes())
    config = json.loads((source / "config.json").read_text())
    config["provenance"].update(base_model="owner/base", base_revision="0" * 40)
    (source / "config.json").write_text(json.dumps(config))
    pushed = command("push", source, "owner/from-ksom", "--license", "mit", "--dataset", "cifar10")
    downloaded = snapshot_download("owner/from-ksom")
    check("Python downloads what ksom pushed", same(downloaded, source))
    check("Python sees the same commit", Path(downloaded).name == pushed["commit"])

    metadata = get_safetensors_metadata("owner/from-ksom")
    tensors = load_file(Path(downloaded) / "model.safetensors")
    names = set(metadata.files_metadata["model.safetensors"].tensors)
    check(f"get_safetensors_metadata finds {len(names)} tensors", names == set(tensors) and len(names) > 0)
    card = ModelCard.load("owner/from-ksom")
    data = card.data
    check("the card names license, library, task", (data.license, data.library_name) == ("mit", "candle"))
    check("the card names its data set and base model", (data.datasets, data.base_model) == (["cifar10"], "owner/base"))
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    print(f"      results of the card: {results}")
    check("the card's results are parsed", results.keys() == {"mse", "psnr", "ssim"})

    check("the Hub's own check of the card passes", card.validate() is None)

    # By name into an independent implementation.
    from pytorch_reference import Config, build

    network = build(Config.read(model / "config.json"))
    loaded = network.load_state_dict(tensors, strict=True)
    check("PyTorch takes the weights by name", not loaded.missing_keys and not loaded.unexpected_keys)

    # From Python to ksom.
    api = HfApi()
    api.create_repo("owner/from-python", private=True)
    api.upload_folder(repo_id="owner/from-python", folder_path=source)
    pulled = command("pull", "owner/from-python")
    check("ksom pulls what Python uploaded", same(pulled["folder"], source))
    check("ksom sees the same commit", pulled["commit"] == api.model_info("owner/from-python").sha)

    # The page as a static Space.
    from huggingface_hub import metadata_load

    space = command("push", source, "--space", "owner/page")
    page = Path(snapshot_download("owner/page", repo_type="space"))
    command("explore", source, "--export", folder / "site")
    paths = sorted(path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file())
    exported = sorted(path.relative_to(folder / "site").as_posix() for path in (folder / "site").rglob("*") if path.is_file())
    check(f"Python downloads the Space that ksom pushed, {len(paths)} files", paths == exported and same(page, folder / "site", paths))
    check("Python sees the same commit of it", page.name == space["commit"] == api.space_info("owner/page").sha)
    check("its card says that it is static", metadata_load(page / "README.md")["sdk"] == "static")
    api.create_repo("owner/made", repo_type="space", space_sdk="static")
    made = command("push", "--space", "owner/made")
    check("ksom pushes into a Space that Python made", not made["created"] and len(made["files"]) == len(paths) - 2)

    # Data sets, both ways.
    data(command, api, folder)

    # One cache for both.
    info = command("info", "owner/from-ksom", home="python", HF_HUB_OFFLINE="1")
    check("ksom uses Python's cache offline", info["commit"] == pushed["commit"])
    found = snapshot_download("owner/from-python", cache_dir=folder / "ksom" / "hub", local_files_only=True)
    check("Python uses ksom's cache offline", same(found, source))
    check("no token in either cache", not any(token in text for text in texts(folder)))


def data(command, api, folder):
    """A data set from Python to ksom, and tokens from ksom to Python."""
    import io
    import tarfile

    from huggingface_hub import snapshot_download
    from PIL import Image

    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        print(f"SKIPPED  data sets: {error}")
        return

    def png(number):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (number * 9, 255 - number * 9, 80)).save(file, "png")
        return file.getvalue()

    source = folder / "data set"
    (source / "plain_text").mkdir(parents=True)
    for split, numbers in [("train", range(20)), ("test", range(20, 25))]:
        images = [{"bytes": png(number), "path": None} for number in numbers]
        table = pyarrow.table({"img": images, "label": [number % 10 for number in numbers]})
        pyarrow.parquet.write_table(table, source / "plain_text" / f"{split}-00000-of-00001.parquet")
    api.create_repo("owner/data", repo_type="dataset")
    api.upload_folder(repo_id="owner/data", folder_path=source, repo_type="dataset")
    tiny = [part for field in ["hidden=8", "residual_layers=1", "residual_hidden=4", "num_codes=16", "dim=8", "batch_size=4"] for part in ["--set", field]]
    command("train", "--recipe", "cifar10", "--data", "hub:owner/data", "--out", folder / "trained", "--steps", "2", *tiny)
    files = ["plain_text/test-00000-of-00001.parquet", "plain_text/train-00000-of-00001.parquet"]
    found = Path(snapshot_download("owner/data", repo_type="dataset", cache_dir=folder / "ksom" / "hub", local_files_only=True))
    check("Python uses the data set in ksom's cache", all((found / name).read_bytes() == (source / name).read_bytes() for name in files))
    check("by the same commit", found.name == api.dataset_info("owner/data").sha)

    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "000.tar", "w") as tar:
        for number in range(10):
            info = tarfile.TarInfo(f"{number:03}.png")
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))
    command("encode", folder / "shards", "-o", folder / "tokens", "--size", "32x32", "--model", "cifar10-ksom")
    pushed = command("push-data", folder / "tokens", "owner/tokens", "--license", "cc0-1.0")
    found = Path(snapshot_download("owner/tokens", repo_type="dataset"))
    same = all((found / path.name).read_bytes() == path.read_bytes() for path in (folder / "tokens").iterdir())
    check("Python downloads the tokens that ksom pushed", same and found.name == pushed["commits"][-1])
    from huggingface_hub import DatasetCard

    card = DatasetCard.load("owner/tokens").data.to_dict()
    check("their card is parsed", card["license"] == "cc0-1.0" and card["configs"][0]["data_files"][0]["path"] == "**/*.parquet")
    columns = {column["name"]: column["dtype"] for column in card["dataset_info"]["features"]}
    check("and says their shape", columns["codes"] == {"array2_d": {"shape": [8, 8], "dtype": "uint16"}})


def texts(folder):
    """The contents of every file, read as Latin-1."""
    return [path.read_text("latin-1") for path in folder.rglob("*") if path.is_file() and path.name != "token"]


if __name__ == "__main__":
    main()
