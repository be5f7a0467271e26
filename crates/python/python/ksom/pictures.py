"""Pictures of every form → files, or arrays uint8 [H, W, 3]."""
from __future__ import annotations

import os
from typing import Any, Iterable, List, Tuple, Union

import numpy as np

from ksom import _ksom
from ksom.arrays import given, made, to_numpy
from ksom.errors import InvalidError, PictureError

#: A file, or pixels.
Picture = Union[str, np.ndarray]


def find_pictures(*inputs: Union[str, os.PathLike]) -> List[str]:
    """The pictures that files, folders (with all below) and patterns (``photos/**/*.jpg``) name, sorted."""
    return [os.fspath(path) for path, _ in _ksom.find_pictures([os.fspath(name) for name in inputs])]


def is_path(value: Any) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def gathered(value: Any) -> Tuple[List[Picture], bool]:
    """Pictures in a list, and whether there is only one, which was not in a list."""
    if isinstance(value, (list, tuple)):
        pictures: List[Picture] = []
        for item in value:
            pictures.extend(_of_one(item))
        return pictures, False
    if is_path(value) or _is_pil(value):
        return _of_one(value), True
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        array = to_numpy(value)
        return _of_array(array), array.ndim < 4
    if isinstance(value, Iterable):
        return gathered(list(value))
    raise InvalidError(f"expected pictures: paths, PIL images, arrays or lists of them, found {type(value).__name__}")


def _of_one(value: Any) -> List[Picture]:
    if is_path(value):
        path = os.fsdecode(value)
        if os.path.isdir(path):
            raise InvalidError(f"{path} is a folder: ksom.find_pictures({path!r}) lists the pictures in it")
        return [path]
    if _is_pil(value):
        return [_of_pil(value)]
    if isinstance(value, (list, tuple)):
        return _of_array(np.asarray(value))
    if not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        raise InvalidError(f"expected a path, a PIL image or an array, found {type(value).__name__}")
    return _of_array(to_numpy(value))


def _of_array(array: np.ndarray) -> List[Picture]:
    if array.dtype != np.uint8:
        hint = "(x * 255).round().astype(numpy.uint8), if it is 0 to 1" if array.dtype.kind == "f" else "convert it first"
        raise InvalidError(f"pixels are uint8, 0 to 255, found {array.dtype}: {hint}")
    if array.ndim == 4:
        return [_rgb(picture) for picture in array]
    return [_rgb(array)]


def _rgb(array: np.ndarray) -> np.ndarray:
    """[H, W], [H, W, 1], [H, W, 3] or [H, W, 4] → [H, W, 3]."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        hint = "; channels come last: permute(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise InvalidError(f"pixels have shape [H, W, 3] (or [N, H, W, 3]), found {list(array.shape)}{hint}")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return made(_ksom.over_white(given(array)), np.uint8) if array.shape[2] == 4 else array


def _is_pil(value: Any) -> bool:
    # Without importing what nobody uses.
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def _of_pil(image: Any) -> np.ndarray:
    """As the same file would be read: upright, transparent parts over white."""
    from PIL import ImageOps

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise PictureError(f"a PIL image of mode {image.mode} does not say what is black and white: convert it first")
    image = ImageOps.exif_transpose(image)
    transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return _rgb(np.array(image.convert("RGBA" if transparent else "RGB")))
