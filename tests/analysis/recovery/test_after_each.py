"""What a model scores after each layer that is pruned in order: against the steps done by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.measuring import Slices
from analysis.plans.apply import start_plan
from analysis.plans.editing import set_ratio
from analysis.records.plan import Plan
from analysis.records.subject import SubjectSpec
from analysis.recovery.outcome import RecoveryReport, check_after_each, report
from analysis.recovery.plan_repair import recover_plan
from analysis.repairs.layers import calibration_batches
from analysis.subjects.subject import load_subject
from pruners.errors import UnsupportedError

LAYERS = ("layers.0.attn.q_proj", "layers.0.down_proj", "layers.2.gate_proj")
SPEC = SubjectSpec(
    model="sample:llama_tiny",
    data="sample:king-james",
    task="language_modelling",
    samples=8,
    calibration_samples=4,
    batch_size=4,
)


@pytest.fixture(scope="module")
def llama() -> PreparedSubject:
    return prepare(load_subject(SPEC))


def halved(prepared: PreparedSubject, granularity: str) -> Plan:
    plan = start_plan(prepared, criterion="l1", granularity=granularity)
    for name in LAYERS if granularity == "element" else [plan.entries[0].layer]:
        plan = set_ratio(plan, name, 0.5)
    return plan


def test_perplexity_after_each_layer_is_that_of_a_loop_over_layers(llama: PreparedSubject) -> None:
    """Half of each row by |w| ||x||, ||x|| from the model pruned so far; perplexity by hand."""
    plan = halved(llama, "element")
    recovery = recover_plan(llama, plan, method="wanda-sequential")
    found = report(llama, plan, recovery, after_each=True)
    assert RecoveryReport.from_dict(found.to_dict()) == found
    assert [item.layer for item in found.layers] == list(LAYERS)
    model, split = copy.deepcopy(llama.model), llama.subject.evaluation
    assert split is not None
    (texts,) = Slices(split, SPEC.samples)
    scores = []
    for item in found.layers:
        layer = model.get_submodule(item.layer)
        squares = torch.zeros(layer.weight.shape[1])

        def add(_layer: object, args: tuple[torch.Tensor], squares: torch.Tensor = squares) -> None:
            squares.add_(args[0].flatten(0, -2).square().sum(0))

        handle = layer.register_forward_pre_hook(add)
        with torch.no_grad():
            for inputs, _ in calibration_batches(llama):
                model(inputs)
            handle.remove()
            for row in layer.weight:
                order = (row.abs() * squares.sqrt()).argsort()
                row[order[: len(row) // 2]] = 0
            logits = model(texts.inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), texts.targets.flatten())
        scores.append(math.exp(loss))
        assert item.model is not None
        assert item.model.accuracy == pytest.approx(-scores[-1], rel=1e-5)
    assert len({round(score, 3) for score in scores}) == len(scores)
    assert found.layers[-1].model == found.recovered


@pytest.mark.parametrize(
    ("granularity", "method", "says"),
    [
        ("channel", "lsq", "prunes .* by channel, which changes several layers at once"),
        ("element", "bn", "goes layer by layer, one of lsq, obs, .*; this is repaired by bn"),
    ],
)
def test_what_has_no_score_after_each_layer_is_said(
    llama: PreparedSubject, granularity: str, method: str, says: str
) -> None:
    with pytest.raises(UnsupportedError, match=says):
        check_after_each(halved(llama, granularity).repaired_by(method))
