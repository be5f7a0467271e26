"""Writes tests/golden/codebooks/*.safetensors: what vector-quantize-pytorch computes for the quantizers that the paper's own
code does not have. Only numbers are taken from it.

    pip install torch safetensors vector-quantize-pytorch==1.32.0
    python3 scripts/codebook_golden.py tests/golden/codebooks

Each file holds the initial state, and for some training steps input, codes, output, loss, the gradient by the input of
loss + (output * output_grad).sum(), and the state afterwards. What is drawn at random is in the file: the centers that k-means
begins with, and the vectors that codes without use take, in ascending order of the codes.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from vector_quantize_pytorch import FSQ, ResidualVQ, SimVQ, VectorQuantize
from vector_quantize_pytorch import vector_quantize_pytorch as library

DIM, CODES, ROWS, STEPS = 6, 12, 40, 4
COMMITMENT, DECAY, EPSILON = 0.25, 0.9, 1e-12


class File:
    """The arrays of one case, by name."""

    def __init__(self, **config):
        self.config, self.arrays = config, {}

    def put(self, prefix, **arrays):
        for name, array in arrays.items():
            self.arrays[f"{prefix}.{name}"] = array.detach().clone().contiguous()

    def write(self, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.arrays, folder / f"{name}.safetensors", metadata={"config": json.dumps(self.config)})


def inputs(step, spread=1.0, dim=DIM, rows=ROWS):
    """Rows that drift, around a few places."""
    generator = torch.Generator().manual_seed(100 + step)
    places = torch.randn(5, dim, generator=torch.Generator().manual_seed(7)) * spread
    x = places[torch.randint(5, (rows,), generator=generator)] + 0.3 * torch.randn(rows, dim, generator=generator)
    return (x + 0.1 * step).requires_grad_()


def output_grad(step, dim=DIM, rows=ROWS):
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(200 + step)) * 0.01


def options(**changes):
    defaults = dict(dim=DIM, codebook_size=CODES, decay=DECAY, eps=EPSILON, commitment_weight=COMMITMENT,
                    rotation_trick=False, threshold_ema_dead_code=0)
    return {**defaults, **changes}


def put_state(file, prefix, codebook):
    file.put(prefix, codebook=codebook.embed[0], sums=codebook.embed_avg[0], counts=codebook.cluster_size[0])


def backward(file, prefix, x, output, codes, loss, grad):
    (loss + (output * grad).sum()).backward()
    file.put(prefix, input=x, codes=codes.long(), output=output, loss=loss.reshape(()), output_grad=grad, input_grad=x.grad)


def moving_averages(folder, name, **changes):
    """EMA-VQ with one of the cures."""
    torch.manual_seed(3)
    threshold = changes.get("threshold_ema_dead_code", 0)
    layer = VectorQuantize(**options(**changes))
    codebook = layer._codebook
    file = File(kind="ema", threshold=threshold, cosine=changes.get("use_cosine_sim", False),
                rotation=changes.get("rotation_trick", False), steps=STEPS, commitment=COMMITMENT, decay=DECAY, epsilon=EPSILON)
    if not changes.get("use_cosine_sim"):
        codebook.embed.data.normal_()
        codebook.embed_avg.data.copy_(codebook.embed)
    put_state(file, "init", codebook)
    taken = []
    draw = codebook.replace_sample_fn

    def recorded(samples, number):
        taken.append(draw(samples, number))
        return taken[-1]

    codebook.replace_sample_fn = recorded
    for step in range(STEPS):
        x, prefix = inputs(step), f"step{step}"
        taken.clear()
        output, codes, loss = layer(x)
        backward(file, prefix, x, output, codes, loss, output_grad(step))
        put_state(file, prefix, codebook)
        file.put(prefix, **({"taken": taken[0][0]} if taken else {}))
    file.write(folder, name)


def k_means(folder, cosine):
    samples = inputs(0, spread=3.0, rows=60).detach()
    if cosine:
        samples = library.l2norm(samples)
    drawn = samples[:5].clone()
    centers, sizes = library.kmeans(samples[None], 5, 10, use_cosine_sim=cosine, sample_fn=lambda *_: drawn[None])
    file = File(kind="k_means", cosine=cosine, rounds=10)
    file.put("k_means", input=samples, drawn=drawn, centers=centers[0], sizes=sizes[0].float())
    file.write(folder, f"k-means{'-cosine' if cosine else ''}")


def sim_vq(folder, rotation):
    torch.manual_seed(5)
    layer = SimVQ(dim=DIM, codebook_size=CODES, rotation_trick=rotation)
    file = File(kind="sim_vq", rotation=rotation, steps=STEPS, commitment=COMMITMENT, lr=0.5)
    file.put("init", frozen=layer.frozen_codebook, transform=layer.code_transform.weight)
    for step in range(STEPS):
        x, prefix = inputs(step, spread=0.3), f"step{step}"
        output, codes, loss = layer(x[None])
        backward(file, prefix, x, output[0], codes[0], loss, output_grad(step))
        weight = layer.code_transform.weight
        file.put(prefix, transform_grad=weight.grad)
        with torch.no_grad():
            weight -= 0.5 * weight.grad
        weight.grad = None
        file.put(prefix, transform=weight, codebook=layer.codebook)
    file.write(folder, f"sim-vq{'-rotation' if rotation else ''}")


def fsq(folder, levels):
    layer = FSQ(levels)
    file = File(kind="fsq", levels=levels, steps=2)
    file.put("init", codebook=layer.implicit_codebook)
    for step in range(2):
        x = inputs(step, dim=len(levels))
        output, codes = layer(x[None])
        backward(file, f"step{step}", x, output[0], codes[0], x.sum() * 0, output_grad(step, dim=len(levels)))
    file.write(folder, "fsq-" + "-".join(map(str, levels)))


def residual(folder, stages=3):
    """The gradient here is that of the loss alone: the reference adds up the output's once for each stage."""
    torch.manual_seed(11)
    layer = ResidualVQ(num_quantizers=stages, **options())
    file = File(kind="residual", stages=stages, steps=STEPS, commitment=COMMITMENT, decay=DECAY, epsilon=EPSILON)
    for number, stage in enumerate(layer.layers):
        stage._codebook.embed.data.normal_().mul_(0.7**number)
        stage._codebook.embed_avg.data.copy_(stage._codebook.embed)
        put_state(file, f"init{number}", stage._codebook)
    for step in range(STEPS):
        x, prefix = inputs(step), f"step{step}"
        output, codes, losses = layer(x[None])
        loss = losses.sum()
        loss.backward()
        file.put(prefix, input=x, output=output[0], loss=loss, input_grad=x.grad)
        for number, stage in enumerate(layer.layers):
            file.put(f"{prefix}.{number}", codes=codes[0, :, number].long())
            put_state(file, f"{prefix}.{number}", stage._codebook)
    file.write(folder, "residual")


def main(folder):
    moving_averages(folder, "rotation", rotation_trick=True)
    moving_averages(folder, "cosine", use_cosine_sim=True)
    moving_averages(folder, "cosine-rotation", use_cosine_sim=True, rotation_trick=True)
    moving_averages(folder, "revival", threshold_ema_dead_code=0.95)
    moving_averages(folder, "revival-cosine", threshold_ema_dead_code=0.95, use_cosine_sim=True)
    for flag in (False, True):
        k_means(folder, flag)
        sim_vq(folder, flag)
    for levels in ([8, 8, 8], [8, 5, 4, 7]):
        fsq(folder, levels)
    residual(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
