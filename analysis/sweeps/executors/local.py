"""Measure the slices of a sweep in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from analysis.edits import Edit, PreparedSubject
from analysis.measuring import Cancel, EditRunner, Measured, Slice, Slices, measure
from analysis.memory import DEFAULT_MEMORY_LIMIT
from analysis.records import SweepSpec
from analysis.repairs import NO_REPAIR, point_repairer
from analysis.sweeps.grid import Item
from pruners.errors import InputError


class LocalExecutor:
    """Measures one job after another.

    Args:
        prepared: The subject.
        spec: The sweep.
        items: All items that may be measured.
        slices: The slices of the sweep.
    """

    width = 1

    def __init__(
        self, prepared: PreparedSubject, spec: SweepSpec, items: Sequence[Item], slices: Slices
    ) -> None:
        self._prepared, self._spec, self._slices = prepared, spec, slices
        self._repairer = point_repairer(
            prepared, spec.repair, semantics=spec.semantics, granularity=spec.granularity
        )
        limit = prepared.evaluator.memory_limit or DEFAULT_MEMORY_LIMIT
        self._runner = EditRunner(
            prepared,
            prepared.evaluator_at(spec.precision),
            names=[self._names(item) for item in items],
            keep_bytes=limit if slices.come_back else 0,
        )
        self._read: dict[int, Slice] = {}
        # A CPU has nothing left to do by then, and an adaptive sweep chooses what comes next.
        is_elsewhere = prepared.subject.example.device.type != "cpu"
        self._is_read_ahead = is_elsewhere and not slices.come_back

    def measure(
        self, jobs: Sequence[tuple[int, Sequence[Item]]], cancel: Cancel
    ) -> list[Measured[Item]] | None:
        """Measure jobs; None if cancelled.

        Raises:
            InputError: The data raised.
        """
        found = []
        for number, items in jobs:
            edits: dict[Item, Callable[[], Edit]] = {
                item: partial(self._edit, item) for item in items
            }
            measured = next(
                measure(
                    self._prepared,
                    edits,
                    [self._slice(number)],
                    self._prepared.subject.task,
                    runner=self._runner,
                    cancel=cancel,
                    ahead=partial(self._read_ahead, number + 1),
                    probe=self._spec.probe or 0,
                ),
                None,
            )
            if measured is None:
                return None
            found.append(measured)
        return found

    def _slice(self, number: int) -> Slice:
        if number not in self._read:
            self._read = {number: self._slices.read(number)}
        return self._read[number]

    def _read_ahead(self, number: int) -> None:
        """Read the slice that comes next, while another device is at work on this one."""
        if self._is_read_ahead and number < len(self._slices):
            # What raises here raises again when it is its turn; what was measured comes first.
            with contextlib.suppress(InputError):
                self._read[number] = self._slices.read(number)

    def _names(self, item: Item) -> frozenset[str]:
        return item.names | self._repairer.names(item.target, item.masks.mask(item.kept))

    def _edit(self, item: Item) -> Edit:
        edit = item.edit(self._prepared, semantics=self._spec.semantics)
        if self._spec.repair == NO_REPAIR:
            return edit
        mask = item.masks.mask(item.kept)
        return self._repairer.repaired(item.target, mask, edit, key=item)

    def close(self) -> None:
        """Forget the slice at hand."""
        self._read = {}
