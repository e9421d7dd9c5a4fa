"""A task: one of two answers may be right; it counts misses, of which few are good."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analysis.records import SliceCounts, Sums
from analysis.tasks import TASKS, Classification, Metric, Scoring, TaskKind, Words
from analysis.uncertainty import Interval, paired_drop, wilson


class TopTwo(Classification):
    """A sample is missed if its class is not among the two with the largest logits."""

    name = "top2"
    terms = ("misses", "more", "fewer", "shift")
    words = Words(
        label="miss rate",
        column="miss_rate",
        drop_label="rise of misses",
        drop_column="miss_rate_rise",
        unit="%",
        drop_unit="points",
        scale=-100.0,
        digits=1,
        worst=-1.0,
        best=0.0,
        tolerance=0.02,
    )
    right = same = ""
    # Those of classification count what this task does not.
    drops = Scoring.drops
    columns = ("shift",)
    metrics: Mapping[str, Metric] = {
        "shift": Metric("shift", "", "", "mean shift of the logits", "", 1.0)
    }

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        truth = dense.argmax(1) if targets is None else targets
        return -(outputs.topk(2, dim=1).indices != truth[:, None]).all(1).float()

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        best, other = (item.topk(2, dim=1).indices.sort(1).values for item in (outputs, others))
        return (best == other).all(1)

    def answers(self, outputs: Tensor) -> None:
        return None

    def chance(self, classes: int, targets: Tensor | None) -> None:
        return None

    def vector(self, dense, outputs, targets, groups=None) -> Tensor:
        before, after = (self.scores(dense, item, targets) < 0 for item in (dense, outputs))
        counts = [torch.tensor(len(outputs)), after.sum(), (after & ~before).sum()]
        counts += [(before & ~after).sum(), (outputs - dense).abs().mean(1).sum()]
        return torch.stack([item.double() for item in counts])

    def sums(self, row, *, seconds=0.0):
        samples, *counts = (int(value) for value in row[:4])
        return Sums(
            samples=samples,
            seconds=seconds,
            terms=dict(zip(self.terms, (*counts, row[4]), strict=True)),
        )

    def score(self, sums: Sums) -> float:
        return -sums["misses"] / sums.samples if sums.samples else float("nan")

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        found = wilson(sums.count("misses"), sums.samples, confidence)
        return Interval(-found.high, -found.low, found.method, found.n)

    def drop(self, sums: Sums) -> float:
        return (sums["more"] - sums["fewer"]) / sums.samples if sums.samples else float("nan")

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        more, fewer = sums.count("more"), sums.count("fewer")
        return paired_drop(more, fewer, sums.samples, confidence)[1]

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        return SliceCounts(part.count("more"), part.count("fewer"), part.samples)

    def values(self, sums, dense, *, has_labels, confidence=0.95):
        return {"shift": sums["shift"] / sums.samples}

    def classes(self, outputs: Tensor) -> int:
        return 0

    def target_problem(self, targets: Tensor, form: tuple[int, ...]):
        return None

    def by_class(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        return torch.zeros(0, 4, dtype=torch.int64)


TASKS.register(TaskKind("top2", "Top two", "The score is the share of misses.", TopTwo))
