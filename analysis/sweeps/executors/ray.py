"""Slices of a sweep on the workers of an existing Ray cluster, in synchronous rounds.

Each worker loads the subject from its addresses; masks go out and sums come back as plain data. A
round gives each worker one job: in an exhaustive sweep a slice with all points, in an adaptive one
a share of the points of one slice. Results come back in the order of the jobs, so that the final
table is the one of a single process. The job of a worker that is lost is measured by a new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel, Measured, Slices
from analysis.records import SweepSpec
from analysis.sweeps.executors.shard import ShardWorker, packed, unpacked
from analysis.sweeps.grid import Item
from pruners.errors import InputError, first_line

POLL_SECONDS = 0.5
# A job that takes this many workers down is to blame itself.
MAX_LOSSES = 5


class RayExecutor:
    """Workers on a Ray cluster, one a free CPU.

    Args:
        prepared: The subject.
        spec: The sweep.
        items: All items that may be measured.
        slices: The slices of the sweep.
        jobs: Jobs of the largest round; more workers than that are of no use.

    Attributes:
        lost: Workers that were lost and replaced.

    Raises:
        InputError: Ray is not installed, or no cluster is found.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        spec: SweepSpec,
        items: Sequence[Item],
        slices: Slices,
        *,
        jobs: int,
    ) -> None:
        identity = prepared.identity
        self._ray = _connected(spec.ray_address)
        self._items = list(items)
        self._position = {id(item): at for at, item in enumerate(items)}
        ways = prepared.evaluator_at(spec.precision).ways()
        self._given = (spec.to_dict(), self._ray.put(packed(items)), identity, slices.slicing, ways)
        free = int(self._ray.available_resources().get("CPU", 1))
        self.lost = 0
        self._workers = [self._new_worker() for _ in range(max(1, min(free, jobs)))]

    @property
    def width(self) -> int:
        """Number of jobs a round."""
        return len(self._workers)

    def _new_worker(self) -> Any:
        return self._ray.remote(ShardWorker).options(num_cpus=1).remote(*self._given)

    def pids(self) -> list[int]:
        """Return the processes of the workers."""
        found: list[int] = self._ray.get([worker.pid.remote() for worker in self._workers])
        return found

    def measure(
        self, jobs: Sequence[tuple[int, Sequence[Item]]], cancel: Cancel
    ) -> list[Measured[Item]] | None:
        """Measure a round of at most `width` jobs; None if cancelled.

        Args:
            jobs: Numbers of slices with the items to measure on them.
            cancel: Asked while waiting.

        Raises:
            InputError: The data raised, or workers are lost again and again.
        """
        plain = [(number, [self._position[id(item)] for item in items]) for number, items in jobs]
        results: dict[int, dict[str, Any]] = {}
        pending = {self._submit(at, plain[at]): at for at in range(len(plain))}
        losses = 0
        while pending:
            ready, _ = self._ray.wait(list(pending), timeout=POLL_SECONDS)
            if cancel():
                return None
            for reference in ready:
                at = pending.pop(reference)
                try:
                    results[at] = self._ray.get(reference)
                except self._ray.exceptions.RayActorError as error:
                    losses += 1
                    self.lost += 1
                    if losses > MAX_LOSSES:
                        raise InputError(f"Ray workers are lost again and again: {error}") from None
                    self._workers[at] = self._new_worker()
                    pending[self._submit(at, plain[at])] = at
        return [unpacked(results[at], self._items) for at in range(len(plain))]

    def _submit(self, at: int, job: tuple[int, list[int]]) -> Any:
        return self._workers[at].measure.remote(*job)

    def close(self) -> None:
        """Give the workers back to the cluster."""
        for worker in self._workers:
            self._ray.kill(worker)


def _connected(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError("--executor ray needs Ray: pip install 'prunescope[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(
                f"no Ray cluster at address {address!r} ({first_line(error)}); start one with: "
                "ray start --head"
            ) from None
    return ray
