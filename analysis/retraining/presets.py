"""Recipes to choose from by name; what they take depends on model and data, and is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pruners.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A recipe to begin with.

    Attributes:
        name: Name in commands.
        label: Name on pages.
        help: What it is, in plain words.
        fields: Fields of the recipe that differ from what is usual.
    """

    name: str
    label: str
    help: str
    fields: dict[str, Any] = field(default_factory=dict)


_DISTILLED = {"distill": 0.9, "temperature": 4.0}
# An epoch of few samples is too short to train in.
_LEAST = 150
PRESETS = Registry(
    "preset",
    (
        Preset(
            name="quick",
            label="Quick",
            help=f"1 epoch, {_LEAST:,} steps at least, distilled from the dense model",
            fields={"epochs": 1.0, "least_steps": _LEAST, **_DISTILLED},
        ),
        Preset(
            name="standard",
            label="Standard",
            help=f"3 epochs, {3 * _LEAST:,} steps at least, distilled from the dense model",
            fields={"epochs": 3.0, "least_steps": 3 * _LEAST, **_DISTILLED},
        ),
        Preset(
            name="thorough",
            label="Thorough",
            help=f"10 epochs, {10 * _LEAST:,} steps at least, distilled from the dense model",
            fields={"epochs": 10.0, "least_steps": 10 * _LEAST, **_DISTILLED},
        ),
    ),
)
