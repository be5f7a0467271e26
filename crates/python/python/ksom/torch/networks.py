"""ksom's networks in PyTorch: ``model.safetensors`` loads by name. docs/network.md describes them layer by layer."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ksom.codes import of_size, to_native
from ksom.torch.quantizer import KSOM


class Output(NamedTuple):
    """The forward pass of training."""

    #: Pictures in normalized units.
    reconstruction: Tensor
    #: The quantizers' loss.
    loss: Tensor
    #: Codes of each level.
    codes: List[Tensor]


def _quantizer(q: Dict[str, Any]) -> KSOM:
    fields = {key: value for key, value in q.items() if key not in ("kind", "kohonen_cost")}
    if q.get("kind", "ksom") != "ksom":
        raise NotImplementedError(f"{q['kind']} has no module in PyTorch: use ksom's own training")
    others = [f"{key} = {q[key]}" for key in ("similarity", "estimator", "init", "revive_below") if key in q]
    if others:
        raise NotImplementedError(f"{', '.join(others)}: not in PyTorch, use ksom's own training")
    return KSOM(**fields)


class Network(nn.Module):
    """What both networks share: pictures in and out. Tensors of pictures are [N, 3, H, W] in normalized units."""

    #: Names of the levels, and pixels along a code's side.
    levels: Sequence[Tuple[str, int]] = ()

    def __init__(self, config: Dict[str, Any]):
        super().__init__()
        #: The model's ``config.json``.
        self.config = config
        stages = config["architecture"].get("stages", 1)
        if stages > 1:
            raise NotImplementedError(f"a residual quantizer of {stages} stages has no module in PyTorch: use ksom.Model")

    @property
    def stride(self) -> int:
        """Sides of pictures given to ``encode`` and ``forward`` are multiples of this."""
        return self.levels[0][1]

    def encode(self, x: Tensor) -> List[Tensor]:
        """Pictures → codes [N, h, w] of each level."""
        raise NotImplementedError

    def decode(self, codes: List[Tensor]) -> Tensor:
        """Codes [N, h, w] of each level → pictures."""
        raise NotImplementedError

    def _scale(self) -> List[Tensor]:
        normalization = self.config["preprocessing"]["normalization"]
        device = next(self.buffers()).device
        return [torch.tensor(normalization[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std")]

    def to_input(self, pixels: np.ndarray) -> Tensor:
        """uint8 [H, W, 3] → what the network takes; the last column and row are repeated to the stride."""
        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, -height % self.stride), (0, -width % self.stride), (0, 0)), mode="edge")
        mean, std = self._scale()
        return (torch.from_numpy(pixels).to(mean.device).permute(2, 0, 1)[None].float() / 255 - mean) / std

    def to_pixels(self, x: Tensor) -> np.ndarray:
        """What the network gives → uint8 [N, H, W, 3]."""
        mean, std = self._scale()
        return ((x * std + mean).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    @torch.no_grad()
    def encode_picture(self, pixels: np.ndarray) -> Any:
        """uint8 [H, W, 3] → codes as :meth:`ksom.Model.encode` gives them."""
        height, width = pixels.shape[:2]
        codes = [of_size(level[0].cpu().numpy(), (width, height)) for level in self.encode(self.to_input(pixels))]
        return codes[0] if len(codes) == 1 else {name: level for (name, _), level in zip(self.levels, codes)}

    @torch.no_grad()
    def decode_picture(self, codes: Any, size: Optional[Tuple[int, int]] = None) -> np.ndarray:
        """Codes as :meth:`ksom.Model.decode` takes them → uint8 [H, W, 3]."""
        width, height, levels = to_native(codes, self.levels, size)
        device = next(self.buffers()).device
        pixels = self.to_pixels(self.decode([torch.from_numpy(level)[None].to(device) for level in levels]))
        return pixels[0, :height, :width]


class Residual(nn.Module):
    """VQ-VAE: relu(x) + W1x1 relu(W3x3 relu(x)), without biases: the skip is rectified, too."""

    def __init__(self, h, r):
        super().__init__()
        self._block = nn.Sequential(nn.ReLU(), nn.Conv2d(h, r, 3, 1, 1, bias=False), nn.ReLU(),
                                    nn.Conv2d(r, h, 1, bias=False))

    def forward(self, x):
        return F.relu(x) + self._block(x)


class Residual2(nn.Module):
    """VQ-VAE-2: x + W1x1 relu(W3x3 relu(x)), with biases."""

    def __init__(self, h, r):
        super().__init__()
        self.conv = nn.Sequential(nn.ReLU(), nn.Conv2d(h, r, 3, 1, 1), nn.ReLU(), nn.Conv2d(r, h, 1))

    def forward(self, x):
        return x + self.conv(x)


class Stack(nn.Module):
    def __init__(self, h, layers, r):
        super().__init__()
        self._layers = nn.ModuleList(Residual(h, r) for _ in range(layers))

    def forward(self, x):
        for layer in self._layers:
            x = layer(x)
        return F.relu(x)


class Encoder(nn.Module):
    def __init__(self, h, layers, r, further=0):
        super().__init__()
        self._further = [f"_conv_{4 + i}" for i in range(further)]
        for name in self._further:
            self.add_module(name, nn.Conv2d(h, h, 4, 2, 1))
        self._conv_1, self._conv_2 = nn.Conv2d(3, h // 2, 4, 2, 1), nn.Conv2d(h // 2, h, 4, 2, 1)
        self._conv_3, self._residual_stack = nn.Conv2d(h, h, 3, 1, 1), Stack(h, layers, r)

    def forward(self, x):
        x = F.relu(self._conv_2(F.relu(self._conv_1(x))))
        for name in self._further:
            x = F.relu(getattr(self, name)(x))
        return self._residual_stack(self._conv_3(x))


class Decoder(nn.Module):
    def __init__(self, h, layers, r, d, further=0):
        super().__init__()
        self._further = [f"_conv_trans_{3 + i}" for i in range(further)]
        for name in self._further:
            self.add_module(name, nn.ConvTranspose2d(h, h, 4, 2, 1))
        self._conv_1, self._residual_stack = nn.Conv2d(d, h, 3, 1, 1), Stack(h, layers, r)
        self._conv_trans_1 = nn.ConvTranspose2d(h, h // 2, 4, 2, 1)
        self._conv_trans_2 = nn.ConvTranspose2d(h // 2, 3, 4, 2, 1)

    def forward(self, x):
        x = self._residual_stack(self._conv_1(x))
        for name in self._further:
            x = F.relu(getattr(self, name)(x))
        return self._conv_trans_2(F.relu(self._conv_trans_1(x)))


class VqVae(Network):
    """One level of codes."""

    levels = (("codes", 4),)

    def __init__(self, config):
        super().__init__(config)
        a, q = config["architecture"], config["quantizer"]
        h, layers, r, d = a["hidden"], a["residual_layers"], a["residual_hidden"], q["dim"]
        downsample = a.get("downsample", 4)
        further = {4: 0, 8: 1, 16: 2}[downsample]
        self.levels = (("codes", downsample),)
        self._encoder, self._pre_vq_conv = Encoder(h, layers, r, further), nn.Conv2d(h, d, 1)
        self._vq_vae, self._decoder = _quantizer(q), Decoder(h, layers, r, d, further)

    def encode(self, x):
        return [self._vq_vae.encode(self._pre_vq_conv(self._encoder(x)))]

    def decode(self, codes):
        return self._decoder(self._vq_vae.decode(codes[0]))

    def forward(self, x):
        quantized = self._vq_vae(self._pre_vq_conv(self._encoder(x)))
        return Output(self._decoder(quantized.output), quantized.loss, [quantized.codes])


class Blocks(nn.Module):
    """The layers of an encoder or decoder of VQ-VAE-2; ReLUs have numbers among them, so the names fit."""

    def __init__(self, *layers):
        super().__init__()
        self.blocks = nn.Sequential(*layers)

    def forward(self, x):
        return self.blocks(x)


class VqVae2(Network):
    """Two levels of codes, top first."""

    levels = (("codes_top", 8), ("codes_bottom", 4))

    def __init__(self, config):
        super().__init__(config)
        a, q = config["architecture"], config["quantizer"]
        h, r, d = a["hidden"], a["residual_hidden"], q["dim"]
        down, up = lambda i, o: nn.Conv2d(i, o, 4, 2, 1), lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1)
        stack = lambda i: [nn.Conv2d(i, h, 3, 1, 1), *(Residual2(h, r) for _ in range(a["residual_layers"])), nn.ReLU()]
        self.enc_b = Blocks(down(3, h // 2), nn.ReLU(), down(h // 2, h), nn.ReLU(), *stack(h))
        self.enc_t = Blocks(down(h, h // 2), nn.ReLU(), *stack(h // 2))
        self.quantize_conv_t, self.quantize_t = nn.Conv2d(h, d, 1), _quantizer(q)
        self.dec_t = Blocks(*stack(d), up(h, d))
        self.quantize_conv_b, self.quantize_b = nn.Conv2d(d + h, d, 1), _quantizer(q)
        self.upsample_t, self.dec = up(d, d), Blocks(*stack(d + d), up(h, h // 2), nn.ReLU(), up(h // 2, 3))

    def encode(self, x):
        bottom = self.enc_b(x)
        top = self.quantize_t.encode(self.quantize_conv_t(self.enc_t(bottom)))
        above = self.dec_t(self.quantize_t.decode(top))
        return [top, self.quantize_b.encode(self.quantize_conv_b(torch.cat([above, bottom], 1)))]

    def decode(self, codes):
        top, bottom = self.quantize_t.decode(codes[0]), self.quantize_b.decode(codes[1])
        return self._pictures(top, bottom)

    def _pictures(self, top, bottom):
        return self.dec(torch.cat([self.upsample_t(top), bottom], 1))

    def forward(self, x):
        features = self.enc_b(x)
        top = self.quantize_t(self.quantize_conv_t(self.enc_t(features)))
        features = self.quantize_conv_b(torch.cat([self.dec_t(top.output), features], 1))
        bottom = self.quantize_b(features)
        return Output(self._pictures(top.output, bottom.output), top.loss + bottom.loss, [top.codes, bottom.codes])
