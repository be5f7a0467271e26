"""Codes, files of them, and data sets of such files."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from ksom import _ksom
from ksom.arrays import Made, made, whole_numbers
from ksom.errors import InvalidError, WrongModelError

#: A picture's codes: an array [h, w], or one for each of two levels, by name.
PictureCodes = Union["Codes", Dict[str, "Codes"]]


class Codes(np.ndarray):
    """A level of a picture's codes, int64 [h, w]: an array like any other, which knows how large its picture is.

    Sides that are no multiple of the model's stride are padded to one; ``picture_size`` is what decoding crops back to.
    """

    #: Width and height of the picture in pixels, or None where the array has become another one.
    picture_size: Optional[Tuple[int, int]] = None

    def __array_finalize__(self, origin: Any) -> None:
        if origin is not None and origin.shape == self.shape:
            self.picture_size = getattr(origin, "picture_size", None)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array.ndim == 0:
            return array[()]
        if array.dtype.kind not in "iu" or array.shape != self.shape:
            return np.asarray(array)
        return of_size(array, self.picture_size)

    def __reduce__(self) -> Any:
        return of_size, (np.asarray(self), self.picture_size)


def of_size(array: np.ndarray, size: Optional[Tuple[int, int]]) -> Codes:
    """The array as codes of a picture of that width and height."""
    codes = array.view(Codes)
    codes.picture_size = size
    return codes


def from_native(native: Tuple[int, int, List[Made]], levels: Sequence[str]) -> PictureCodes:
    """A picture's codes as they are given out."""
    width, height, arrays = native
    codes = [of_size(made(array, np.int64), (width, height)) for array in arrays]
    return codes[0] if len(levels) == 1 else dict(zip(levels, codes))


def to_native(codes: Any, levels: Sequence[Tuple[str, int]], size: Any = None) -> Tuple[int, int, List[np.ndarray]]:
    """A picture's codes, an array or a dict, with its width and height: as asked, as they know, or all they cover."""
    names = [name for name, _ in levels]
    if isinstance(codes, dict):
        if sorted(codes) != sorted(names):
            raise InvalidError(f"expected codes of the levels {', '.join(names)}, found {', '.join(map(str, codes))}")
        given = [codes[name] for name in names]
    elif len(levels) == 1:
        given = [codes]
    else:
        raise InvalidError(f"expected a dict with codes of the levels {', '.join(names)}, found a {type(codes).__name__}")
    arrays = [whole_numbers(level, "codes") for level in given]
    for name, array in zip(names, arrays):
        if array.ndim != 2:
            raise InvalidError(f"{name}: a picture's codes have shape [h, w], found {list(array.shape)}")
    if size is None:
        size = next((level.picture_size for level in given if isinstance(level, Codes)), None)
    if size is None:
        (height, width), stride = arrays[0].shape, levels[0][1]
        size = (width * stride, height * stride)
    width, height = (int(side) for side in size)
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise InvalidError(f"a picture cannot be {width}×{height}")
    return width, height, arrays


class CodesFile:
    """A file of codes, as ``ksom encode`` writes it: ``len``, ``[i]`` (by number or name), ``names`` and ``sizes``."""

    def __init__(self, path: Union[str, os.PathLike]):
        self.path: Optional[str] = os.fspath(path)
        self._native = _ksom.CodesFile.read(self.path)
        self._places: Optional[Dict[str, int]] = None

    @classmethod
    def of(cls, model: Any, codes: Any, names: Optional[Sequence[str]] = None, *, sizes: Any = None) -> "CodesFile":
        """Codes of a model, to be saved; pictures without a name are numbered."""
        pictures, _ = model._given(codes, sizes)
        names = [str(name) for name in names] if names is not None else [str(number) for number in range(len(pictures))]
        file = cls.__new__(cls)
        file.path, file._places = None, None
        file._native = _ksom.CodesFile.of(model._native, names, pictures)
        return file

    def save(self, path: Union[str, os.PathLike], *, compress: bool = False) -> None:
        """Writes the file, as a whole or not at all; compressed it is about half as large."""
        self._native.write(os.fspath(path), compress)

    @property
    def names(self) -> List[str]:
        """The pictures' names."""
        return self._native.names

    @property
    def sizes(self) -> np.ndarray:
        """Width and height of each picture in pixels, int64 [N, 2]."""
        return made(self._native.sizes(), np.int64)

    @property
    def levels(self) -> Tuple[str, ...]:
        """Names of the levels, top first."""
        return tuple(self._native.levels)

    @property
    def grid(self) -> Optional[Tuple[int, ...]]:
        """The shape of the codebook's grid, first axis fastest; files of the first version do not tell."""
        return None if self._native.grid is None else tuple(self._native.grid)

    @property
    def num_codes(self) -> int:
        """Codes are below this number."""
        return self._native.num_codes

    @property
    def model(self) -> str:
        """The name of the model that made the codes."""
        return self._native.model

    @property
    def fingerprint(self) -> str:
        """What the codes mean: the fingerprint of the model that made them."""
        return self._native.fingerprint

    def array(self) -> Any:
        """All codes as one array [N, h, w], or one for each of two levels, by name."""
        codes = [_plain(self._native, number) for number in range(len(self))]
        shapes = {tuple(array.shape for array in arrays) for arrays in codes}
        if len(shapes) > 1:
            where = self.path or "the codes"
            raise InvalidError(f"{where}: pictures of several sizes have no one array: take them one by one")
        stacked = [np.stack(arrays) for arrays in zip(*codes)] or [np.zeros((0, 0, 0), np.int64) for _ in self.levels]
        return stacked[0] if len(self.levels) == 1 else dict(zip(self.levels, stacked))

    def __len__(self) -> int:
        return len(self._native)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self[number] for number in range(*key.indices(len(self)))]
        if isinstance(key, str):
            if self._places is None:
                self._places = {name: number for number, name in enumerate(self.names)}
            if key not in self._places:
                raise KeyError(key)
            key = self._places[key]
        return from_native(self._native.codes(place(key, len(self))), self.levels)

    def __iter__(self) -> Iterator[PictureCodes]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"CodesFile({self.path!r}, {len(self)} pictures by {self.model})"

    def __reduce__(self) -> Any:
        if self.path is None:
            raise TypeError("codes that are in no file cannot be pickled: save them, and open the file")
        return CodesFile, (os.path.abspath(self.path),)


