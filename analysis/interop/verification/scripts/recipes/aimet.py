"""AIMET's manual mode, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the input channels of each convolution that the recipe names."""
    case.ready_torchvision()
    script, model = case.script("recipe_aimet.py"), case.model("full").requires_grad_(True)
    if len(case.facts["inputs"]) > 1:
        raise NotImplementedError("AIMET makes an input of one shape by itself, and no other")
    inputs = torch.cat([batch[0] for batch in case.inputs[:2]])
    # It takes ten places of each output.
    loader = DataLoader(TensorDataset(inputs, torch.zeros(len(inputs))), batch_size=1)
    shape = (1, *inputs.shape[1:])
    try:
        small, _ = script.prune(model, loader, lambda *_: 0.0, shape, samples=10 * len(inputs))
    except NotImplementedError as error:
        raise NotImplementedError(
            f"AIMET follows modules such as nn.ReLU, and {type(model).__name__} calls a function "
            f"that it does not know: {error}; make it a module, or export the smaller model "
            "(model, onnx)"
        ) from error
    found = {name: small.get_submodule(name).in_channels for name in script.RATIOS}
    yield case.counts("inputs kept", found, case.asked("recipe_aimet.py"))
