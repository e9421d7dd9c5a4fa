"""Live evaluation: same numbers as a fresh evaluation, whatever was evaluated before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.edits.edit import Edit
from analysis.edits.masks import kept_units, scores
from analysis.edits.target import targets
from analysis.engine.evaluator import Evaluator
from analysis.evaluation.evaluate import evaluate_plan
from analysis.evaluation.kept import keep_evaluation
from analysis.evaluation.live import LiveEvaluator, LiveResult
from analysis.measuring.slices import Slices
from analysis.plans import masked_edit
from analysis.records import Evaluation, columns_digest
from analysis.records.plan import Plan, PlanEntry
from analysis.store import Store
from analysis.tasks import CLASSIFICATION
from pruners.errors import InputError
from pruners.preserve import checksum
from tests.helpers.contexts import sample_context


def plan_of(name: str, ratios: dict[str, float]) -> Plan:
    prepared = sample_context(name)
    entries = []
    for target in targets(prepared, "channel"):
        if target.layer not in ratios:
            continue
        kept = max(1, round(target.total * (1 - ratios[target.layer])))
        mask = kept_units(scores(prepared, target, "l1"), kept)
        entries.append(
            PlanEntry(
                layer=target.layer,
                group=target.group,
                criterion="l1",
                granularity="channel",
                ratio=ratios[target.layer],
                kept=kept,
                total=target.total,
                indices=tuple(mask.nonzero().flatten().tolist()),
            )
        )
    return Plan(subject=prepared.subject.spec, fingerprint="", entries=tuple(entries))


def fresh(name: str, plan: Plan) -> LiveResult:
    return list(LiveEvaluator(sample_context(name)).evaluate(plan))[-1]


PLANS = [
    {"conv1": 0.5},
    {"conv1": 0.5, "layer2.0.conv1": 0.5},
    {"layer3.1.conv1": 0.8},
    {},
    {"conv1": 0.2, "layer1.1.conv1": 0.6, "layer3.1.conv1": 0.8},
]


@pytest.mark.parametrize("cache_bytes", [0, 25_000_000, 2**30])
def test_a_chain_of_plans_gives_the_numbers_of_fresh_evaluations(cache_bytes: int) -> None:
    prepared = sample_context("resnet20")
    before = checksum(prepared.model)
    live = LiveEvaluator(prepared, cache_bytes=cache_bytes, batch_size=60)
    for ratios in PLANS:
        plan = plan_of("resnet20", ratios)
        results = list(live.evaluate(plan))
        assert [item.samples for item in results] == [60, 120, 180, 200]
        assert [item.is_final for item in results] == [False, False, False, True]
        expected = fresh("resnet20", plan)
        assert results[-1].sums["correct"] == expected.sums["correct"]
        assert results[-1].sums["lost"] == expected.sums["lost"]
        assert results[-1].sums["loss"] == pytest.approx(expected.sums["loss"], rel=1e-4)
        assert results[-1].accuracy == expected.accuracy
        assert results[-1].interval.low <= results[-1].drop <= results[-1].interval.high
    assert checksum(prepared.model) == before


def test_the_numbers_are_those_of_the_removed_model() -> None:
    prepared = sample_context("lenet5")
    plan = plan_of("lenet5", {"conv1": 0.5, "fc1": 0.5})
    found = fresh("lenet5", plan)
    from pruners.groups.removal import remove

    kept = {item.group: item.indices for item in plan.entries if item.group and item.indices}
    model = remove(prepared.model, prepared.require_structure(), kept)
    assert prepared.subject.evaluation is not None
    inputs, labels = next(prepared.subject.evaluation.batches(200))
    with torch.no_grad():
        expected = CLASSIFICATION.sums(
            CLASSIFICATION.vector(prepared.model(inputs), model(inputs), labels).tolist()
        )
    assert (found.sums["correct"], found.sums["lost"]) == (expected["correct"], expected["lost"])
    assert (
        found.baseline["correct"]
        == CLASSIFICATION.sums(
            CLASSIFICATION.vector(prepared.model(inputs), prepared.model(inputs), labels).tolist()
        )["correct"]
    )


def test_a_new_plan_leaves_the_evaluation_of_another_alone() -> None:
    live = LiveEvaluator(sample_context("lenet5"), batch_size=50)
    plans = [plan_of("lenet5", {"conv1": 0.5}), plan_of("lenet5", {"conv2": 0.5})]
    old, new = (live.evaluate(plan) for plan in plans)
    found = [(next(old), next(new)) for _ in range(4)][-1]
    assert list(old) == list(new) == []
    for plan, result in zip(plans, found, strict=True):
        assert result.is_final
        assert result.sums["correct"] == fresh("lenet5", plan).sums["correct"]


def test_an_abandoned_evaluation_leaves_the_cache_right() -> None:
    live = LiveEvaluator(sample_context("lenet5"), batch_size=50)
    for ratios in ({"conv1": 0.5}, {"conv1": 0.8}, {"fc1": 0.5}, {"conv2": 0.3}):
        results = live.evaluate(plan_of("lenet5", ratios))
        next(results)
        next(results)
    plan = plan_of("lenet5", {"fc2": 0.5})
    assert list(live.evaluate(plan))[-1].sums["correct"] == fresh("lenet5", plan).sums["correct"]


def test_removal_where_a_norm_mixes_channels() -> None:
    prepared = sample_context("vit_tiny")
    inexact = next(
        item.layer
        for item in targets(prepared, "channel")
        if item.prunable and item.group and not prepared.group(item.group).exact
    )
    plan = plan_of("vit_tiny", {inexact: 0.3})
    found = fresh("vit_tiny", plan)
    assert found.samples == 200
    assert 0 < found.accuracy <= 1


def test_logits_that_are_not_finite_are_reported() -> None:
    live = LiveEvaluator(sample_context("lenet5"))
    weight = sample_context("lenet5").evaluator.state["fc3.weight"]
    with pytest.raises(InputError, match="not finite"):
        next(live.evaluate_edit(Edit({"fc3.weight": weight * torch.nan})))
    # The cache holds no trace of it.
    assert list(live.evaluate_edit(Edit()))[-1].drop == 0


def test_a_model_without_graph_is_measured_in_batches_that_were_asked_for() -> None:
    """Found on a GPU, where nothing else limits a batch: the smallest of one number."""
    known = sample_context("lenet5")
    whole = Evaluator(known.model, None, fallback_reason="it has a data-dependent branch")
    prepared = dataclasses.replace(known, graph=None, evaluator=whole)
    plan = plan_of("lenet5", {"conv1": 0.5})
    results = list(LiveEvaluator(prepared, batch_size=80).evaluate(plan))
    assert [item.samples for item in results] == [80, 160, 200]
    expected = fresh("lenet5", plan)
    assert (results[-1].sums["correct"], results[-1].sums["lost"]) == (
        expected.sums["correct"],
        expected.sums["lost"],
    )


def test_the_dense_model_differs_from_itself_in_nothing_for_certain() -> None:
    """A plan that removes nothing showed a drop of 0 with a wide interval."""
    found = list(LiveEvaluator(sample_context("lenet5")).evaluate_edit(Edit()))
    assert {(item.drop, item.interval.low, item.interval.high) for item in found} == {(0, 0, 0)}


def test_an_evaluation_teaches_as_much_as_a_plan_of_the_page(tmp_path: Path) -> None:
    """Evaluate runs the removed model itself, the page edits the dense one."""
    prepared = sample_context("lenet5")
    made = plan_of("lenet5", {"conv1": 0.5, "fc1": 0.5})
    plan = dataclasses.replace(made, fingerprint=prepared.identity.weights)
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    store = Store(tmp_path)
    keep_evaluation(store, prepared, plan, found)
    (kept,) = store.measurements.all(prepared.identity)
    *_, live = LiveEvaluator(prepared).evaluate(plan)
    assert kept.change is not None
    assert live.change is not None
    assert kept.change.columns == live.change.columns
    np.testing.assert_allclose(kept.change.outputs, live.change.outputs, atol=0.02, rtol=5e-3)
    assert kept.sums["correct"] == live.sums["correct"]
    # Neither written nor read.
    again = Evaluation.from_json(found.to_json())
    assert again == found
    assert again.change is None
    with pytest.raises(InputError, match="unknown field change"):
        Evaluation.from_dict({**found.to_dict(), "change": None})


@pytest.mark.parametrize("batch_size", [60, 200])
def test_what_a_plan_changes_of_the_first_outputs_is_kept(batch_size: int) -> None:
    """A measured plan teaches of others, also what it did to the outputs."""
    prepared = sample_context("resnet20")
    live = LiveEvaluator(prepared, batch_size=batch_size, probe=150)
    plan = plan_of("resnet20", {"conv1": 0.5, "layer3.1.conv1": 0.8})
    *before, last = live.evaluate(plan)
    assert all(item.change is None for item in before)
    assert last.change is not None
    split = prepared.subject.evaluation
    assert split is not None
    inputs = Slices(split, 150).read(0).inputs
    edit = masked_edit(prepared, plan)
    with torch.no_grad():
        outputs = torch.func.functional_call(
            prepared.model, {**prepared.evaluator.state, **edit.tensors}, (inputs,)
        )
        expected = outputs - prepared.model(inputs)
    found = torch.from_numpy(last.change.outputs).float()
    torch.testing.assert_close(found, expected, atol=0.01, rtol=2e-3)
    everything = torch.arange(10).expand(150, 10).numpy()
    assert last.change.columns == columns_digest(everything)
