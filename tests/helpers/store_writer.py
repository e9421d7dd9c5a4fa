"""Writes made-up batches to a store; imports no torch, so that a process of it starts at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from analysis.records.probe import ProbePart
from analysis.records.progress import Progress
from analysis.records.subject import SubjectSpec
from analysis.records.sums import SliceCounts, Sums
from analysis.records.sweep import PointKey, SweepSpec
from analysis.store.store import Store

SPEC = SweepSpec(
    subject=SubjectSpec(model="sample:lenet5", data="sample:fashion-mnist", batch_size=10),
    criteria=("l1", "l2"),
    ratios=(0.25, 0.5),
)


@dataclass(frozen=True)
class Update:
    """What the store reads of a `analysis.sweeps.sweep.SweepUpdate`."""

    progress: Progress
    samples: int
    baseline: Sums
    sums: dict[PointKey, Sums]
    failed: dict[PointKey, str] = field(default_factory=dict)
    eta_seconds: float = 3.0
    inferred: dict[PointKey, str] = field(default_factory=dict)
    looks: dict[PointKey, tuple[SliceCounts, ...]] = field(default_factory=dict)
    probe: ProbePart[PointKey] | None = None


def keys(layers: tuple[str, ...] = ("a", "b"), spec: SweepSpec = SPEC) -> list[PointKey]:
    return [
        PointKey(
            criterion=criterion,
            granularity="channel",
            layer=layer,
            group=layer,
            ratio_requested=ratio,
            kept=round(8 * (1 - ratio)),
            total=8,
        )
        for layer in layers
        for criterion in spec.criteria
        for ratio in spec.ratios
    ]


def sums(batch: int, *, lost: int = 0, loss: float = 0.5) -> Sums:
    """Sums after some batches of ten samples."""
    return Sums(
        samples=10 * batch,
        seconds=0.01 * batch,
        terms={
            "correct": 8 * batch - lost,
            "gained": 0,
            "lost": lost,
            "agree": 10 * batch - lost,
            "loss": loss * batch,
            "kl": 0.1 * batch,
        },
    )


def update(
    batch: int,
    found: list[PointKey],
    *,
    batches: int = 4,
    failed: dict[PointKey, str] | None = None,
) -> Update:
    return Update(
        progress=Progress(10 * batch, 10 * batches),
        samples=10 * batch,
        baseline=sums(batch),
        sums={key: sums(batch, lost=at) for at, key in enumerate(found)},
        failed=failed or {},
    )


def write_batches(path: Path, run_id: str, first: int, last: int) -> None:
    store = Store(path)
    for batch in range(first, last):
        store.points.save(run_id, update(batch, keys(), batches=last), owner="me")  # type: ignore[arg-type]


def open_and_close(path: Path) -> None:
    Store(path).close()
