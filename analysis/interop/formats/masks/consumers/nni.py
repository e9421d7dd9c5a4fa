"""Cuts the masked channels out of a model by NNI's ModelSpeedup.

Tested with nni 2.10, which needs tensorboard as well; ModelSpeedup of nni 3.0 fails on torch 2.13.

    model = apply(model, example)          # example: an input batch
"""

from __future__ import annotations

from pathlib import Path

import torch
from nni.compression.pytorch.speedup import ModelSpeedup
from safetensors.torch import load_file
from torch import Tensor, nn

MASKS = Path(__file__).with_name("masks.safetensors")
TYPES = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)


def apply(model: nn.Module, example: Tensor, path: Path = MASKS) -> nn.Module:
    """Make the model physically smaller; returns the model itself."""
    masks: dict[str, dict[str, Tensor]] = {}
    for key, mask in load_file(path).items():
        owner, _, name = key.rpartition(".")
        if isinstance(model.get_submodule(owner), TYPES):
            masks.setdefault(owner, {})[name] = mask.float()
    for owner, found in masks.items():
        module = model.get_submodule(owner)
        for name, item in module.named_parameters(recurse=False):
            found.setdefault(name, torch.ones_like(item))
    ModelSpeedup(model, example, masks).speedup_model()
    return model
