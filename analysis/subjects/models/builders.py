"""Build what model addresses name: one function a scheme."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import sample_models
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots
from analysis.subjects.factories import call_factory
from analysis.subjects.torchvision_import import torchvision
from pruners.errors import AddressError, one_line

if TYPE_CHECKING:
    from analysis.subjects.schemes import Built


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
    return model, sample_models.DATA_SETS[sample_models.card(address.name).data].input_shape


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
