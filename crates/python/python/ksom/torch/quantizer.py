"""The paper's quantizer as a layer."""
from __future__ import annotations

import json
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor, nn

from ksom import _ksom
from ksom.arrays import given, made
from ksom.errors import InvalidError
from ksom.quantizer import config_of

#: Rows that are compared with all codes at a time, in plain torch.
ROWS = 4096
#: Elements of a tile of the gaussian neighborhood.
TILE = 1 << 22


class Quantized(NamedTuple):
    """What the layer makes of a batch."""

    #: The chosen vectors, in the input's shape and type; the gradient goes straight through to the input.
    output: Tensor
    #: The chosen codes, int64: [N] for rows, [N, T] for sequences, [N, H, W] for maps.
    codes: Tensor
    #: What is to be added to the model's loss.
    loss: Tensor
    #: exp of the entropy of the batch's codes.
    perplexity: Tensor


class KSOM(nn.Module):
    """K vectors of dimension D on a grid, which learn by moving averages over a shrinking neighborhood; EMA-VQ where the
    neighborhood is ``none``.

    Takes rows [N, D], sequences [N, T, D] and maps [N, D, H, W]. In training mode each forward pass is a step of the
    codebook, as with batch norm; with ``auto_step=False`` it only observes, and :meth:`step` ends the step, for batches
    that come in parts. Sums are added over all processes of ``torch.distributed``, so codebooks stay equal. The update
    is O(N D) and, on the grid, O(K D) (O(K² D) where the neighborhood is gaussian). f32 on the CPU goes through ksom's
    kernels, everything else through plain torch.

    The buffers have the names of the paper's checkpoints, so ksom's weights load by name. arXiv 2302.07950, sections 2
    and 3.
    """

    _w: Tensor
    _ema_w: Tensor
    _ema_cluster_size: Tensor
    counter: Tensor

    def __init__(
        self,
        num_codes: int,
        dim: int,
        neighborhood: str = "hard",
        *,
        grid: Optional[Sequence[int]] = None,
        shrink_step: float = 0.1,
        gaussian_base: float = 10.0,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        commitment: float = 0.25,
        counter_init: float = 1.0,
        skip_unused: bool = False,
        auto_step: bool = True,
    ):
        super().__init__()
        options = {
            "shrink_step": shrink_step,
            "gaussian_base": gaussian_base,
            "decay": decay,
            "epsilon": epsilon,
            "commitment": commitment,
            "counter_init": counter_init,
            "skip_unused": skip_unused,
        }
        self.config = config_of(num_codes, dim, neighborhood, grid, options)
        _ksom.check_quantizer(json.dumps(self.config))
        self.auto_step = auto_step
        self.register_buffer("_w", torch.randn(num_codes, dim))
        self.register_buffer("_ema_w", self._w.clone())
        self.register_buffer("_ema_cluster_size", torch.full((num_codes,), float(counter_init)))
        self.register_buffer("counter", torch.zeros(()))
        self._seen: Optional[Tensor] = None

    @property
    def codebook(self) -> Tensor:
        """The codebook [K, D]."""
        return self._w

    def forward(self, x: Tensor) -> Quantized:
        rows = self._rows(x)
        codes = self._nearest(rows.detach())
        chosen = self._w[codes]
        distance = F.mse_loss(rows, chosen)
        if self.training:
            self.observe(rows, codes)
            if self.auto_step:
                self.step()
        # x − x is exactly zero, so the output is exactly the chosen vectors.
        output = self._restore((chosen + (rows - rows.detach())), x).to(x.dtype)
        counts = torch.bincount(codes, minlength=len(self._w)).to(chosen.dtype)
        p = counts / len(rows)
        perplexity = torch.exp(-(p * torch.log(p + 1e-10)).sum())
        return Quantized(output, self._positions(codes, x), self.config["commitment"] * distance, perplexity)

    def encode(self, x: Tensor) -> Tensor:
        """The nearest codes, and nothing else."""
        return self._positions(self._nearest(self._rows(x).detach()), x)

    def decode(self, codes: Tensor) -> Tensor:
        """The vectors of codes: [N, D] of [N], [N, T, D] of [N, T], maps [N, D, H, W] of [N, H, W]."""
        vectors = self._w[codes]
        return vectors.movedim(-1, 1) if codes.ndim == 3 else vectors

    @torch.no_grad()
    def observe(self, rows: Tensor, codes: Tensor) -> None:
        """Adds what is to be learned from rows [N, D] with their codes to what the next step learns."""
        seen = torch.cat(_sums(rows.detach(), codes.flatten(), len(self._w)), 1)
        self._seen = seen if self._seen is None else self._seen + seen

    @torch.no_grad()
    def step(self) -> None:
        """Ends a training step: the codebook learns from what was observed, and the neighborhood shrinks."""
        seen = self._seen if self._seen is not None else torch.zeros(
            len(self._w), self._w.shape[1] + 1, device=self._w.device
        )
        self._seen = None
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(seen)
        spread = seen + self._others(seen)
        d, n = spread[:, :-1], spread[:, -1:]
        decay, epsilon = self.config["decay"], self.config["epsilon"]
        old_c, old_m = self._ema_cluster_size[:, None], self._ema_w
        c = old_c * decay + n * (1 - decay)
        m = old_m * decay + d * (1 - decay)
        if self.config["skip_unused"]:
            used = n > 0
            w = torch.where(used, m / c, self._w)
            c, m = torch.where(used, c, old_c), torch.where(used, m, old_m)
        else:
            total = c.sum()
            c = (c + epsilon) / (total + len(self._w) * epsilon) * total
            w = m / c
        self._ema_cluster_size.copy_(c[:, 0])
        self._ema_w.copy_(m)
        self._w.copy_(w)
        self.counter.add_(1)

    def _others(self, x: Tensor) -> Tensor:
        """(A_t − I) · x of x [K, C]: what each code learns from those around it."""
        shrink = 1 + float(self.counter) * self.config["shrink_step"]
        kind = self.config["neighborhood"]
        if kind == "none":
            return torch.zeros_like(x)
        if kind == "hard":
            return _sum_of_neighbors(x, self.config["grid"]) / shrink
        return _gaussian(x, self.config["grid"], -shrink / self.config["gaussian_base"])

    def _nearest(self, rows: Tensor) -> Tensor:
        """The nearest code of each row [N, D]."""
        if rows.device.type == "cpu" and rows.dtype == torch.float32 == self._w.dtype:
            codes = _ksom.nearest(given(rows.numpy()), given(self._w.numpy()))
            return torch.from_numpy(made(codes, np.int64))
        # In f64, where there is one, rounding decides nothing.
        exact = torch.float32 if rows.device.type == "mps" else torch.float64
        w = self._w.to(exact)
        squared = (w * w).sum(1)
        return torch.cat([(squared - 2 * part.to(exact) @ w.T).argmin(1) for part in rows.split(ROWS)])

    def _rows(self, x: Tensor) -> Tensor:
        dim = self._w.shape[1]
        if x.ndim == 4 and x.shape[1] == dim:
            return x.permute(0, 2, 3, 1).reshape(-1, dim).to(self._w.dtype)
        if x.ndim in (2, 3) and x.shape[-1] == dim:
            return x.reshape(-1, dim).to(self._w.dtype)
        expected = f"[N, {dim}], [N, T, {dim}] or [N, {dim}, H, W]"
        raise InvalidError(f"expected a tensor of shape {expected}, found {list(x.shape)}")

    @staticmethod
    def _positions(codes: Tensor, x: Tensor) -> Tensor:
        return codes.view(x.shape[0], *x.shape[2:]) if x.ndim == 4 else codes.view(x.shape[:-1])

    @staticmethod
    def _restore(rows: Tensor, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return rows.view(x.shape[0], *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)
        return rows.view(x.shape)

    def extra_repr(self) -> str:
        grid = "×".join(map(str, self.config["grid"]))
        return f"{self.config['num_codes']}, {self.config['dim']}, {self.config['neighborhood']!r}, grid={grid}"


def _sums(rows: Tensor, codes: Tensor, num_codes: int) -> Tuple[Tensor, Tensor]:
    """Sums [K, D] and counts [K, 1] of rows by code."""
    if rows.device.type == "cpu" and rows.dtype == torch.float32:
        both = _ksom.code_sums(given(rows.numpy()), given(codes.numpy()), num_codes)
        sums, counts = (torch.from_numpy(made(array, np.float32)) for array in both)
        return sums, counts[:, None]
    sums = torch.zeros(num_codes, rows.shape[1], dtype=rows.dtype, device=rows.device).index_add_(0, codes, rows)
    return sums, torch.bincount(codes, minlength=num_codes).to(rows.dtype)[:, None]


def _sum_of_neighbors(x: Tensor, grid: List[int]) -> Tensor:
    """For each cell the sum of the rows of x [K, C] of those at a distance below 1.5.

    They differ by one step along one axis or along two. With N_a the sum of both shifts along axis a, that is Σ N_a +
    Σ_{a<b} N_a N_b, built axis by axis; the first axis is the fastest.
    """
    one, two = torch.zeros_like(x), torch.zeros_like(x)
    inner = 1
    for axis in grid:
        if axis > 1:

            def shifts(of: Tensor) -> Tensor:
                cells = of.reshape(-1, axis, inner * of.shape[1])
                sums = torch.zeros_like(cells)
                sums[:, :-1] += cells[:, 1:]
                sums[:, 1:] += cells[:, :-1]
                return sums.view_as(of)

            two = two + shifts(one)
            one = one + shifts(x)
        inner *= axis
    return one + two


def _gaussian(x: Tensor, grid: List[int], factor: float) -> Tensor:
    """exp(factor · distance) · x without the diagonal, in tiles of rows."""
    count = len(x)
    codes = torch.arange(count, device=x.device)
    axes, inner = [], 1
    for axis in grid:
        axes.append((codes // inner % axis).to(x.dtype))
        inner *= axis
    tiles = []
    for part in codes.split(max(1, TILE // count)):
        squared = torch.stack([(axis[part, None] - axis[None]).square() for axis in axes]).sum(0)
        weights = torch.exp(factor * squared.sqrt())
        weights[torch.arange(len(part), device=x.device), part] = 0
        tiles.append(weights @ x)
    return torch.cat(tiles)
