"""An input for a model without data: of a shape that is known, or that is a guess that runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analysis.records import SubjectSpec
from analysis.subjects.answers import runs
from analysis.subjects.models import LoadedModel
from pruners.errors import InputError, one_line

GUESSED_SIZES = (224, 32, 28)
GUESSED_TOKENS = 16


def example_without_data(
    loaded: LoadedModel, spec: SubjectSpec, device: torch.device
) -> tuple[Tensor, tuple[str, ...]]:
    """Return an input, and what to say of a shape that was guessed."""
    if loaded.input_shape is not None:
        return _zeros(loaded, loaded.input_shape, spec, device), ()
    for shape, dtype in _guesses(loaded.model):
        example = torch.zeros(2, *shape, device=device, dtype=dtype)
        if not runs(loaded.model, example):
            continue  # the next guess may fit
        sizes = ",".join(str(size) for size in shape)
        return example, (
            f"The input shape {sizes} is a guess: it runs, but MACs depend on it. Give data, or "
            f"add #input={sizes} to the model address.",
        )
    raise InputError(
        f"the input shape of {spec.model!r} is not known; give a data address, or add "
        "#input=C,H,W to the model address"
    )


def _zeros(
    loaded: LoadedModel, shape: tuple[int, ...], spec: SubjectSpec, device: torch.device
) -> Tensor:
    """Return two inputs of a shape: real numbers, or token numbers if the model takes only those.

    Raises:
        InputError: No memory holds it, or its size is no number.
    """
    try:
        zeros = torch.zeros(2, *shape, device=device)
    except RuntimeError as error:
        raise InputError(f"no input of {spec.model!r} can be made: {one_line(error)}") from None
    takes_tokens = any(isinstance(module, nn.Embedding) for module in loaded.model.modules())
    is_tokens = takes_tokens and not runs(loaded.model, zeros) and runs(loaded.model, zeros.long())
    return zeros.long() if is_tokens else zeros


def _guesses(model: nn.Module) -> list[tuple[tuple[int, ...], torch.dtype]]:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            return [((GUESSED_TOKENS,), torch.int64)]
        if isinstance(module, nn.Conv2d):
            sizes = ((module.in_channels, size, size) for size in GUESSED_SIZES)
            return [(shape, torch.float32) for shape in sizes]
        if isinstance(module, nn.Linear):
            return [((module.in_features,), torch.float32)]
    return []
