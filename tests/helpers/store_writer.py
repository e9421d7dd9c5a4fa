"""Writes made-up batches to a store; imports no torch, so that a process of it starts at once."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from analysis import records
from analysis.records.probe import ProbePart
from analysis.records.progress import Progress
from analysis.records.run import Identity
from analysis.records.subject import SubjectSpec
from analysis.records.sums import SliceCounts, Sums
from analysis.records.sweep import PlannedPoint, PointKey, SweepSpec
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


def planned(found: list[PointKey], *, salt: str = "") -> list[PlannedPoint]:
    return [
        PlannedPoint(
            key=key,
            cache_key=f"{salt}{key.layer}/{key.criterion}/{key.kept}",
            params=1000 + key.kept,
            macs=None,
        )
        for key in found
    ]


IDENTITY = Identity(weights="w", data="d", program="2:p")


def started(
    store: Store,
    spec: SweepSpec = SPEC,
    *,
    found: list[PointKey] | None = None,
    identity: Identity = IDENTITY,
) -> str:
    """Enter a run that the worker ``me`` works on."""
    run_id = store.runs.create(spec)
    store.jobs.attach(run_id, owner="me", pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(run_id)
    store.jobs.describe(
        run_id,
        identity=identity,
        has_labels=True,
        total_samples=40,
        versions={"torch": "2"},
    )
    store.points.enter(run_id, planned(keys() if found is None else found))
    return run_id


def ended(store: Store, state: str = records.DONE, *, batches: int = 4) -> str:
    run_id = started(store)
    for batch in range(1, batches + 1):
        store.points.save(run_id, update(batch, keys()), owner="me")
    store.jobs.finish(run_id, state, owner="me", seconds=2.0)
    return run_id
