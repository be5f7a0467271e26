"""Training and fine-tuning."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from ksom import _ksom
from ksom.model import Model
from ksom.progress import Progress

Path = Union[str, os.PathLike]
#: Is told each event, a dict with its ``kind`` (started, step, validating, validated, checkpoint); False ends the training.
OnEvent = Callable[[Dict[str, Any]], Optional[bool]]


@dataclass
class Summary:
    """How a training ended."""

    #: The run directory: a model directory with the best model so far.
    run: str
    #: Steps done, and steps that the recipe has.
    steps: int
    of: int
    #: Whether it was asked to stop.
    stopped: bool
    #: Whether it ended since validation had stopped getting better.
    early: bool
    #: The best validation so far: its ``step`` and its ``mse`` in normalized units.
    best: Optional[Dict[str, Any]]

    def model(self, **options: Any) -> Model:
        """The best model so far."""
        return Model.from_pretrained(self.run, **options)


def train(
    recipe: Optional[Path] = None,
    data: Optional[Path] = None,
    out: Path = "",
    *,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
    overrides: Optional[Mapping[str, Any]] = None,
    resume: bool = False,
    on_event: Optional[OnEvent] = None,
    progress: bool = True,
    skip_unreadable: bool = False,
    cache: Optional[Path] = None,
    device: str = "cpu",
) -> Summary:
    """Trains a model from scratch into the run directory ``out``, or goes on with the training there (``resume``).

    ``recipe`` is a name (see :func:`ksom.recipes`) or a file, ``data`` a path or ``KIND:PATH``, as the command takes
    them; ``overrides`` are other values of the recipe's fields. Ctrl-C writes a checkpoint and raises
    ``KeyboardInterrupt``; so does an exception of ``on_event``.
    """
    asked = _asked(recipe, data, out, steps, seed, overrides, resume, skip_unreadable, cache, device)
    with Progress(progress) as bar:
        told = _ksom.train(asked, _listener(bar, on_event))
    return _summary(out, told)


def finetune(
    model: Path,
    data: Optional[Path] = None,
    out: Path = "",
    *,
    recipe: Optional[Path] = None,
    only: Optional[str] = None,
    num_codes: Optional[int] = None,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
    overrides: Optional[Mapping[str, Any]] = None,
    resume: bool = False,
    on_event: Optional[OnEvent] = None,
    progress: bool = True,
    skip_unreadable: bool = False,
    cache: Optional[Path] = None,
    device: str = "cpu",
) -> Summary:
    """Trains a model on: a folder, a built-in name, or ``owner/name[@revision]``. ``only`` lets the ``decoder`` or the
    ``codebook`` learn alone; ``num_codes`` stretches the map to that many codes first. The rest is as :func:`train`
    has it; without a recipe it is ``finetune``.

    What was tuned should be judged on pictures that it has not seen: ``ksom finetune`` does so."""
    overrides = dict(overrides or {})
    if only is not None:
        overrides["training.only"] = only
    if recipe is None and not resume:
        recipe = "finetune"
    asked = _asked(recipe, data, out, steps, seed, overrides, resume, skip_unreadable, cache, device, num_codes)
    name = model.name if isinstance(model, Model) else os.fspath(model)
    with Progress(progress) as bar:
        told = _ksom.finetune(name, asked, _listener(bar, on_event))
    return _summary(out, told)


def _asked(
    recipe: Optional[Path],
    data: Optional[Path],
    out: Path,
    steps: Optional[int],
    seed: Optional[int],
    overrides: Optional[Mapping[str, Any]],
    resume: bool,
    skip_unreadable: bool,
    cache: Optional[Path],
    device: str,
    num_codes: Optional[int] = None,
) -> Dict[str, Any]:
    if not os.fspath(out):
        raise TypeError("a training needs a run directory: out")
    fields = dict(overrides or {})
    if steps is not None:
        fields["training.steps"] = steps
    if seed is not None:
        fields["training.seed"] = seed
    plain: List[str] = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in fields.items()
    ]
    return {
        "recipe": None if recipe is None else os.fspath(recipe),
        "data": None if data is None else os.fspath(data),
        "out": os.fspath(out),
        "overrides": plain,
        "num_codes": num_codes,
        "resume": resume,
        "skip_unreadable": skip_unreadable,
        "cache": None if cache is None else os.fspath(cache),
        "device": device,
    }


def _listener(bar: Progress, on_event: Optional[OnEvent]) -> Callable[[str], bool]:
    def listen(told: str) -> bool:
        event = json.loads(told)
        bar.tell(event)
        return on_event is None or on_event(event) is not False

    return listen


def _summary(out: Path, told: str) -> Summary:
    fields = json.loads(told)
    names = ("steps", "of", "stopped", "early", "best")
    return Summary(run=os.fspath(out), **{name: fields.get(name) for name in names})
