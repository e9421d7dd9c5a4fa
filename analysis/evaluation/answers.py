"""Which answers pruning changes, collected batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from analysis.records import CHANGED, GAINED, LOST, Answers, Confusion, Flip
from analysis.tasks import Task

# So many samples of each kind, and cells of the confusion, are kept.
MAX_FLIPS, MAX_MOVES = 24, 24


class AnswerTally:
    """Collects flips batch by batch.

    Args:
        task: Says what an output answers.
        names: Names of the classes.
    """

    def __init__(self, task: Task, names: Sequence[str]) -> None:
        self._task, self._names = task, names
        self._seen = 0
        self._has_classes = True
        self._counts: Counter[str] = Counter()
        self._flips: dict[str, list[Flip]] = {LOST: [], GAINED: [], CHANGED: []}
        self._cells: Counter[tuple[int, int]] = Counter()

    def add(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> None:
        """Add the outputs of the next samples, in the order of the evaluation subset.

        Args:
            dense: Of the dense model, ``(N, classes)``.
            outputs: Of the pruned model, likewise.
            targets: Classes, int64 ``(N,)``; None without labels.
        """
        before, after = self._task.answers(dense), self._task.answers(outputs)
        first, self._seen = self._seen, self._seen + len(outputs)
        if before is None or after is None or outputs.ndim != 2:
            self._has_classes = False
            return
        places = (before != after).nonzero()[:, 0]
        columns = (
            places + first,
            (before if targets is None else targets)[places],
            before[places],
            after[places],
            _confidence(dense, before)[places],
            _confidence(outputs, after)[places],
        )
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._flip(*row, is_labelled=targets is not None)

    def _flip(
        self,
        place: int,
        truth: int,
        before: int,
        after: int,
        was_sure: float,
        is_sure: float,
        *,
        is_labelled: bool,
    ) -> None:
        kind = CHANGED
        if is_labelled and truth in (before, after):
            kind = LOST if truth == before else GAINED
        self._counts[kind] += 1
        for answer, change in ((before, -1), (after, 1)):
            if answer != truth:
                self._cells[truth, answer] += change
        if len(self._flips[kind]) < MAX_FLIPS:
            flip = Flip(
                place=place,
                kind=kind,
                label=self._name(truth) if is_labelled else "",
                dense=self._name(before),
                pruned=self._name(after),
                dense_confidence=was_sure,
                pruned_confidence=is_sure,
            )
            self._flips[kind].append(flip)

    def result(self) -> Answers | None:
        """Return what was collected; None where outputs answer no classes."""
        if not self._has_classes or not self._seen:
            return None
        cells = sorted(self._cells.items(), key=lambda cell: (-abs(cell[1]), -cell[1], cell[0]))
        moves = [
            Confusion(label=self._name(label), answer=self._name(answer), change=change)
            for (label, answer), change in cells[:MAX_MOVES]
            if change
        ]
        return Answers(
            lost=self._counts[LOST],
            gained=self._counts[GAINED],
            changed=self._counts[CHANGED],
            flips=tuple(flip for kind in self._flips.values() for flip in kind),
            confusion=tuple(moves),
        )

    def _name(self, place: int) -> str:
        return self._names[place] if place < len(self._names) else str(place)


def _confidence(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the softmax of each answer, ``(N,)``; 0 where outputs are not finite."""
    shares = torch.softmax(outputs.float(), 1).gather(1, answers[:, None])[:, 0]
    return torch.nan_to_num(shares).clamp_(0, 1)
