"""Puts the masks into a model by ModelOpt's set_mask, the way to TensorRT's 2:4 kernels.

Tested with nvidia-modelopt 0.47.0, which needs requests and huggingface_hub as well.

    model = apply(model)                   # masks of weights are held in training
    model = modelopt.torch.sparsity.export(model)
    torch.onnx.export(...)                 # then: trtexec --onnx=model.onnx --sparsity=enable
"""

from __future__ import annotations

from pathlib import Path

import modelopt.torch.sparsity as mts
import torch
from safetensors.torch import load_file
from torch import nn

MASKS = Path(__file__).with_name("masks.safetensors")


def apply(model: nn.Module, path: Path = MASKS) -> nn.Module:
    """Mask the weights by ModelOpt; biases and norms, which it does not mask, are set to zero."""
    masks = load_file(path)
    sparse: nn.Module = mts.sparsify(model, mode="sparse_magnitude")
    for name, module in sparse.named_modules():
        if hasattr(module, "set_mask"):
            whole = torch.ones_like(module.weight)
            module.set_mask(masks.pop(f"{name}.weight", whole).bool())
    with torch.no_grad():
        for key, mask in masks.items():
            sparse.get_parameter(key).mul_(mask)
    return sparse
