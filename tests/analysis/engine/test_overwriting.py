"""The compiled program overwrites values that nobody reads any more, as they are or as views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.engine.evaluator import Evaluator
from pruners.capture import capture
from pruners.groups.removal import difference

VIEWS = ("view", "reshape", "transpose", "slice", "select", "chunk", "unsqueeze", "expand", "flip")


class ViewedBefore(nn.Module):
    """A sum takes a value of which a view is read later."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.enter = nn.Linear(12, 12)
        self.side = nn.Linear(12, 12)
        self.out = nn.Linear(12, 5)
        self.other = nn.Linear({"slice": 6, "select": 1, "chunk": 6}.get(kind, 12), 5)

    def seen(self, x: Tensor) -> Tensor:
        return {
            "view": lambda: x.view(-1, 3, 4),
            "reshape": lambda: x.reshape(-1, 2, 6),
            "transpose": lambda: x.unflatten(1, (3, 4)).transpose(1, 2),
            "slice": lambda: x[:, 3:9],
            "select": lambda: x.select(1, 4).unsqueeze(1),
            "chunk": lambda: x.chunk(2, 1)[1],
            "unsqueeze": lambda: x.unsqueeze(1),
            "expand": lambda: x.unsqueeze(1).expand(-1, 2, -1)[:, 1],
            "flip": lambda: x.flip(1),
        }[self.kind]()

    def forward(self, x: Tensor) -> Tensor:
        value = self.enter(x)
        seen = self.seen(value)
        total = value + self.side(x) * 3
        return self.out(F.relu(total)) + self.other(F.relu(seen.flatten(1)))


@pytest.mark.parametrize("kind", VIEWS)
def test_a_value_is_kept_while_a_view_of_it_is_read(kind: str) -> None:
    """Found by a newcomer: dense logits were off by 0.7 where the largest was 1.1."""
    torch.manual_seed(0)
    model = ViewedBefore(kind).eval().requires_grad_(False)
    example = torch.randn(2, 12)
    evaluator = Evaluator(model, capture(model, example), example=example)
    assert evaluator.is_incremental
    inputs = torch.randn(7, 12)
    edit = {"enter.weight": model.enter.weight * (torch.rand(12, 12) > 0.5)}
    batch = evaluator.dense(inputs)
    assert difference(batch.outputs, model(inputs)) < 1e-5
    assert difference(evaluator.evaluate(batch, edit), evaluator.forward(inputs, edit)) < 1e-5
    assert difference(evaluator.outputs(inputs, edit), evaluator.forward(inputs, edit)) < 1e-5
