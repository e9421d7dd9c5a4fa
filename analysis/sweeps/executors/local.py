"""Measure the pieces of a sweep in this process."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from analysis.edits import SubjectContext
from analysis.memory import DEFAULT_MEMORY_LIMIT
from analysis.records import SweepSpec
from analysis.sweeps.grid import Item, require_data
from analysis.sweeps.measuring import Cancel, Measured, PointMeasurer
from analysis.sweeps.slices import sweep_pieces


class LocalExecutor:
    """Measures one task after another.

    Args:
        context: The subject.
        spec: The sweep.
        items: All items that may be measured.
    """

    width = 1

    def __init__(self, context: SubjectContext, spec: SweepSpec, items: Sequence[Item]) -> None:
        self._pieces = sweep_pieces(require_data(context), spec)
        # Adaptive sweeps come back to a piece, exhaustive ones do not.
        limit = context.evaluator.memory_limit or DEFAULT_MEMORY_LIMIT
        keep_bytes = limit if spec.mode == "adaptive" else 0
        self._measurer = PointMeasurer(context, spec, items, keep_bytes=keep_bytes)
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
            start = self._pieces.start(number)
            measured = self._measurer.measure(inputs, labels, items, cancel=cancel, start=start)
            if measured is None:
                return None
            found.append(measured)
        return found

    def _piece(self, number: int) -> tuple[Tensor, Tensor | None]:
        if self._read is None or self._read[0] != number:
            self._read = (number, self._pieces.read(number))
        return self._read[1]

    def close(self) -> None:
        """Forget the batch at hand."""
        self._measurer.release()
