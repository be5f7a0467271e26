"""ksom in PyTorch: the paper's quantizer as a layer, and the models as modules that load ksom's weights by name.

    layer = ksom.torch.KSOM(16384, 64)            # a drop-in vector quantizer
    model = ksom.torch.load("photos-ksom")        # the network, with the weights and codes that ksom has
"""
try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("ksom.torch needs PyTorch: pip install torch") from error

from ksom.torch.loading import build, load, save
from ksom.torch.networks import Output, VqVae, VqVae2
from ksom.torch.quantizer import KSOM, Quantized

__all__ = ["KSOM", "Output", "Quantized", "VqVae", "VqVae2", "build", "load", "save"]
