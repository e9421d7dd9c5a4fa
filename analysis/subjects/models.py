"""Build the model that an address names, with its weights."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import sample_models
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_path
from analysis.subjects.factories import CHANCE, call_factory
from analysis.subjects.schemes import MODEL_SCHEMES, Built, Scheme
from analysis.subjects.torchvision_import import torchvision
from analysis.subjects.weights import load_weights
from analysis.subjects.wrapped import check_plain, permanent_masks, unwrapped
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
    """

    model: nn.Module
    input_shape: tuple[int, ...] | None
    notes: tuple[str, ...] = ()


def load_model(address: Address, *, roots: Roots = None) -> LoadedModel:
    """Build a model and load its weights.

    Args:
        address: Parsed model address.
        roots: Allowed folders; None allows everything.

    Raises:
        AddressError: What the address names is missing, raises, or does not fit the weights.
    """
    scheme = MODEL_SCHEMES.get(address.scheme)
    weights = address.path("weights")
    if weights is not None:
        weights = check_path(weights, roots=roots)
    model, shape = _built_from(scheme, address, roots)
    if not isinstance(model, nn.Module):
        raise AddressError(
            f"{address.text!r}: a model factory returns an nn.Module, this one returned a "
            f"{type(model).__name__}"
        )
    model = unwrapped(model)
    try:
        check_plain(model)
    except UnsupportedError as error:
        raise AddressError(f"{address.text!r}: {error}") from None
    notes: tuple[str, ...] = ()
    if weights is not None:
        load_weights(model, weights)
    elif has_random_weights(address):
        notes = (RANDOM_WEIGHTS,)
    if not any(True for _ in model.parameters()):
        raise AddressError(f"{address.text!r}: the model has no parameters")
    notes += permanent_masks(model)
    asked = address.numbers("input")
    if asked is not None:
        shape = tuple(int(size) for size in asked)
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
    return LoadedModel(model, shape, notes)


def has_random_weights(address: Address) -> bool:
    """Return whether an address names an architecture without weights."""
    return MODEL_SCHEMES.get(address.scheme).is_random and "weights" not in address.options


def _built_from(scheme: Scheme[Built], address: Address, roots: Roots) -> Built:
    """Build what an address names; random first weights are the same each time."""
    if scheme.is_trained and "weights" not in address.options:
        return scheme.open(address, roots)
    with CHANCE, torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return scheme.open(address, roots)


def build_sample(address: Address, roots: Roots) -> Built:
    """Load a network that comes with PruneScope."""
    names = sample_models.names()
    if address.name not in names:
        raise AddressError(f"unknown sample model {address.name!r}; known: {', '.join(names)}")
    try:
        own = "weights" in address.options
        model = (sample_models.build if own else sample_models.load)(address.name)
    except sample_models.CorruptFileError as error:
        raise AddressError(str(error)) from None
    return model, (1, 28, 28)


def build_torchvision(address: Address, roots: Roots) -> Built:
    """Build a torchvision classifier."""
    models = torchvision().models
    if address.name not in torchvision_models():
        raise _unknown("torchvision classifier", address.name, torchvision_models())
    more: dict[str, Any] = {}
    if address.name in ("googlenet", "inception_v3"):
        more["init_weights"] = False
    model = _built(
        address,
        lambda: models.get_model(address.name, weights=None, **more, **_classes(address)),
    )
    size = 299 if address.name == "inception_v3" else 224
    return model, (3, size, size)


def build_timm(address: Address, roots: Roots) -> Built:
    """Build a timm model."""
    timm = _timm(address.text)
    if not timm.is_model(address.name):
        raise _unknown("timm model", address.name, timm.list_models())
    model = _built(
        address,
        lambda: timm.create_model(address.name, pretrained=False, **_classes(address)),
    )
    shape = getattr(model, "default_cfg", {}).get("input_size")
    return model, tuple(shape) if shape else None


def _timm(text: str) -> Any:
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError):
        # timm imports torchvision by itself, which needs the schemas of `vision` first.
        torchvision()
        try:
            return importlib.import_module("timm")
        except ImportError as error:
            raise AddressError(
                f"{text!r} needs timm ({error}): pip install 'prunescope[timm]'"
            ) from None


def torchvision_models() -> tuple[str, ...]:
    """Return the names of torchvision's classifiers."""
    models = torchvision().models
    return tuple(models.list_models(module=models))


def timm_models() -> tuple[str, ...]:
    """Return the names of timm's models; none where it is not installed."""
    try:
        return tuple(_timm("timm").list_models())
    except AddressError:
        return ()


def build_by_factory(address: Address, roots: Roots) -> Built:
    """Call the function that the address names."""
    return call_factory(address, roots=roots), None


def _classes(address: Address) -> dict[str, int]:
    classes = address.number("classes")
    return {} if classes is None else {"num_classes": classes}


def _built(address: Address, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:
        raise AddressError(f"{address.text!r}: building it raised {one_line(error)}") from error


def _unknown(kind: str, name: str, known: Iterable[str]) -> AddressError:
    near = difflib.get_close_matches(name, list(known), n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return AddressError(f"unknown {kind} {name!r}{hint}")


def sample_names() -> tuple[str, ...]:
    """Return the names of the sample models with trained weights, best demo first."""
    names = sample_models.names()
    first = [name for name in ("resnet20",) if name in names]
    return (*first, *(name for name in names if name not in first))
