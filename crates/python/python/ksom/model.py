"""Models: pictures → codes → pictures."""
from __future__ import annotations

import json
import os
from itertools import groupby
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ksom import _ksom
from ksom.arrays import given, given_state, made, made_state, to_numpy
from ksom.codes import CodesDataset, CodesFile, from_native, to_native
from ksom.errors import InvalidError
from ksom.pictures import gathered


class Model:
    """A VQ-VAE or VQ-VAE-2 for inference; :meth:`from_pretrained` loads one.

    It can be used by several threads at a time, in processes that were forked or spawned, and be pickled.
    """

    def __init__(self, native: _ksom.Model):
        self._native = native
        self._levels: List[Tuple[str, int]] = native.levels
        self._names = [name for name, _ in self._levels]

    @classmethod
    def from_pretrained(cls, name: Union[str, os.PathLike], *, device: str = "cpu", portable: bool = False) -> "Model":
        """A model by its name: a folder, a built-in model, or ``owner/name[@revision]`` on the Hugging Face Hub.

        ``device`` is ``cpu``, or ``cuda`` or ``metal`` where the package was built with it; ``portable`` computes by
        candle's own operations alone, as on these devices.
        """
        return cls(_ksom.Model.from_pretrained(os.fspath(name), device, portable))

    def encode(self, pictures: Any) -> Any:
        """The codes of pictures, int64 [h, w] each; of a model of two levels, a dict of them by level.

        A picture is a path, a PIL image or an array uint8 [H, W, 3] (NumPy's, torch's, or any that knows DLPack); a list
        of pictures or a batch [N, H, W, 3] gives a list. Files are decoded on other threads meanwhile. Gray pixels
        [H, W] and transparent ones [H, W, 4] are brought to RGB as files are.
        """
        several, single = gathered(pictures)
        native: List[Any] = []
        for are_files, run in groupby(several, lambda picture: isinstance(picture, str)):
            run_of: List[Any] = list(run)
            native.extend(self._native.encode_files(run_of) if are_files else self._native.encode([*map(given, run_of)]))
        codes = [from_native(picture, self._names) for picture in native]
        return codes[0] if single else codes

    def decode(self, codes: Any, *, sizes: Optional[Sequence[Any]] = None) -> Any:
        """Pictures of codes, uint8 [H, W, 3] each.

        ``codes`` is what :meth:`encode` gives, arrays of any library and integer type ([h, w], or [N, h, w] for several
        pictures), or a file or data set of codes. ``sizes`` is (width, height) of the pictures, one for all or one for
        each; without it they are as large as their codes know, or as their codes cover.
        """
        several, single = self._given(codes, sizes)
        pictures = [made(picture, np.uint8) for picture in self._native.decode(several)]
        return pictures[0] if single else pictures

    def _given(self, codes: Any, sizes: Any) -> Tuple[List[Any], bool]:
        """Codes of every form as a list of pictures, and whether there is only one, which was not in a list."""
        if isinstance(codes, (CodesFile, CodesDataset)):
            files = [codes] if isinstance(codes, CodesFile) else codes._files
            for file in files:
                file._native.check(self._native, file.path or "the codes")
            codes = [picture for file in files for picture in file]
        pictures, single = self._pictures(codes)
        if sizes is None:
            each: List[Any] = [None] * len(pictures)
        elif len(sizes) == 2 and all(np.ndim(side) == 0 for side in sizes):
            each = [sizes] * len(pictures)
        elif len(sizes) == len(pictures):
            each = list(sizes)
        else:
            raise InvalidError(f"expected sizes of {len(pictures)} pictures, found {len(sizes)}")
        whole = (to_native(picture, self._levels, size) for picture, size in zip(pictures, each))
        return [(width, height, [given(level) for level in levels]) for width, height, levels in whole], single

    def _pictures(self, codes: Any) -> Tuple[List[Any], bool]:
        if isinstance(codes, dict):
            levels = {name: _array(level) for name, level in codes.items()}
            if all(level.ndim == 3 for level in levels.values()) and levels:
                if len({len(level) for level in levels.values()}) > 1:
                    raise InvalidError("each level should have codes of as many pictures")
                return [dict(zip(levels, picture)) for picture in zip(*levels.values())], False
            return [levels], True
        if isinstance(codes, (list, tuple)):
            return list(codes), False
        array = _array(codes)
        return (list(array), False) if array.ndim == 3 else ([array], True)

    def reconstruct(self, pictures: Any) -> Any:
        """Pictures → codes → pictures."""
        return self.decode(self.encode(pictures))

    @property
    def name(self) -> str:
        """The name that the model was loaded by."""
        return self._native.name

    @property
    def config(self) -> Dict[str, Any]:
        """What the model is: its ``config.json``."""
        return json.loads(self._native.config_json)

    @property
    def levels(self) -> Tuple[str, ...]:
        """Names of the levels of codes, top first: ``codes``, or ``codes_top`` and ``codes_bottom``."""
        return tuple(self._names)

    @property
    def strides(self) -> Tuple[int, ...]:
        """How many pixels a code of each level is wide and high."""
        return tuple(stride for _, stride in self._levels)

    @property
    def grid(self) -> Tuple[int, ...]:
        """The shape of the codebook's grid, first axis fastest: on (W, H), code k lies at column k % W, row k // W."""
        return tuple(self.config["quantizer"]["grid"])

    @property
    def num_codes(self) -> int:
        """Codes are below this number."""
        return self.config["quantizer"]["num_codes"]

    @property
    def codebook(self) -> Any:
        """The codebook, float32 [K, D] (read-only, the model's own memory); of two levels, a dict by level."""
        codebooks = [np.asarray(self._native.codebook(level)) for level in range(len(self._levels))]
        return codebooks[0] if len(codebooks) == 1 else dict(zip(self._names, codebooks))

    @property
    def codebook_map(self) -> Any:
        """The codebook as a map: [rows, columns, D] (on a grid of more axes, the last one first)."""
        shape = (*reversed(self.grid), -1)
        codebook = self.codebook
        if isinstance(codebook, dict):
            return {name: level.reshape(shape) for name, level in codebook.items()}
        return codebook.reshape(shape)

    @property
    def fingerprint(self) -> str:
        """What codes of this model mean: models with the same one understand each other's codes."""
        return self._native.fingerprint

    def state(self) -> Dict[str, np.ndarray]:
        """Every tensor of ``model.safetensors`` by name, float32, copied."""
        return made_state(self._native.state())

    def save(self, folder: Union[str, os.PathLike], *, half: bool = False) -> None:
        """Writes a model directory, ``config.json`` and ``model.safetensors``; ``half`` stores weights as float16."""
        self._native.save(os.fspath(folder), half)

    def export_onnx(
        self, folder: Union[str, os.PathLike], *, half: bool = False, dtype: str = "f32", normalization: bool = True
    ) -> List[str]:
        """Writes ``encoder.onnx`` and ``decoder.onnx`` for other runtimes, and gives their paths.

        ``half`` stores weights as float16; ``dtype="f16"`` computes in it, too, and some codes differ. Without
        ``normalization`` pixels are in the network's units outside. docs/onnx.md has the files' interface.
        """
        if dtype not in ("f32", "f16"):
            raise InvalidError(f"dtype is f32 or f16, found {dtype}")
        written = self._native.export_onnx(os.fspath(folder), half, dtype == "f16", normalization)
        return [os.fspath(path) for path in written]

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.num_codes} codes on a grid of {'×'.join(map(str, self.grid))})"

    def __reduce__(self) -> Any:
        # A built-in model is everywhere; others travel with their weights.
        parts = None if self._native.builtin else (self._native.config_json, self.state())
        return _unpickled, (self.name, parts, self._native.device, self._native.portable)


def _array(codes: Any) -> np.ndarray:
    return codes if isinstance(codes, np.ndarray) else to_numpy(codes)


def _unpickled(name: str, parts: Optional[Tuple[str, Dict[str, np.ndarray]]], device: str, portable: bool) -> Model:
    if parts is None:
        return Model(_ksom.Model.from_pretrained(name, device, portable))
    return Model(_ksom.Model.from_state(name, parts[0], given_state(parts[1]), device, portable))
