"""The records that pass between modules, processes and files: frozen, versioned, JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pruners.errors import InputError

SCHEMA_VERSION = 1
# Least and usual bytes that cached values may take.
LEAST_MEMORY = 2**20
DEFAULT_MEMORY_LIMIT = 2**30

Granularity = str
Status = Literal["measured", "inferred", "failed"]


class Record:
    """Base of the frozen dataclasses that are written as JSON objects."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; tuples become lists."""
        return {
            item.name: _plain(getattr(self, item.name))
            for item in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Build the record from what `to_dict` wrote.

        Raises:
            InputError: Unknown or missing fields, or a newer schema version.
        """
        if not isinstance(data, dict):
            raise InputError(f"{cls.__name__}: expected a JSON object, found {type(data).__name__}")
        fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(data) - set(fields))
        if unknown:
            raise InputError(f"{cls.__name__}: unknown field(s) {', '.join(unknown)}")
        version = data.get("schema_version", SCHEMA_VERSION)
        if "schema_version" in fields and version != SCHEMA_VERSION:
            raise InputError(
                f"{cls.__name__}: schema version {version!r} found, this program reads "
                f"{SCHEMA_VERSION}"
            )
        hints = typing.get_type_hints(cls)
        try:
            return cls(**{name: _typed(hints[name], value) for name, value in data.items()})
        except TypeError as error:
            raise InputError(f"{cls.__name__}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(hint: Any, value: Any) -> Any:
    """Turn JSON lists and objects back into the tuples and records that ``hint`` names."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _typed(next(item for item in arguments if item is not type(None)), value)
    if origin is tuple and isinstance(value, list | tuple):
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        if inner is not None:
            return tuple(_typed(inner, item) for item in value)
        return tuple(_typed(kind, item) for kind, item in zip(arguments, value, strict=True))
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSpec(Record):
    """What is studied: everything needed to load the subject again.

    Attributes:
        model: Model address.
        data: Data address; None allows what needs no data (inspect, data-free criteria).
        samples: Size of the evaluation subset; None takes all samples.
        calibration_samples: Size of the calibration set.
        batch_size: Evaluation batch size.
        seed: Seed of the evaluation subset, the calibration choice and random criteria.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        memory_limit: Bytes that the values kept of a batch may take; what does not fit is measured
            in parts. No number depends on it but for rounding.
        criterion_files: Python files with criteria of the user's own, loaded with the subject.
    """

    model: str
    data: str | None = None
    samples: int | None = None
    calibration_samples: int = 512
    batch_size: int = 250
    seed: int = 0
    device: str = "cpu"
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    criterion_files: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec(Record):
    """A sweep that can be repeated: the subject and the grid of points.

    Attributes:
        subject: What is studied.
        criteria: Names of the criteria.
        granularity: ``element``, ``channel``, ``head``, ``block:NxM`` or ``n:m``.
        ratios: Requested ratios in [0, 1), rising.
        layers: Glob over layer names; ``*`` takes all.
        mode: ``exhaustive`` measures every point on every sample; ``adaptive`` stops early.
        tolerance: Accuracy drop that the adaptive mode decides on, as a fraction (0.01 = 1 pp).
        confidence: Confidence of the intervals and of adaptive decisions.
        repair: ``none``, ``bn`` or ``lsq``.
        semantics: ``removal`` (as if physically removed) or ``weights`` (weight and bias masked).
        reduction: How member layers' scores join in a coupled group.
        precision: ``float32``, or ``bf16`` with close answers done again exactly.
        executor: ``local``, or ``ray`` to share the batches among a cluster's workers.
        ray_address: The cluster; ``auto`` takes ``RAY_ADDRESS`` or one on this machine.
    """

    subject: SubjectSpec
    criteria: tuple[str, ...] = ("l1", "fpgm", "taylor")
    granularity: Granularity = "channel"
    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    layers: str = "*"
    mode: str = "exhaustive"
    tolerance: float = 0.01
    confidence: float = 0.95
    repair: str = "none"
    semantics: str = "removal"
    reduction: str = "mean"
    precision: str = "float32"
    executor: str = "local"
    ray_address: str = "auto"
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class PointKey(Record):
    """One cell of a sweep's grid.

    Attributes:
        layer: Module name; at channel granularity that of the group's first producer.
        group: The group's id; None where the granularity has no groups.
        kept: Number of units that stay; ``total`` of them exist.
    """

    criterion: str
    granularity: Granularity
    layer: str
    group: str | None
    ratio_requested: float
    kept: int
    total: int

    @property
    def ratio_achieved(self) -> float:
        """Fraction of the units that is removed."""
        return (self.total - self.kept) / self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums(Record):
    """Counts and sums over evaluated samples; shards merge by adding.

    Attributes:
        samples: Samples evaluated.
        correct: Right top-1 answers (without labels: answers equal to the dense model's).
        gained: Dense wrong, pruned right.
        lost: Dense right, pruned wrong.
        agree: Same top-1 answer as the dense model.
        loss: Sum of the cross-entropy (0 without labels).
        kl: Sum of KL(dense || pruned) of the softmax outputs, in nats.
        seconds: Compute time spent.
    """

    samples: int = 0
    correct: int = 0
    gained: int = 0
    lost: int = 0
    agree: int = 0
    loss: float = 0.0
    kl: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            **{
                item.name: getattr(self, item.name) + getattr(other, item.name)
                for item in dataclasses.fields(self)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry(Record):
    """What a plan does to one group (channel, head) or layer (element, block, n:m).

    Attributes:
        layer: Module name of the layer, or of the group's first producer.
        group: The group's id; None where the granularity has no groups.
        ratio: Requested ratio.
        kept: Number of units that stay, of ``total``.
        indices: The kept units in rising order; None where masks are too large to list
            (element): they follow from criterion, seed and kept count, and are stored as a file.
        locked: Auto-fill leaves the entry alone.
    """

    layer: str
    group: str | None
    criterion: str
    granularity: Granularity
    ratio: float
    kept: int
    total: int
    indices: tuple[int, ...] | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Record):
    """A pruning configuration of one subject.

    Attributes:
        subject: What it applies to.
        fingerprint: Content fingerprint of the model's weights that it was made for.
        entries: One entry a pruned group or layer; what is not listed stays dense.
        run: The run whose points it was chosen from, if any.
        strategy: How it was made: ``manual``, ``uniform``, ``threshold``, ...
        semantics: ``removal`` or ``weights``, as in `SweepSpec`.
        reduction: How member layers' scores join in a coupled group, as in `SweepSpec`.
        note: Free text.
    """

    subject: SubjectSpec
    fingerprint: str
    entries: tuple[PlanEntry, ...] = ()
    run: str | None = None
    strategy: str = "manual"
    semantics: str = "removal"
    reduction: str = "mean"
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
