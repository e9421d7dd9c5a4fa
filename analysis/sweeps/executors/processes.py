"""Slices of a sweep on several devices of this machine, a process each.

Each slice is shared out by its points, so the table is the one of a single device.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any

import torch

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel, Measured, Slices
from analysis.records import SweepSpec
from analysis.sweeps.executors.shard import ShardWorker, packed, unpacked
from analysis.sweeps.executors.shares import joined
from analysis.sweeps.grid import Item
from pruners.errors import InputError

POLL_SECONDS = 0.2
# Idle processes end by themselves within it.
GRACE_SECONDS = 20.0
# A job that takes this many processes down is to blame itself.
MAX_LOSSES = 3


class _Here:
    """What a process has opened."""

    worker: ShardWorker


def _open(given: tuple[Any, ...], threads: int) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    # The standard output is that of the command; what users' code prints is beside its answer.
    sys.stdout = sys.stderr
    _Here.worker = ShardWorker(*given, threads=threads)


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, which is for the one that starts them.

    What is blocked here is so there, from the first instruction on.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _measure(number: int, positions: Sequence[int]) -> dict[str, Any]:
    return _Here.worker.measure(number, positions)


def _pid() -> int:
    return os.getpid()


class ProcessExecutor:
    """A process for each device.

    Args:
        prepared: The subject, on any of them.
        spec: The sweep.
        items: All items that may be measured.
        slices: The slices of the sweep.
        devices: Names of the devices; ``cpu`` may be among them several times.

    Attributes:
        lost: Processes that were lost and replaced.
    """

    width = 1

    def __init__(
        self,
        prepared: PreparedSubject,
        spec: SweepSpec,
        items: Sequence[Item],
        slices: Slices,
        devices: Sequence[str],
    ) -> None:
        self._items = list(items)
        self._position = {id(item): at for at, item in enumerate(items)}
        self._plain = packed(items)
        self._identity, self._slicing = prepared.identity, slices.slicing
        self._batches = len(slices)
        self._ways = prepared.evaluator_at(spec.precision).ways()
        self._specs = [
            dataclasses.replace(
                spec,
                executor="local",
                subject=dataclasses.replace(spec.subject, device=device),
            ).to_dict()
            for device in devices
        ]
        self._threads = max(1, torch.get_num_threads() // len(devices))
        self.lost = 0
        self._is_busy = False
        self._pools = [self._opened(number) for number in range(len(devices))]

    def _opened(self, number: int) -> ProcessPoolExecutor:
        given = (self._specs[number], self._plain, self._identity, self._slicing, self._ways)
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_open,
            initargs=(given, self._threads),
        )

    def pids(self) -> list[int]:
        """Return the processes."""
        with _deaf():
            asked = [pool.submit(_pid) for pool in self._pools]
        return [item.result() for item in asked]

    def measure(
        self, jobs: Sequence[tuple[int, Sequence[Item]]], cancel: Cancel
    ) -> list[Measured[Item]] | None:
        """Measure jobs, each shared out among the devices; None if cancelled.

        Raises:
            InputError: The data raised, or processes are lost again and again.
        """
        found = []
        for number, items in jobs:
            measured = self._shared(number, items, cancel)
            if measured is None:
                return None
            found.append(measured)
        return found

    def _shared(self, number: int, items: Sequence[Item], cancel: Cancel) -> Measured[Item] | None:
        positions = [self._position[id(item)] for item in items]
        count = len(self._pools)
        # Without a point there is the dense model to measure.
        shares = {at: share for at in range(count) if (share := positions[at::count])} or {0: []}
        pending = {self._submit(at, number, share): at for at, share in shares.items()}
        results: dict[int, dict[str, Any]] = {}
        losses = 0
        self._is_busy = True
        while pending:
            done, _ = wait(pending, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            if cancel():
                return None
            for future in done:
                at = pending.pop(future)
                try:
                    results[at] = future.result()
                except BrokenProcessPool:
                    losses += 1
                    self.lost += 1
                    if losses > MAX_LOSSES:
                        # Not for a moment's want of memory: the same batch would end it again.
                        device = self._specs[at]["subject"]["device"]
                        raise InputError(
                            f"the process of device {device} was lost at batch {number + 1} of "
                            f"{self._batches}, as were {MAX_LOSSES} that were started for it; is "
                            "there enough memory? Take a smaller batch size, or fewer devices"
                        ) from None
                    self._pools[at] = self._opened(at)
                    pending[self._submit(at, number, shares[at])] = at
        self._is_busy = False
        return joined([unpacked(results[at], self._items) for at in sorted(results)])

    def _submit(self, at: int, number: int, share: Sequence[int]) -> Future[dict[str, Any]]:
        # A process is started by what it is first given.
        with _deaf():
            try:
                return self._pools[at].submit(_measure, number, share)
            except BrokenProcessPool:
                self.lost += 1
                self._pools[at] = self._opened(at)
                return self._pools[at].submit(_measure, number, share)

    def close(self) -> None:
        """End the processes; what they are at is given up."""
        processes = [item for pool in self._pools for item in (pool._processes or {}).values()]
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        # What a process has of the system is given back by itself only, which takes a moment.
        end = time.monotonic() + (0.0 if self._is_busy else GRACE_SECONDS)
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join()
