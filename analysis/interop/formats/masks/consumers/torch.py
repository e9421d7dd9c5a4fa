"""Puts the masks into a model by torch.nn.utils.prune.

model = apply(model)         # the dense model, or one that masked.safetensors was loaded into
...                          # train: what is masked stays zero
model = make_permanent(model)
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

MASKS = Path(__file__).with_name("masks.safetensors")


def apply(model: nn.Module, path: Path = MASKS) -> nn.Module:
    """Mask the parameters; returns the model itself."""
    for key, mask in load_file(path).items():
        owner, _, name = key.rpartition(".")
        prune.custom_from_mask(model.get_submodule(owner), name, mask)
    return model


def make_permanent(model: nn.Module, path: Path = MASKS) -> nn.Module:
    """Write the zeros into the weights, so that the state dict has its usual names again."""
    for key in load_file(path):
        owner, _, name = key.rpartition(".")
        prune.remove(model.get_submodule(owner), name)
    return model
