"""The sizes of a smaller model as numbers of a Transformers configuration.

A configuration is asked rather than known: each of its numbers is changed in turn, the model is
built without memory, and the dimensions that change with it are those that the number says.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from pruners.errors import UnsupportedError, first_line

HEADS, HEAD_SIZE, WIDTH = "num_attention_heads", "head_dim", "hidden_size"
_ELSE = "export the smaller model (model, onnx)"
_HINT = f"leave that whole, or {_ELSE}"
Shapes = dict[str, torch.Size]
# A parameter's name and one of its dimensions.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of a configuration: ``size = base + slope * (number - value)`` at each place."""

    name: str
    value: int
    slopes: Mapping[Place, Fraction]

    def asked(self, place: Place, base: Shapes, sizes: Shapes) -> Fraction:
        """Return what the number has to be for the size at a place."""
        name, dim = place
        return self.value + (sizes[name][dim] - base[name][dim]) / self.slopes[place]


def smaller_config(small: nn.Module) -> Any:
    """Return the configuration that builds a model of these sizes.

    Args:
        small: A ``PreTrainedModel`` whose parameters were made smaller; its configuration is that
            of the dense model.

    Raises:
        UnsupportedError: No configuration says them; the message names number, layers and sizes.
    """
    kind, base = type(small), _shapes(type(small), small.config)
    config = _with_implied(kind, small.config, base)
    sizes = {name: item.shape for name, item in small.state_dict().items() if name in base}
    open_places = {
        (name, dim)
        for name, shape in base.items()
        for dim in range(len(shape))
        if sizes[name][dim] != shape[dim]
    }
    said: set[Place] = set()
    chosen: dict[str, int] = {}
    for number in _numbers(kind, config, base):
        if not open_places:
            break
        places = [place for place in number.slopes if place not in said]
        if not open_places & set(places):
            continue
        chosen[number.name] = _common(config, number, places, base, sizes)
        said.update(places)
        open_places -= said
    if open_places:
        (name, dim), *_ = sorted(open_places)
        raise UnsupportedError(
            f"no number of {type(config).__name__} says the size {sizes[name][dim]} of {name} "
            f"(dense: {base[name][dim]}); {_HINT}"
        )
    for start in (small.config, config):
        found, shapes = _read_back(kind, start, chosen)
        wrong = sorted(name for name in sizes if shapes[name] != sizes[name])
        if not wrong:
            return found
    raise UnsupportedError(
        f"{type(config).__name__} with {_words(chosen)} makes {wrong[0]} of "
        f"{list(shapes[wrong[0]])}, the smaller model has {list(sizes[wrong[0]])}; {_HINT}"
    )


def _common(config: Any, number: _Number, places: list[Place], base: Shapes, sizes: Shapes) -> int:
    """Return the one value that all places ask for."""
    asked: dict[Fraction, str] = {}
    for place in places:
        asked.setdefault(number.asked(place, base, sizes), place[0].rpartition(".")[0])
    if len(asked) > 1:
        parts = " and ".join(f"{_text(value)} at {layer}" for value, layer in asked.items())
        # The width is that of every layer: equal counts in some are not enough.
        hint = (
            _HINT
            if _is_width(config, number.name)
            else f"make the kept counts equal (plan with --equal), or {_ELSE}"
        )
        raise UnsupportedError(
            f"{type(config).__name__} has one {number.name} for all layers, and the plan asks for "
            f"{parts}; {hint}"
        )
    (value,) = asked
    if value.denominator > 1:
        raise UnsupportedError(
            f"{type(config).__name__} cannot say {number.name} = {_text(value)}, which the plan "
            f"asks for at {asked[value]}; {_HINT}"
        )
    return int(value)


def _is_width(config: Any, name: str) -> bool:
    return bool(name == config.attribute_map.get(WIDTH, WIDTH))


def _text(value: Fraction) -> str:
    return f"{float(value):g}"


def _numbers(kind: type[nn.Module], config: Any, base: Shapes) -> Iterator[_Number]:
    """Yield the numbers of a configuration that say sizes: heads first, the width last."""
    names = [
        name
        for name, value in config.to_dict().items()
        if type(value) is int and value > 1 and name != "vocab_size"
    ]
    for name in sorted(names, key=lambda name: (_is_width(config, name), name == HEAD_SIZE)):
        value = getattr(config, name)
        for other in (2 * value, value // 2):
            try:
                changed = _shapes(kind, _changed(config, {name: other}))
            except Exception:  # a library's own checks: this value is none of its own
                continue
            yield _Number(name, value, dict(_slopes(base, changed, other - value)))
            break


def _slopes(base: Shapes, changed: Shapes, step: int) -> Iterator[tuple[Place, Fraction]]:
    for name in (name for name in base if name in changed):
        for dim, (old, new) in enumerate(zip(base[name], changed[name], strict=True)):
            if old != new:
                yield (name, dim), Fraction(new - old, step)


def _with_implied(kind: type[nn.Module], config: Any, base: Shapes) -> Any:
    """Say the size of a head and of GPT-2's hidden layer, which else follow from other numbers."""
    heads, width = getattr(config, HEADS, None), getattr(config, WIDTH, None)
    if not isinstance(heads, int) or not isinstance(width, int):
        return config
    implied = {HEAD_SIZE: width // heads}
    if hasattr(config, "n_inner"):
        implied["n_inner"] = 4 * width
    for name, value in implied.items():
        if getattr(config, name, None) is None:
            try:
                found = _changed(config, {name: value})
                config = found if _shapes(kind, found) == base else config
            except Exception:  # as above
                continue
    return config


def _changed(config: Any, values: Mapping[str, int]) -> Any:
    found = copy.deepcopy(config)
    for name, value in values.items():
        setattr(found, name, value)
    return found


def _shapes(kind: type[nn.Module], config: Any) -> Shapes:
    """Return the shapes of all tensors of a model, which takes no memory."""
    with torch.device("meta"):
        return {name: item.shape for name, item in kind(config).state_dict().items()}


def _read_back(kind: type[nn.Module], config: Any, chosen: Mapping[str, int]) -> tuple[Any, Shapes]:
    """Return the configuration as its own class reads it back, which refuses odd values."""
    try:
        found = type(config).from_dict(_changed(config, chosen).to_dict())
        return found, _shapes(kind, found)
    except Exception as error:
        raise UnsupportedError(
            f"{type(config).__name__} refuses {_words(chosen)}: {first_line(error)}; {_HINT}"
        ) from None


def _words(chosen: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in chosen.items())
