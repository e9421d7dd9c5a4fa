"""Puts the masks into a model by NNCF, in the buffers that its pruning multiplies with.

Tested with nncf 3.4.0; the names of the buffers are its own and may change.

    model = apply(model, example)          # example: an input batch
"""

from __future__ import annotations

from pathlib import Path

import nncf
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

MASKS = Path(__file__).with_name("masks.safetensors")
START, END = "post_hooks.", "__0.0.binary_mask"


def apply(model: nn.Module, example: Tensor, path: Path = MASKS) -> nn.Module:
    """Mask the weights by NNCF; what it does not mask, such as norms, is set to zero."""
    masks = load_file(path)
    pruned: nn.Module = nncf.prune(
        model,
        mode=nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL,
        ratio=0.5,
        examples_inputs=example,
    )
    state = pruned.state_dict()
    for key, value in state.items():
        if START in key and key.endswith(END):
            name = key.split(START, 1)[1].removesuffix(END).replace(":", ".")
            state[key] = masks.pop(name, torch.ones_like(value)).to(value)
    pruned.load_state_dict(state)
    with torch.no_grad():
        for key, mask in masks.items():
            pruned.get_parameter(key).mul_(mask)
    return pruned
