"""ksom's models in PyTorch: `model.safetensors` is loaded by name, and pixels become the codes that `ksom` gives.

    model, config = load("models/photos-ksom")
    codes = encode(model, config, numpy.asarray(Image.open("photo.png").convert("RGB")))   # one array per level
    pixels = decode(model, config, codes, width, height)                                   # uint8 [H, W, 3]

Needs torch, numpy and safetensors. docs/network.md describes the networks layer by layer.
"""
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Codebook(nn.Module):
    """K vectors of dimension D. The sums, counts and step counter beside them are for training alone."""

    def __init__(self, q):
        super().__init__()
        for name, shape in [("_w", (q["num_codes"], q["dim"])), ("_ema_w", (q["num_codes"], q["dim"])),
                            ("_ema_cluster_size", (q["num_codes"],)), ("counter", ())]:
            self.register_buffer(name, torch.zeros(shape))

    def encode(self, x):  # [N, D, h, w] -> [N, h, w]; distances in f64, so that rounding decides nothing
        rows, w = x.permute(0, 2, 3, 1).flatten(0, 2).double(), self._w.double()
        codes = torch.cat([((w * w).sum(1) - 2 * part @ w.T).argmin(1) for part in rows.split(4096)])
        return codes.view(x.shape[0], *x.shape[2:])

    def decode(self, codes):  # [N, h, w] -> [N, D, h, w]
        return self._w[codes].permute(0, 3, 1, 2)


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
    def __init__(self, h, layers, r):
        super().__init__()
        self._conv_1, self._conv_2 = nn.Conv2d(3, h // 2, 4, 2, 1), nn.Conv2d(h // 2, h, 4, 2, 1)
        self._conv_3, self._residual_stack = nn.Conv2d(h, h, 3, 1, 1), Stack(h, layers, r)

    def forward(self, x):
        return self._residual_stack(self._conv_3(F.relu(self._conv_2(F.relu(self._conv_1(x))))))


class Decoder(nn.Module):
    def __init__(self, h, layers, r, d):
        super().__init__()
        self._conv_1, self._residual_stack = nn.Conv2d(d, h, 3, 1, 1), Stack(h, layers, r)
        self._conv_trans_1 = nn.ConvTranspose2d(h, h // 2, 4, 2, 1)
        self._conv_trans_2 = nn.ConvTranspose2d(h // 2, 3, 4, 2, 1)

    def forward(self, x):
        return self._conv_trans_2(F.relu(self._conv_trans_1(self._residual_stack(self._conv_1(x)))))


class VqVae(nn.Module):
    stride = 4

    def __init__(self, a, q):
        super().__init__()
        h, layers, r, d = a["hidden"], a["residual_layers"], a["residual_hidden"], q["dim"]
        self._encoder, self._pre_vq_conv = Encoder(h, layers, r), nn.Conv2d(h, d, 1)
        self._vq_vae, self._decoder = Codebook(q), Decoder(h, layers, r, d)

    def encode(self, x):
        return [self._vq_vae.encode(self._pre_vq_conv(self._encoder(x)))]

    def decode(self, codes):
        return self._decoder(self._vq_vae.decode(codes[0]))


class Blocks(nn.Module):
    """The layers of an encoder or decoder of VQ-VAE-2; ReLUs have numbers among them, so the names fit."""

    def __init__(self, *layers):
        super().__init__()
        self.blocks = nn.Sequential(*layers)

    def forward(self, x):
        return self.blocks(x)


class VqVae2(nn.Module):
    stride = 8

    def __init__(self, a, q):
        super().__init__()
        h, r, d = a["hidden"], a["residual_hidden"], q["dim"]
        down, up = lambda i, o: nn.Conv2d(i, o, 4, 2, 1), lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1)
        stack = lambda i: [nn.Conv2d(i, h, 3, 1, 1), *(Residual2(h, r) for _ in range(a["residual_layers"])), nn.ReLU()]
        self.enc_b = Blocks(down(3, h // 2), nn.ReLU(), down(h // 2, h), nn.ReLU(), *stack(h))
        self.enc_t = Blocks(down(h, h // 2), nn.ReLU(), *stack(h // 2))
        self.quantize_conv_t, self.quantize_t = nn.Conv2d(h, d, 1), Codebook(q)
        self.dec_t = Blocks(*stack(d), up(h, d))
        self.quantize_conv_b, self.quantize_b = nn.Conv2d(d + h, d, 1), Codebook(q)
        self.upsample_t, self.dec = up(d, d), Blocks(*stack(d + d), up(h, h // 2), nn.ReLU(), up(h // 2, 3))

    def encode(self, x):
        bottom = self.enc_b(x)
        top = self.quantize_t.encode(self.quantize_conv_t(self.enc_t(bottom)))
        above = self.dec_t(self.quantize_t.decode(top))
        return [top, self.quantize_b.encode(self.quantize_conv_b(torch.cat([above, bottom], 1)))]

    def decode(self, codes):
        top, bottom = self.quantize_t.decode(codes[0]), self.quantize_b.decode(codes[1])
        return self.dec(torch.cat([self.upsample_t(top), bottom], 1))


def load(folder):
    """A model directory -> the network in f32, and its configuration."""
    config = json.loads((Path(folder) / "config.json").read_text())
    kind = {"vqvae": VqVae, "vqvae2": VqVae2}[config["architecture"]["kind"]]
    model = kind(config["architecture"], config["quantizer"])
    model.load_state_dict({k: v.float() for k, v in load_file(Path(folder) / "model.safetensors").items()})
    return model.eval().requires_grad_(False), config


def _scale(config):
    normalization = config["preprocessing"]["normalization"]
    return [torch.tensor(normalization[key], dtype=torch.float32).view(1, 3, 1, 1) for key in ("mean", "std")]


def encode(model, config, pixels):
    """uint8 [H, W, 3] -> one array [h, w] of codes per level. The last column and row are repeated to the stride."""
    height, width = pixels.shape[:2]
    pad = lambda side: (0, -side % model.stride)
    pixels = np.pad(pixels, (pad(height), pad(width), (0, 0)), mode="edge")
    mean, std = _scale(config)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return [level[0].numpy() for level in model.encode((x - mean) / std)]


def decode(model, config, codes, width, height):
    """One array [h, w] of codes per level -> uint8 [height, width, 3]."""
    mean, std = _scale(config)
    x = model.decode([torch.as_tensor(np.asarray(level).astype(np.int64))[None] for level in codes]) * std + mean
    return (x.clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()[:height, :width]
