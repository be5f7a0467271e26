"""Pictures as grids of integers: VQ-VAEs whose codebook is a Kohonen self-organizing map.

    model = ksom.Model.from_pretrained("photos-ksom")
    codes = model.encode(["a.jpg", "b.png"])      # one int64 array [h, w] per picture
    pixels = model.decode(codes)                  # one uint8 array [H, W, 3] per picture

Neighboring codes mean similar things: on a grid of W×H, code k lies in column k % W and row k // W. ``ksom.torch`` has
the models and the quantizer as PyTorch modules; it is imported by itself, since it needs torch.
"""
from ksom import errors, figures
from ksom._ksom import __version__, builtin_models, recipes
from ksom.codes import Codes, CodesDataset, CodesFile
from ksom.errors import *  # noqa: F403
from ksom.model import Model
from ksom.pictures import find_pictures
from ksom.quantizer import Observation, Quantized, Quantizer
from ksom.training import Summary, finetune, train

__all__ = [
    "Codes",
    "CodesDataset",
    "CodesFile",
    "Model",
    "Observation",
    "Quantized",
    "Quantizer",
    "Summary",
    "__version__",
    "builtin_models",
    "figures",
    "find_pictures",
    "finetune",
    "recipes",
    "train",
    *errors.__all__,
]
