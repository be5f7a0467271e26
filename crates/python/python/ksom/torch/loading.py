"""Models of ksom ↔ networks in PyTorch."""
from __future__ import annotations

import json
import os
from typing import Any, Dict, Union

import torch

from ksom import _ksom
from ksom.arrays import given_state
from ksom.errors import InvalidError
from ksom.model import Model
from ksom.torch.networks import Network, VqVae, VqVae2


def build(config: Dict[str, Any]) -> Network:
    """A new network of a model's configuration (``config.json``), to be trained."""
    kinds = {"vqvae": VqVae, "vqvae2": VqVae2}
    kind = config["architecture"]["kind"]
    if kind not in kinds:
        raise InvalidError(f"expected an architecture of {', '.join(kinds)}, found {kind}")
    return kinds[kind](config)


def load(model: Union[Model, str, os.PathLike]) -> Network:
    """The network of a model, in f32 and for inference: ``train()`` and ``requires_grad_()`` make it learn.

    ``model`` is one that is loaded, or what :meth:`ksom.Model.from_pretrained` takes.
    """
    if not isinstance(model, Model):
        model = Model.from_pretrained(model)
    network = build(model.config)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in model.state().items()})
    return network.eval().requires_grad_(False)


def save(network: Network, folder: Union[str, os.PathLike], *, half: bool = False) -> None:
    """Writes a network as a model directory of ksom; ``half`` stores weights as float16."""
    state = {name: tensor.detach().float().cpu().numpy() for name, tensor in network.state_dict().items()}
    native = _ksom.Model.from_state(os.fspath(folder), json.dumps(network.config), given_state(state), "cpu", False)
    native.save(os.fspath(folder), half)
