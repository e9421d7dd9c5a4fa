"""Between database rows and records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.records import Count, Moment, PointKey, SliceCounts, Sums, decode, decode_json
from pruners.errors import InputError

Row = Mapping[str, Any]

SUM_COLUMNS = ("samples", "terms", "seconds")
SUM_LIST = ", ".join(SUM_COLUMNS)
POINT_COLUMNS = (
    "run_id",
    "position",
    "criterion",
    "granularity",
    "layer",
    '"group"',
    "ratio_requested",
    "kept",
    "total",
    "params",
    "macs",
    "cache_key",
)


@dataclass(frozen=True, slots=True)
class QueueColumns:
    """Columns of a run that others read as well: SQLite keeps values of any type in any column."""

    run_id: str
    device: str
    state: str
    queued: Moment
    heartbeat: Moment
    pid: int | None
    host: str


@dataclass(frozen=True, slots=True)
class RunColumns(QueueColumns):
    """Columns of a run, all but those of JSON."""

    created: Moment
    error: str
    samples: Count
    total_samples: Count
    saves: Count
    done: Count
    total: Count | None
    unit: str
    eta_seconds: float | None
    seconds: float
    fingerprint: str
    data_fingerprint: str
    program: str
    name: str


def is_sound(kind: type[QueueColumns], row: Row) -> bool:
    """Return whether the columns of a row are of their types."""
    try:
        decode(kind, dict(row), name="the run")
    except InputError:
        return False
    return True


def placeholders(count: int) -> str:
    """Return ``?, ?, ...``."""
    return ", ".join("?" * count)


def sums_of(row: Row) -> Sums:
    """Return the sums in a row."""
    terms = decode_json(dict[str, int | float], row["terms"], name="terms")
    return Sums(samples=row["samples"], seconds=row["seconds"], terms=terms)


def sum_values(sums: Sums) -> tuple[float | str, ...]:
    """Return sums in the order of `SUM_COLUMNS`; JSON keeps each number to the last bit."""
    return sums.samples, json.dumps(dict(sums.terms)), sums.seconds


def key_of(row: Row) -> PointKey:
    """Return the point that a row is about."""
    return PointKey(
        criterion=row["criterion"],
        granularity=row["granularity"],
        layer=row["layer"],
        group=row["group"],
        ratio_requested=row["ratio_requested"],
        kept=row["kept"],
        total=row["total"],
    )


def key_values(key: PointKey) -> tuple[str | float | None, ...]:
    """Return a point's cell in the order of `POINT_COLUMNS`, criterion to total."""
    return (
        key.criterion,
        key.granularity,
        key.layer,
        key.group,
        key.ratio_requested,
        key.kept,
        key.total,
    )


def looks_text(looks: Sequence[SliceCounts]) -> str:
    """Return looks as JSON; empty without any."""
    return json.dumps([[look.lost, look.gained, look.samples] for look in looks]) if looks else ""


def looks_of(row: Row) -> tuple[SliceCounts, ...]:
    """Return the looks in a row."""
    looks = decode_json(tuple[tuple[float, float, Count], ...], row["looks"] or "[]", name="looks")
    return tuple(SliceCounts(*counts) for counts in looks)
