"""No model that runs ends in a traceback, and what is said to be removable is."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from analysis.engine.evaluator import Evaluator
from analysis.engine.precisions.reduced import ReducedEvaluator
from analysis.tasks import CLASSIFICATION
from pruners.capture import Graph, capture
from pruners.errors import CaptureError, UnsupportedError
from pruners.groups.cost import CostModel
from pruners.groups.groups import find_structure
from pruners.groups.removal import difference, edited_outputs, remove
from pruners.tracing import HANDLERS, operator_name
from tests.helpers.random_graphs import RandomModel
from tests.helpers.topologies import randomize

# ``PRUNESCOPE_GRAPHS=2000 pytest tests/pruners/groups/test_random_graphs.py`` looks further.
COUNT = int(os.environ.get("PRUNESCOPE_GRAPHS", "200"))
BATCHES = 30
AT_NIGHT = pytest.mark.nightly


@pytest.mark.filterwarnings("ignore:std")  # of one number, which graphs may ask for
@pytest.mark.parametrize(
    "batch",
    [pytest.param(batch, marks=AT_NIGHT if batch >= 4 else ()) for batch in range(BATCHES)],
)
def test_random_models(batch: int) -> None:
    """Operators x shapes x types, strictly."""
    for seed in range(batch, COUNT, BATCHES):
        torch.manual_seed(seed)
        model = RandomModel(seed)
        try:
            check(model)
        except Exception as error:
            error.add_note(f"seed {seed}: {', '.join(model.said)}")
            raise


@pytest.mark.parametrize("seed", range(4))
def test_a_handler_that_raises_costs_channels_only(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be followed is named; what is removable all the same is right."""
    torch.manual_seed(seed)
    model = RandomModel(seed)
    randomize(model)
    graph = capture(model, model.example)
    names = sorted({operator_name(node) for node in graph.module.graph.nodes} & HANDLERS.keys())
    for name in names:

        def broken(*_: object, **__: object) -> object:
            raise RuntimeError("no such form")

        with monkeypatch.context() as patch:
            patch.setitem(HANDLERS, name, broken)
            structure = find_structure(model, graph, model.example)
        for group in structure.groups:
            assert "\n" not in group.reason
            if group.prunable and group.exact and is_smooth(model):
                kept = {group.id: range(0, group.units, 2)}
                masked = edited_outputs(model, structure, kept)
                smaller = remove(model, structure, kept, verify=False)
                assert difference(smaller(model.example), masked) < 1e-4, f"{name}: {group.id}"


def check(model: RandomModel) -> None:
    randomize(model)
    example = model.example
    try:
        graph = capture(model, example)
    except CaptureError:
        return
    structure = find_structure(model, graph, example, strict=True)
    inputs = torch.randn(5, *example.shape[1:], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(inputs)
    if not bool(torch.isfinite(expected).all()):
        return
    evaluator = Evaluator(model, graph, example=example)
    scale = 2e-2 if {"bfloat16", "autocast"} & set(model.said) else 1e-4
    assert difference(evaluator.dense(inputs).outputs, expected) < scale
    check_bf16(model, graph, evaluator, inputs)
    costs = CostModel(structure)
    for group in structure.groups:
        if not group.prunable:
            continue
        kept = {group.id: range(0, group.units, 2)}
        try:
            smaller = remove(model, structure, kept, verify=False)
        except UnsupportedError:
            # Sizes in the code that cannot be changed: refused in one line.
            continue
        with torch.no_grad():
            found = smaller(inputs)
        if group.exact and is_smooth(model):
            masked = edited_outputs(model, structure, kept)
            assert difference(smaller(example), masked) < scale, group.id
        assert found.shape == expected.shape
        params = sum(item.numel() for item in smaller.parameters())
        assert costs.predict(kept).params == params, group.id


def check_bf16(model: RandomModel, graph: Graph, exact: Evaluator, inputs: Tensor) -> None:
    """As ``--precision bf16`` opens it: the model's own answers, or a refusal in one line."""
    try:
        reduced = ReducedEvaluator(exact, graph, model.example, gaps=CLASSIFICATION.gaps)
    except UnsupportedError:
        return
    batch = reduced.dense(inputs)
    assert torch.equal(batch.outputs.argmax(1), exact.dense(inputs).outputs.argmax(1))
    name, weight = next(iter(model.named_parameters()))
    found = reduced.evaluate(batch, {name: weight * 0.5})
    assert found.shape == batch.outputs.shape


def is_smooth(model: RandomModel) -> bool:
    """Whether rounding cannot decide what is computed."""
    return not {"bucketized", "bfloat16", "autocast", "gathered", "sorted", "topk"} & set(
        model.said
    )
