"""Pictures of models and trainings, as PIL images, which notebooks show."""
from __future__ import annotations

import os
from typing import Any, List, Optional, Sequence, Union

import numpy as np

from ksom import _ksom
from ksom.arrays import Made, made
from ksom.codes import CodesDataset, CodesFile
from ksom.errors import InvalidError

__all__ = ["curves", "map", "neighborhoods", "side_by_side", "usage"]


def _image(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _drawn(native: Made) -> Any:
    return _image(made(native, np.uint8))


def _level(model: Any, level: Optional[str]) -> int:
    """The number of a level; without a name the last, whose codes say what things look like."""
    if level is None:
        return len(model.levels) - 1
    names = {name: number for number, name in enumerate(model.levels)}
    names.update({name.replace("codes_", ""): number for name, number in names.items()})
    if level not in names:
        raise InvalidError(f"expected a level of {', '.join(model.levels)}, found {level}")
    return names[level]


def map(model: Any, *, level: Optional[str] = None, fixed: Optional[int] = None, enlarge: int = 2) -> Any:  # noqa: A001
    """What each code looks like, decoded alone, in its place on the grid.

    Of a model of two levels, ``level`` is shown (the bottom one if none is named), and ``fixed`` fills the other (the
    code that training has used most).
    """
    return _drawn(_ksom.code_map(model._native, _level(model, level), fixed, enlarge, model.name))


def usage(model: Any, codes: Any, *, level: Optional[str] = None, cell: int = 8) -> Any:
    """How often each code is used: the darker, the more often; gray where never. ``codes`` is what ``encode`` gives, a
    file or a data set of codes."""
    number = _level(model, level)
    name = model.levels[number]
    pictures = codes if isinstance(codes, (list, tuple, CodesFile, CodesDataset)) else model._pictures(codes)[0]
    counts = np.zeros(model.num_codes, np.int64)
    for picture in pictures:
        of_level = np.asarray(picture[name] if isinstance(picture, dict) else picture).ravel()
        if of_level.size and not 0 <= of_level.min() <= of_level.max() < model.num_codes:
            raise InvalidError(f"expected codes below {model.num_codes}, found {of_level.min()} to {of_level.max()}")
        counts += np.bincount(of_level, minlength=model.num_codes)
    return _drawn(_ksom.usage_map(list(model.grid), counts.tolist(), cell))


def neighborhoods(model: Any, *, steps: Sequence[int] = (0, 10, 100, 1000), cell: int = 4) -> Any:
    """Which codes learn along with the one in the middle, after so many steps."""
    import json

    return _drawn(_ksom.neighborhoods(json.dumps(model.config["quantizer"]), list(steps), cell))


def curves(*runs: Union[str, os.PathLike]) -> Any:
    """Loss, validation loss and perplexity of trainings, by their run directories."""
    return _drawn(_ksom.training_curves([(os.path.basename(os.path.normpath(run)), os.fspath(run)) for run in runs]))


def side_by_side(*pictures: Any, gap: int = 4) -> Any:
    """Pictures uint8 [H, W, 3] in a row, on white."""
    arrays: List[np.ndarray] = [np.asarray(picture) for picture in pictures]
    height = max(array.shape[0] for array in arrays)
    width = sum(array.shape[1] for array in arrays) + gap * (len(arrays) - 1)
    sheet = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for array in arrays:
        sheet[: array.shape[0], left : left + array.shape[1]] = array
        left += array.shape[1] + gap
    return _image(sheet)
