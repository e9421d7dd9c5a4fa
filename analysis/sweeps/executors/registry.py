"""The registry of executors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.devices import device_names
from analysis.sweeps import executors
from analysis.sweeps.executors.executor import Executor, ExecutorKind
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.sweeps.grid import Item
    from analysis.sweeps.planned import PlannedSweep

EXECUTORS = Registry(
    "executor",
    (
        ExecutorKind(
            "local",
            "This machine",
            "one batch after another in this process, or in one a device if there are several",
            lambda planned, items, *, jobs: _here(planned, items),
        ),
        ExecutorKind(
            "ray",
            "Ray cluster",
            "share the batches among the workers of a cluster",
            lambda planned, items, *, jobs: executors.RayExecutor(
                planned.prepared, planned.spec, items, planned.slices, jobs=jobs
            ),
        ),
    ),
)


def _here(planned: PlannedSweep, items: Sequence[Item]) -> Executor:
    given = (planned.prepared, planned.spec, items, planned.slices)
    devices = device_names(planned.spec.subject.device)
    if len(devices) > 1:
        return executors.ProcessExecutor(*given, devices)
    return executors.LocalExecutor(*given)


def open_executor(planned: PlannedSweep, items: Sequence[Item], *, jobs: int) -> Executor:
    """Return the executor that a sweep asks for; see `Opener` for the arguments.

    Raises:
        UnknownNameError: There is no such executor.
        InputError: There is no cluster, or Ray is not installed.
    """
    return EXECUTORS.get(planned.spec.executor).open(planned, items, jobs=jobs)
