"""Activations overwrite the fresh value that they alone read."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.engine.evaluator import Evaluator
from analysis.engine.operators import IN_PLACE
from pruners.capture import capture


class Relu6(nn.Module):
    """An operator of its own, which nn.ReLU6 is not."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(x)


ACTIVATIONS: tuple[nn.Module, ...] = (
    nn.ReLU(),
    Relu6(),
    nn.Hardtanh(-0.5, 2.0),
    nn.SiLU(),
    nn.Hardswish(),
    nn.LeakyReLU(0.2),
    nn.ELU(0.7),
    nn.Hardsigmoid(),
    nn.Mish(),
    nn.Sigmoid(),
    nn.Tanh(),
)


def test_every_activation_is_computed_in_place_with_what_it_reads() -> None:
    torch.manual_seed(0)
    layers = [part for item in ACTIVATIONS for part in (nn.Conv2d(4, 4, 1), item)]
    model = nn.Sequential(*layers, nn.Conv2d(4, 2, 1)).eval().requires_grad_(False)
    inputs = 3 * torch.randn(5, 4, 6, 6)
    graph = capture(model, inputs[:2])
    evaluator = Evaluator(model, graph, example=inputs[:2])
    program = evaluator.program
    assert program is not None
    # One step a convolution.
    assert len(program.steps) == len(ACTIVATIONS) + 1
    found = {node.target for step in program.steps for node in step.tail}
    assert found == IN_PLACE.keys() - {torch.ops.aten.clamp.default}
    batch = evaluator.dense(inputs)
    torch.testing.assert_close(batch.outputs, model(inputs))
    before = [value.clone() for known in batch.known for value in known.values()]
    for at in range(0, len(layers), 2):
        edit = {f"{at}.weight": torch.randn(4, 4, 1, 1)}
        expected = evaluator.forward(inputs, edit)
        torch.testing.assert_close(evaluator.evaluate(batch, edit), expected)
    # What other edits read is left as it was.
    values = [value for known in batch.known for value in known.values()]
    assert all(map(torch.equal, before, values))


class BoundByLength(nn.Module):
    """Text whose values are at most as large as it is long: a number that the graph computes."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.table(x) * 9).clamp(0, x.shape[1] - 4)


def test_a_bound_that_the_graph_computes_is_no_reason_for_full_passes() -> None:
    torch.manual_seed(0)
    model, texts = BoundByLength().eval(), torch.randint(0, 9, (4, 7))
    evaluator = Evaluator(model, capture(model, texts[:2]), example=texts[:2])
    assert evaluator.is_incremental, evaluator.fallback_reason
    with torch.no_grad():
        assert torch.equal(evaluator.outputs(texts, {}), model(texts))
        assert (model(texts) == 3).any()
