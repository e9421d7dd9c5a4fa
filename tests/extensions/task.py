"""A task: classification where one of two answers may be right."""

from __future__ import annotations

import torch
from torch import Tensor

from analysis.tasks import TASKS, Classification, TaskKind


class TopTwo(Classification):
    """An answer is right if its class is among the two with the largest logits."""

    name = "top2"

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        truth = dense.argmax(1) if targets is None else targets
        return (outputs.topk(2, dim=1).indices == truth[:, None]).any(1).float()

    def chance(self, width: int, targets: Tensor | None) -> float:
        return 2 / width

    def vector(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        row = super().vector(dense, outputs, targets)
        before, after = (self.scores(dense, item, targets).bool() for item in (dense, outputs))
        counts = [after.sum(), (after & ~before).sum(), (before & ~after).sum()]
        row[1:4] = torch.stack(counts).to(row)
        return row


TASKS.register(
    TaskKind("top2", "Top two", "The score is the share of right top-2 answers.", TopTwo)
)
