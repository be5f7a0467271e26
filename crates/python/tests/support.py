"""What the tests share."""
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

#: The checkout's root.
ROOT = Path(__file__).resolve().parents[3]
IMAGES = sorted(path for path in (ROOT / "examples/images").iterdir() if path.suffix in (".png", ".jpg"))
MODELS = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.safetensors"))

TYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "U16": np.uint16,
         "U32": np.uint32}


def safetensors(path):
    """The arrays of a safetensors file, and its metadata."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    about = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(body[start:end], TYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    return arrays, about


def ksom(*arguments, check=True, **options):
    """Runs the command that the package brought along."""
    command = Path(sys.executable).with_name("ksom")
    found = str(command) if command.exists() else shutil.which("ksom")
    assert found, "the package should bring the command ksom"
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


def python(program, timeout=120, **options):
    """Runs a program in a new interpreter, and gives what it prints. A hang is a failure."""
    environment = {**os.environ, **options}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def noise(seed, height, width):
    """Pixels that no compression knows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def command_codes(path, picture, model):
    """The codes of the command as it writes them, by level."""
    ksom("encode", picture, "-o", path, "--model", model, "--quiet")
    arrays, _ = safetensors(path)
    return {name: level[0] for name, level in arrays.items()}
