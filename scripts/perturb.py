"""Changes the initial weights of a training that has not begun by a millionth of themselves, at random.

    python scripts/perturb.py RUN SEED

RUN is a folder that the example training_plan wrote. The weights of its networks are multiplied by 1 + 1e-6 · N(0, 1),
in RUN/training.safetensors, where `ksom train --resume` begins, and in RUN/initial.safetensors, where
scripts/train_pytorch.py does. How far two trainings part that differ in nothing else is how much can be asked of a
comparison.
"""

import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run, generator = Path(sys.argv[1]), torch.Generator().manual_seed(int(sys.argv[2]))
    with safe_open(run / "training.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    for name, tensor in tensors.items():
        if name.startswith("model.") and "quantize_b." not in name and "quantize_t." not in name and "_vq_vae." not in name:
            tensors[name] = tensor * (1 + 1e-6 * torch.randn(tensor.shape, generator=generator))
    save_file(tensors, run / "training.safetensors", metadata)
    model = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    save_file(model, run / "initial.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
