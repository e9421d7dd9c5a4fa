"""Load the model that an address names, with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_path
from analysis.subjects.factories import CHANCE
from analysis.subjects.models.adapted import adapted, config_digest
from analysis.subjects.models.weights import load_weights
from analysis.subjects.models.wrapped import (
    check_methods,
    check_plain,
    own_memory,
    permanent_masks,
    unwrapped,
)
from analysis.subjects.schemes import MODEL_SCHEMES, Built, Scheme
from analysis.tasks import Task
from pruners.batches import Inputs, Tensors
from pruners.errors import AddressError, UnsupportedError, one_line

# Without weights a model still has structure and costs; the same ones each time.
RANDOM_SEED = 0
RANDOM_WEIGHTS = "The weights are random: the address names no #weights=FILE."


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model with what is known of its input.

    Attributes:
        model: In eval mode, on the CPU, without gradients.
        input_shape: Shape of one input, if the source knows it.
        notes: What a person should know, such as that the weights are random.
        output: The output that is measured, by name or number; empty where there is one.
    """

    model: nn.Module
    input_shape: tuple[int, ...] | None
    notes: tuple[str, ...] = ()
    output: str = ""

    def adapt(self, task: Task, inputs: Inputs | None = None) -> None:
        """Let the model take a batch and return one tensor, if it does not by itself; in place.

        Args:
            task: Says what it returns.
            inputs: A batch of the kind that it is given; None is one tensor.
        """
        config = config_digest(self.model)
        # Most tasks take one tensor as it is.
        packed = None if type(task).packed is Task.packed else task.packed
        if isinstance(inputs, Tensors) or self.output or config or packed is not None:
            adapted(self.model, inputs, output=self.output, config=config, packed=packed)


def load_model(address: Address, *, roots: Roots = None) -> LoadedModel:
    """Build a model and load its weights.

    Args:
        address: Parsed model address.
        roots: Allowed folders; None allows everything.

    Raises:
        AddressError: What the address names is missing, raises, or does not fit the weights.
    """
    scheme = MODEL_SCHEMES.get(address.scheme)
    weights = _weights_file(address, roots)
    model, shape = _built_from(scheme, address, roots)
    if not isinstance(model, nn.Module):
        raise AddressError(
            f"{address.text!r}: a model factory returns an nn.Module, this one returned a "
            f"{type(model).__name__}"
        )
    try:
        check_methods(model)
        model = unwrapped(model)
        check_plain(model)
    except UnsupportedError as error:
        raise AddressError(f"{address.text!r}: {error}") from None
    own_memory(model)
    notes: tuple[str, ...] = ()
    if weights is not None:
        notes = load_weights(model, weights, place=address.options.get("key"))
    elif has_random_weights(address):
        notes = (RANDOM_WEIGHTS,)
    if not any(True for _ in model.parameters()):
        raise AddressError(f"{address.text!r}: the model has no parameters")
    notes += permanent_masks(model)
    shape = address.shape("input") or shape
    try:
        # Not chained: overridden methods may return nothing.
        model.eval()
        model.requires_grad_(False)
    except Exception as error:
        # What torch.export returns, for example, has one mode only.
        raise AddressError(
            f"{address.text!r}: the model cannot be put into eval mode: {one_line(error)}"
        ) from error
    if training := [name or "the model" for name, item in model.named_modules() if item.training]:
        raise AddressError(
            f"{address.text!r}: {', '.join(training[:3])} stays in train mode when the model is "
            "put into eval mode; what is measured would depend on the batch or on chance"
        )
    return LoadedModel(model, shape, notes, address.options.get("output", ""))


def has_random_weights(address: Address) -> bool:
    """Return whether an address names an architecture without weights."""
    return MODEL_SCHEMES.get(address.scheme).is_random and "weights" not in address.options


def _weights_file(address: Address, roots: Roots) -> Path | None:
    path = address.path("weights")
    if path is not None:
        return check_path(path, roots=roots)
    if "key" in address.options:
        raise AddressError(f"{address.text!r}: key says which weights of #weights=FILE are taken")
    return None


def _built_from(scheme: Scheme[Built], address: Address, roots: Roots) -> Built:
    """Build what an address names; random first weights are the same each time."""
    if scheme.is_trained and "weights" not in address.options:
        return scheme.open(address, roots)
    with CHANCE.turn(address.text), torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return scheme.open(address, roots)