def place(number: Any, length: int) -> int:
    """An index, counted from the end if negative."""
    index = number.__index__()
    if not -length <= index < length:
        raise IndexError(f"{index} of {length} pictures")
    return index % length


class CodesDataset:
    """The pictures of one or more files of codes, for ``torch.utils.data.DataLoader`` and whatever takes a sequence.

    ``path`` is a file, a folder (every ``.safetensors`` below it) or a list of them, all made by models of one
    codebook. ``[i]`` is an int64 array [h, w], or one for each of two levels, by name. A pickle holds the paths alone:
    worker processes open the files for themselves.
    """

    def __init__(self, path: Union[str, os.PathLike, Sequence[Union[str, os.PathLike]]]):
        paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        self.paths: List[str] = [file for given in paths for file in _files(Path(given))]
        self._open()

    def _open(self) -> None:
        self._files = [CodesFile(path) for path in self.paths]
        first = self._files[0]
        for file in self._files:
            if file.fingerprint != first.fingerprint:
                raise WrongModelError(
                    f"{file.path} holds codes of another codebook ({file.model}) than {first.path} ({first.model})"
                )
        self._ends = np.cumsum([len(file) for file in self._files])

    @property
    def names(self) -> List[str]:
        """The pictures' names."""
        return [name for file in self._files for name in file.names]

    @property
    def sizes(self) -> np.ndarray:
        """Width and height of each picture in pixels, int64 [N, 2]."""
        return np.concatenate([file.sizes for file in self._files])

    @property
    def levels(self) -> Tuple[str, ...]:
        """Names of the levels, top first."""
        return self._files[0].levels

    @property
    def grid(self) -> Optional[Tuple[int, ...]]:
        """The shape of the codebook's grid, first axis fastest."""
        return self._files[0].grid

    @property
    def num_codes(self) -> int:
        """Codes are below this number."""
        return max(file.num_codes for file in self._files)

    @property
    def fingerprint(self) -> str:
        """What the codes mean: the fingerprint of the model that made them."""
        return self._files[0].fingerprint

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: Any) -> Union[np.ndarray, Dict[str, np.ndarray]]:
        index = place(number, len(self))
        file = int(np.searchsorted(self._ends, index, side="right"))
        within = index - (int(self._ends[file]) - len(self._files[file]))
        arrays = _plain(self._files[file]._native, within)
        return arrays[0] if len(self.levels) == 1 else dict(zip(self.levels, arrays))

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __getstate__(self) -> Dict[str, Any]:
        return {"paths": [os.path.abspath(path) for path in self.paths]}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.paths = state["paths"]
        self._open()

    def __repr__(self) -> str:
        return f"CodesDataset({self.paths!r}, {len(self)} pictures)"


def _plain(native: _ksom.CodesFile, number: int) -> List[np.ndarray]:
    """A picture's codes, an array per level."""
    return [made(array, np.int64) for array in native.codes(number)[2]]


def _files(path: Path) -> List[str]:
    if not path.is_dir():
        return [os.fspath(path)]
    found = sorted(os.fspath(file) for file in path.rglob("*.safetensors"))
    if not found:
        raise InvalidError(f"{path}: expected files of codes (.safetensors, as `ksom encode` writes), found none")
    return found
