"""Measure the slices of a sweep in this process."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.memory import DEFAULT_MEMORY_LIMIT
from analysis.records import SweepSpec
from analysis.sweeps.grid import Item, require_data
from analysis.sweeps.measuring import Cancel, Measured, PointMeasurer
from analysis.sweeps.slices import sweep_slices


class LocalExecutor:
    """Measures one task after another.

    Args:
        prepared: The subject.
        spec: The sweep.
        items: All items that may be measured.
    """

    width = 1

    def __init__(self, prepared: PreparedSubject, spec: SweepSpec, items: Sequence[Item]) -> None:
        self._slices = sweep_slices(require_data(prepared), spec)
        # Adaptive sweeps come back to a slice, exhaustive ones do not.
        limit = prepared.evaluator.memory_limit or DEFAULT_MEMORY_LIMIT
        keep_bytes = limit if spec.mode == "adaptive" else 0
        self._measurer = PointMeasurer(prepared, spec, items, keep_bytes=keep_bytes)
        self._read: tuple[int, tuple[Tensor, Tensor | None]] | None = None

    def measure(
        self, tasks: Sequence[tuple[int, Sequence[Item]]], cancel: Cancel
    ) -> list[Measured] | None:
        """Measure tasks; None if cancelled.

        Raises:
            InputError: The data raised.
        """
        found = []
        for number, items in tasks:
            inputs, labels = self._piece(number)
            start = self._slices.start(number)
            measured = self._measurer.measure(inputs, labels, items, cancel=cancel, start=start)
            if measured is None:
                return None
            found.append(measured)
        return found

    def _piece(self, number: int) -> tuple[Tensor, Tensor | None]:
        if self._read is None or self._read[0] != number:
            self._read = (number, self._slices.read(number))
        return self._read[1]

    def close(self) -> None:
        """Forget the batch at hand."""
        self._measurer.release()
