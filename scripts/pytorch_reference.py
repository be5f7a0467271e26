"""VQ-VAE and VQ-VAE-2 with Kohonen quantizers in PyTorch, written from the specification, for comparison only.

Module names are those of the paper's checkpoints (arXiv 2302.07950), so that a model directory's `model.safetensors`
loads as it is. Sources: arXiv 1711.00937 (VQ-VAE), arXiv 1906.00446 (VQ-VAE-2).
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

EPSILON = 1e-5


@dataclass
class Config:
    """What a model is; the defaults are the paper's."""

    model: str = "vqvae"  # or "vqvae2"
    hidden: int = 128
    residual_layers: int = 2
    residual_hidden: int = 32
    num_codes: int = 512
    dim: int = 64
    quantizer: str = "ksom"  # or "gd_som"
    neighborhood: str = "hard"  # or "gaussian", or "none", which is EMA-VQ
    grid: list = field(default_factory=lambda: [32, 16])
    counter_init: float = 1.0
    shrink_step: float = 0.1
    gaussian_base: float = 10.0
    decay: float = 0.99
    commitment: float = 0.25
    skip_unused: bool = False
    kohonen_cost: float = 1.0

    @classmethod
    def read(cls, path):
        """From a model directory's `config.json`."""
        config = json.loads(Path(path).read_text())
        architecture, quantizer = dict(config["architecture"]), dict(config["quantizer"])
        quantizer["quantizer"] = quantizer.pop("kind")
        if quantizer.pop("epsilon", EPSILON) != EPSILON:
            raise ValueError(f"{path}: expected quantizer.epsilon {EPSILON}")
        return cls(model=architecture.pop("kind"), **architecture, **quantizer)


