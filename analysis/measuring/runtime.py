"""What runs a model when its time is measured; needs no torch to be listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pruners.batches import Inputs

# Makes a model and a batch ready to run: what is called is timed.
Opener = Callable[["nn.Module", "Inputs"], Callable[[], object]]


def _in_torch(model: nn.Module, inputs: Inputs) -> Callable[[], object]:
    return lambda: model(inputs)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a model when its time is measured.

    Attributes:
        name: Short name, used in commands and files.
        label: Name for people.
        help: What it is, one sentence.
        open: Makes a model and a batch ready to run.
    """

    name: str
    label: str
    help: str
    open: Opener


TORCH = Runtime("torch", "PyTorch", "as the model runs here", _in_torch)
