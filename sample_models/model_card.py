"""The card of a sample model: what it is, how good it is, how it was made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_models.files import PACKAGE, CorruptFileError

CARDS = PACKAGE / "cards"
SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about one trained sample model.

    Attributes:
        name: Name of the model.
        topology: What makes it interesting to prune, in a few words.
        paper: Where the architecture comes from.
        parameters: Number of trainable parameters.
        macs: Multiply-adds for one input; bias, norms and activations excluded, the two matrix
            products of attention included.
        data: Name of the data set that it is measured on.
        metric: What is measured: ``accuracy``, ``mIoU`` or ``perplexity``.
        value: What was measured on all test samples.
        total: Test samples.
        command: Command that trained it.
        seed: Seed of the training.
        epochs: Passes over the training samples.
        torch: Version of PyTorch that trained it.
        licence: Licence of the weights.
        sha256: Checksum of the weights file.
    """

    name: str
    topology: str
    paper: str
    parameters: int
    macs: int
    data: str
    metric: str
    value: float
    total: int
    command: str
    seed: int
    epochs: int
    torch: str
    licence: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values for JSON."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Make a card of what `to_dict` returned.

        Raises:
            ValueError: If the version is another one, or fields are missing or unexpected.
        """
        fields = dict(values)
        version = fields.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise ValueError(f"card has schema version {version}, expected {SCHEMA_VERSION}")
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"card does not fit: {error}") from error


def card_path(name: str) -> Path:
    """Return where the card of a model is kept."""
    return CARDS / f"{name}.json"


def read_card(name: str) -> Card:
    """Read the card of a model.

    Raises:
        CorruptFileError: If the card is missing or damaged.
    """
    path = card_path(name)
    try:
        return Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptFileError(f"cannot read the card {path}: {error}") from error