def automatic_grid(num_codes, dim):
    """The last axis is the largest divisor of K that is at most ceil(K^(1/dim)); the rest is factorized likewise."""
    if dim == 1:
        return [num_codes]
    # The smallest integer whose power reaches K, without the rounding of a floating-point root.
    limit = next(i for i in range(1, num_codes + 1) if i**dim >= num_codes)
    last = max(d for d in range(1, limit + 1) if num_codes % d == 0)
    return automatic_grid(num_codes // last, dim - 1) + [last]


def grid_distances(shape):
    """Euclidean distances [K, K] between the cells of a grid; the first axis runs fastest."""
    cells = torch.arange(math.prod(shape))
    coordinates = []
    for length in shape:
        coordinates.append(cells % length)
        cells = cells // length
    coordinates = torch.stack(coordinates, dim=1).to(torch.float32)
    return (coordinates[:, None] - coordinates[None]).square().sum(-1).sqrt()


class Quantizer(nn.Module):
    """The parts that all quantizers share: the grid, the neighborhood and the nearest code."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.register_buffer("counter", torch.zeros(()))
        self.register_buffer("distances", grid_distances(config.grid), persistent=False)

    def neighborhood(self):
        """The matrix A [K, K] at the current step, its diagonal 1; `None` for the identity."""
        config, shrink = self.config, 1 + self.counter.item() * self.config.shrink_step
        if config.neighborhood == "none":
            return None
        if config.neighborhood == "hard":
            matrix = (self.distances < 1.5).to(torch.float32) / shrink
        else:
            matrix = torch.exp(-self.distances * shrink / config.gaussian_base)
        return matrix.fill_diagonal_(1.0)

    @staticmethod
    def nearest(x, codebook):
        """Codes [N] of inputs [N, D]."""
        # The squared distance less |x|², which is the same for all codes.
        return torch.addmm(codebook.square().sum(1), x, codebook.t(), alpha=-2).argmin(dim=1)

    def forward(self, x):
        """[B, D, H, W] → quantized (straight through), loss, codes [B·H·W], perplexity."""
        batch, dim, height, width = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(-1, dim)
        with torch.no_grad():
            codes = self.nearest(flat, self.codebook())
        quantized, loss = self.losses(flat, codes)
        with torch.no_grad():
            counts = torch.bincount(codes, minlength=self.config.num_codes).to(torch.float32)
            p = counts / codes.numel()
            perplexity = torch.exp(-(p * (p + 1e-10).log()).sum())
            if self.training:
                self.update(flat.detach(), codes, counts)
                self.counter += 1
        quantized = flat + (quantized - flat).detach()
        quantized = quantized.reshape(batch, height, width, dim).permute(0, 3, 1, 2).contiguous()
        return quantized, loss, codes, perplexity


class Ksom(Quantizer):
    """Moving averages over a neighborhood; EMA-VQ where the neighborhood is "none"."""

    def __init__(self, config):
        super().__init__(config)
        w = torch.randn(config.num_codes, config.dim)
        self.register_buffer("_w", w)
        self.register_buffer("_ema_w", w.clone())
        self.register_buffer("_ema_cluster_size", torch.full((config.num_codes,), config.counter_init))

    def codebook(self):
        return self._w

    def losses(self, flat, codes):
        quantized = self._w[codes]
        return quantized, self.config.commitment * F.mse_loss(flat, quantized)

    def update(self, flat, codes, counts):
        """Sums per code first, O(N·D); then the neighborhood, O(K²·D)."""
        sums = torch.zeros_like(self._ema_w).index_add_(0, codes, flat)
        matrix = self.neighborhood()
        if matrix is not None:
            counts, sums = matrix @ counts, matrix @ sums
        gamma, num_codes = self.config.decay, self.config.num_codes
        cluster_size = gamma * self._ema_cluster_size + (1 - gamma) * counts
        ema_w = gamma * self._ema_w + (1 - gamma) * sums
        if self.config.skip_unused:
            used = counts > 0
            self._ema_cluster_size[used] = cluster_size[used]
            self._ema_w[used] = ema_w[used]
            self._w[used] = ema_w[used] / cluster_size[used, None]
        else:
            total = cluster_size.sum()
            cluster_size = (cluster_size + EPSILON) / (total + num_codes * EPSILON) * total
            # Not in place: the step's backward pass still needs the codebook from before.
            self._ema_cluster_size, self._ema_w = cluster_size, ema_w
            self._w = ema_w / cluster_size[:, None]


class GdSom(Quantizer):
    """A self-organizing map trained by gradient descent."""

    def __init__(self, config):
        super().__init__(config)
        self.w = nn.Parameter(torch.randn(config.num_codes, config.dim))

    def codebook(self):
        return self.w

    def losses(self, flat, codes):
        config = self.config
        quantized = self.w[codes]
        loss = config.commitment * F.mse_loss(flat, quantized.detach()) + F.mse_loss(quantized, flat.detach())
        matrix = self.neighborhood()
        if matrix is not None:
            # Each pair of codes weighs as often as its first one was chosen. The diagonal's terms are zero.
            frequencies = torch.bincount(codes, minlength=config.num_codes) / codes.numel()
            pairs = (self.w[None] - self.w.detach()[:, None]).square().sum(-1)
            loss = loss + config.kohonen_cost * (frequencies[:, None] * matrix * pairs).sum()
        return quantized, loss

    def update(self, flat, codes, counts):
        """The optimizer updates the codebook."""


def quantizer(config):
    return (GdSom if config.quantizer == "gd_som" else Ksom)(config)


def halving(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def doubling(inputs, outputs):
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class RectifiedResidual(nn.Module):
    """y = relu(x) + W₁·relu(W₃·relu(x)), without biases."""

    def __init__(self, hidden, inner):
        super().__init__()
        conv_3, conv_1 = nn.Conv2d(hidden, inner, 3, padding=1, bias=False), nn.Conv2d(inner, hidden, 1, bias=False)
        self._block = nn.Sequential(nn.ReLU(), conv_3, nn.ReLU(), conv_1)

    def forward(self, x):
        x = F.relu(x)
        return x + self._block(x)


class ResidualStack(nn.Module):
    def __init__(self, config):
        super().__init__()
        blocks = [RectifiedResidual(config.hidden, config.residual_hidden) for _ in range(config.residual_layers)]
        self._layers = nn.ModuleList(blocks)

    def forward(self, x):
        for layer in self._layers:
            x = layer(x)
        return F.relu(x)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        h = config.hidden
        self._conv_1 = halving(3, h // 2)
        self._conv_2 = halving(h // 2, h)
        self._conv_3 = nn.Conv2d(h, h, 3, padding=1)
        self._residual_stack = ResidualStack(config)

    def forward(self, x):
        x = F.relu(self._conv_1(x))
        x = F.relu(self._conv_2(x))
        return self._residual_stack(self._conv_3(x))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        h = config.hidden
        self._conv_1 = nn.Conv2d(config.dim, h, 3, padding=1)
        self._residual_stack = ResidualStack(config)
        self._conv_trans_1 = doubling(h, h // 2)
        self._conv_trans_2 = doubling(h // 2, 3)

    def forward(self, x):
        x = self._residual_stack(self._conv_1(x))
        return self._conv_trans_2(F.relu(self._conv_trans_1(x)))


@dataclass
class Output:
    reconstruction: torch.Tensor
    commitment: torch.Tensor
    codes: dict
    perplexity: dict


class VqVae(nn.Module):
    """4×4 pixels → one code."""

    def __init__(self, config):
        super().__init__()
        self._encoder = Encoder(config)
        self._pre_vq_conv = nn.Conv2d(config.hidden, config.dim, 1)
        self._vq_vae = quantizer(config)
        self._decoder = Decoder(config)

    def forward(self, x):
        quantized, loss, codes, perplexity = self._vq_vae(self._pre_vq_conv(self._encoder(x)))
        return Output(self._decoder(quantized), loss, {"codes": codes}, {"codes": perplexity})


class Residual(nn.Module):
    """y = x + W₁·relu(W₃·relu(x)), with biases."""

    def __init__(self, hidden, inner):
        super().__init__()
        conv_3, conv_1 = nn.Conv2d(hidden, inner, 3, padding=1), nn.Conv2d(inner, hidden, 1)
        self.conv = nn.Sequential(nn.ReLU(), conv_3, nn.ReLU(), conv_1)

    def forward(self, x):
        return x + self.conv(x)


class Blocks(nn.Module):
    def __init__(self, before, config, after):
        super().__init__()
        stack = [Residual(config.hidden, config.residual_hidden) for _ in range(config.residual_layers)]
        self.blocks = nn.Sequential(*before, *stack, nn.ReLU(), *after)

    def forward(self, x):
        return self.blocks(x)


class VqVae2(nn.Module):
    """4×4 pixels → one bottom code, 8×8 pixels → one top code."""

    def __init__(self, config):
        super().__init__()
        h, dim = config.hidden, config.dim
        same = lambda inputs: nn.Conv2d(inputs, h, 3, padding=1)
        self.enc_b = Blocks([halving(3, h // 2), nn.ReLU(), halving(h // 2, h), nn.ReLU(), same(h)], config, [])
        self.enc_t = Blocks([halving(h, h // 2), nn.ReLU(), same(h // 2)], config, [])
        self.quantize_conv_t = nn.Conv2d(h, dim, 1)
        self.quantize_t = quantizer(config)
        self.dec_t = Blocks([same(dim)], config, [doubling(h, dim)])
        self.quantize_conv_b = nn.Conv2d(dim + h, dim, 1)
        self.quantize_b = quantizer(config)
        self.upsample_t = doubling(dim, dim)
        self.dec = Blocks([same(2 * dim)], config, [doubling(h, h // 2), nn.ReLU(), doubling(h // 2, 3)])

    def forward(self, x):
        bottom = self.enc_b(x)
        top = self.enc_t(bottom)
        top, top_loss, top_codes, top_perplexity = self.quantize_t(self.quantize_conv_t(top))
        bottom = self.quantize_conv_b(torch.cat([self.dec_t(top), bottom], dim=1))
        bottom, bottom_loss, bottom_codes, bottom_perplexity = self.quantize_b(bottom)
        return Output(
            self.dec(torch.cat([self.upsample_t(top), bottom], dim=1)),
            top_loss + bottom_loss,
            {"codes_top": top_codes, "codes_bottom": bottom_codes},
            {"codes_top": top_perplexity, "codes_bottom": bottom_perplexity},
        )


def build(config):
    """The model of a configuration, with PyTorch's own initialization."""
    return {"vqvae": VqVae, "vqvae2": VqVae2}[config.model](config)


def optimizer(model, lr):
    """AdamW as in all recipes: no weight decay."""
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)


def training_step(model, adamw, images, clip=1.0):
    """One step on normalized images [B, 3, H, W]; gives the output, the reconstruction loss and the gradient's norm."""
    model.train()
    output = model(images)
    reconstruction = F.mse_loss(output.reconstruction, images)
    adamw.zero_grad()
    (reconstruction + output.commitment).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    adamw.step()
    return output, reconstruction.detach(), norm
