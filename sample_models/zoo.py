"""Building and loading the sample models by name."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from sample_models.architectures import ARCHITECTURES
from sample_models.files import PACKAGE, read_verified
from sample_models.model_card import Card, read_card

WEIGHTS = PACKAGE / "weights"


def names(*, data: str | None = None) -> tuple[str, ...]:
    """Return the names of the models.

    Args:
        data: Only those that are measured on the data set of this name; None for all.
    """
    return tuple(name for name in ARCHITECTURES if data in (None, read_card(name).data))


def build(name: str) -> nn.Module:
    """Return an untrained model; seed PyTorch before for the same weights each time.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is no such model.
    """
    _check(name)
    return ARCHITECTURES[name]()


def load(name: str) -> nn.Module:
    """Return a trained model in eval mode.

    >>> sum(item.numel() for item in load("resnet20").parameters())
    272186

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is no such model.
        CorruptFileError: If the weights are missing or not those of the card.
    """
    _check(name)
    content = read_verified(weights_path(name), sha256=read_card(name).sha256)
    # No first weights, so that the random numbers of the process stay as they are.
    with torch.device("meta"):
        model = ARCHITECTURES[name]()
    state = safetensors.torch.load(content)
    model.load_state_dict({name: item.clone() for name, item in state.items()}, assign=True)
    return model.eval()


def card(name: str) -> Card:
    """Return the card of a model.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is no such model.
        CorruptFileError: If the card is missing or damaged.
    """
    _check(name)
    return read_card(name)


def weights_path(name: str) -> Path:
    """Return where the weights of a model are kept."""
    return WEIGHTS / f"{name}.safetensors"


def _check(name: str) -> None:
    if name not in names():
        raise ValueError(f"unknown sample model {name!r}, known are {', '.join(names())}")
