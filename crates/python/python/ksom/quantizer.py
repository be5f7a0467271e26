"""The paper's quantizer by itself, on NumPy's arrays or torch's tensors."""
from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional, Sequence

import numpy as np

from ksom import _ksom
from ksom._ksom import Observation
from ksom.arrays import given, given_state, like, made, made_state, numbers, whole_numbers


class Quantized(NamedTuple):
    """What a quantizer makes of a batch."""

    #: The chosen vectors of the codebook, of the input's shape.
    output: Any
    #: The chosen codes: [N] for rows, [N, H, W] for maps.
    codes: Any
    #: What is to be added to a model's loss.
    loss: float
    #: How many codes the batch uses evenly, as it were.
    perplexity: float


def config_of(num_codes: int, dim: int, neighborhood: str, grid: Optional[Sequence[int]], options: Dict[str, Any]) -> Dict:
    """A quantizer's configuration, with an automatic grid of two axes where none is given."""
    shape = [int(axis) for axis in grid] if grid is not None else _ksom.auto_grid(num_codes, 2)
    return {"kind": "ksom", "num_codes": num_codes, "dim": dim, "neighborhood": neighborhood, "grid": shape, **options}


class Quantizer:
    """K vectors of dimension D on a grid, which learn by moving averages over a neighborhood: KSOM, or EMA-VQ where the
    neighborhood is ``none``.

    Inputs are rows [N, D] or maps [N, D, H, W], of NumPy or torch; results are of the same library. A training step is
    :meth:`forward` and :meth:`observe` for each part of a batch, then one :meth:`step` with the sum of what was observed.
    ``options`` are the other fields of a model's quantizer: ``shrink_step``, ``gaussian_base``, ``decay``, ``epsilon``,
    ``commitment``, ``counter_init``, ``skip_unused``, ``similarity``, ``revive_below``. No gradient leads through it; :class:`ksom.torch.KSOM` has one.
    """

    def __init__(
        self,
        num_codes: int,
        dim: int,
        neighborhood: str = "hard",
        *,
        grid: Optional[Sequence[int]] = None,
        seed: int = 0,
        **options: Any,
    ):
        config = config_of(num_codes, dim, neighborhood, grid, options)
        self._native = _ksom.Quantizer.seeded(json.dumps(config), seed)

    @property
    def config(self) -> Dict[str, Any]:
        """The configuration, as a model's ``config.json`` holds it."""
        return json.loads(self._native.config_json)

    @property
    def grid(self) -> tuple:
        """The shape of the grid, first axis fastest."""
        return tuple(self.config["grid"])

    @property
    def codebook(self) -> np.ndarray:
        """The codebook, float32 [K, D], copied: it moves with each step."""
        return made(self._native.codebook(), np.float32)

    @property
    def steps(self) -> int:
        """Training steps done."""
        return self._native.steps

    def assign(self, x: Any) -> Any:
        """The nearest code of each vector."""
        return like(made(self._native.assign(given(numbers(x))), np.int64), x)

    def lookup(self, codes: Any) -> Any:
        """The codebook's vectors of codes of any shape S: S + [D]."""
        return like(made(self._native.lookup(given(whole_numbers(codes, "codes"))), np.float32), codes)

    def forward(self, x: Any) -> Quantized:
        """Quantizes with the codebook as it is; changes nothing."""
        output, codes, loss, perplexity = self._native.forward(given(numbers(x)))
        return Quantized(like(made(output, np.float32), x), like(made(codes, np.int64), x), loss, perplexity)

    __call__ = forward

    def observe(self, x: Any, codes: Any) -> Observation:
        """What is to be learned from ``x`` with its codes; changes nothing. Those of a batch's parts are added by ``+``."""
        return self._native.observe(given(numbers(x)), given(whole_numbers(codes, "codes")))

    def step(self, observation: Observation) -> None:
        """Learns from what was observed, and counts the step."""
        self._native.step(observation)

    def state(self) -> Dict[str, np.ndarray]:
        """What a checkpoint holds, by the names of the paper's."""
        return made_state(self._native.state())

    def __repr__(self) -> str:
        config = self.config
        return f"Quantizer({config['num_codes']}, {config['dim']}, {config['neighborhood']!r}, grid={self.grid})"

    def __reduce__(self) -> Any:
        return _unpickled, (self._native.config_json, self.state())


def _unpickled(config: str, state: Dict[str, np.ndarray]) -> Quantizer:
    quantizer = Quantizer.__new__(Quantizer)
    quantizer._native = _ksom.Quantizer.from_state(config, given_state(state))
    return quantizer
