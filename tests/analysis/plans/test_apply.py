"""Plans applied to the sample models: indices, sizes, masked against physically removed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import plans
from analysis.allocation import Budget, Request, allocate
from analysis.edits.prepared import prepare
from analysis.evaluation.evaluate import evaluate_plan
from analysis.plans.editing import set_kept, set_ratio
from analysis.plans.entries import find, kept_counts
from analysis.records import Evaluation
from analysis.records.plan import Plan
from analysis.records.progress import Progress
from analysis.records.sweep import SweepSpec
from analysis.subjects.overview import inventory
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from pruners.errors import InputError, PlanError, UnsupportedError
from pruners.preserve import checksum
from sample_models import zoo
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

NAMES = zoo.names(data="fashion-mnist")


def some_plan(name: str, *, ratio: float = 0.3, criterion: str = "l1") -> Plan:
    plan = plans.start_plan(sample_context(name), criterion=criterion)
    return at_ratio(plan, [entry.name for entry in plan.entries], ratio)


def test_a_started_plan_lists_every_prunable_group() -> None:
    prepared = sample_context("resnet20")
    plan = plans.start_plan(prepared, criterion="l1")
    structure = prepared.require_structure()
    assert [entry.name for entry in plan.entries] == [
        group.id for group in structure.groups if group.kind == "channel" and group.prunable
    ]
    assert plan.fingerprint == prepared.subject.fingerprint


def test_indices_are_the_highest_scores() -> None:
    prepared = sample_context("lenet5")
    plan = plans.resolve(prepared, set_ratio(some_plan("lenet5", ratio=0.0), "conv2", 0.5))
    # Of a plain convolution the L1 norm of each filter decides.
    norms = dict(prepared.model.named_modules())["conv2"].weight.detach().abs().sum((1, 2, 3))
    expected = sorted(torch.argsort(norms, descending=True)[:8].tolist())
    assert list(find(plan, "conv2").indices or ()) == expected
    assert find(plan, "conv1").indices is None
    assert plans.resolve(prepared, plan) == plan


def test_the_units_of_an_entry_with_their_scores() -> None:
    """Which channels of a group go."""
    prepared = sample_context("lenet5")
    plan = set_ratio(some_plan("lenet5", ratio=0.0), "conv2", 0.25)
    norms = dict(prepared.model.named_modules())["conv2"].weight.detach().abs().sum((1, 2, 3))
    table = plans.unit_table(prepared, plan, "conv2")
    assert table["unit"].tolist() == torch.argsort(norms).tolist()
    assert table["kept"].tolist() == [False] * 4 + [True] * 12
    assert np.diff(table["score"]).min() >= 0
    # Indices that a file lists are shown as they are, whatever their scores.
    listed = tuple(
        dataclasses.replace(entry, indices=tuple(range(12))) if entry.name == "conv2" else entry
        for entry in plan.entries
    )
    table = plans.unit_table(prepared, dataclasses.replace(plan, entries=listed), "conv2")
    assert set(table.loc[~table["kept"], "unit"]) == {12, 13, 14, 15}


@pytest.mark.parametrize("name", NAMES)
def test_the_meter_says_what_the_removed_model_has(name: str) -> None:
    prepared = sample_context(name)
    plan = some_plan(name)
    params, _ = plans.meter(prepared).sizes(plan)
    small = plans.removed_model(prepared, plan)
    assert sum(item.numel() for item in small.parameters()) == params
    assert params < plans.meter(prepared).sizes(some_plan(name, ratio=0.0))[0]


@pytest.mark.parametrize("name", NAMES)
def test_masked_and_removed_give_the_same_answers(name: str) -> None:
    prepared = sample_context(name)
    before = checksum(prepared.model)
    found = evaluate_plan(prepared, some_plan(name), latency_seconds=0)
    assert checksum(prepared.model) == before
    assert found.samples == found.dense.sums.samples == len(prepared.subject.evaluation or ())
    if found.masked is not None:
        assert found.agrees
        assert found.masked.sums["correct"] == found.removed.sums["correct"]
        assert (found.largest_difference or 0) < 1e-4
    else:
        assert "norm" in found.notes[0]
    assert found.removed.params < found.dense.params
    assert found.removed.macs < found.dense.macs
    assert found.removed.file_bytes < found.dense.file_bytes
    assert found.removed.latency is None


def test_evaluation_against_a_plain_loop() -> None:
    prepared = sample_context("lenet5")
    plan = some_plan("lenet5", ratio=0.5)
    found = evaluate_plan(prepared, plan, latency_seconds=0.05)
    split = prepared.subject.evaluation
    assert split is not None
    inputs, labels = next(split.batches(len(split)))
    assert labels is not None
    with torch.no_grad():
        dense = prepared.model(inputs).argmax(1) == labels
        small = plans.removed_model(prepared, plan)(inputs).argmax(1) == labels
    assert found.dense.sums["correct"] == int(dense.sum())
    assert found.removed.sums["correct"] == int(small.sum())
    assert found.removed.drop == pytest.approx(float(dense.sum() - small.sum()) / len(labels))
    assert found.removed.drop_low <= found.removed.drop <= found.removed.drop_high
    for place, change in enumerate(found.classes):
        own = labels == place
        assert change.samples == int(own.sum())
        assert change.dense == pytest.approx(float(dense[own].float().mean()))
        assert change.pruned == pytest.approx(float(small[own].float().mean()))
        assert change.change == pytest.approx(change.pruned - change.dense)
        assert change.change_low <= change.change <= change.change_high
    assert found.removed.latency is not None
    assert found.removed.latency.batch == 64
    assert Evaluation.from_dict(found.to_dict()) == found
    assert {item.class_name for item in found.classes} == set(prepared.subject.class_names)


def test_a_plan_that_removes_nothing_changes_nothing() -> None:
    prepared = sample_context("lenet5")
    found = evaluate_plan(prepared, some_plan("lenet5", ratio=0.0), latency_seconds=0)
    assert found.removed.sums["correct"] == found.dense.sums["correct"]
    assert found.removed.params == found.dense.params
    assert not any(change.clear for change in found.classes)


def test_masked_weights() -> None:
    prepared = sample_context("lenet5")
    plan = plans.start_plan(prepared, criterion="l1", granularity="element")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.5)
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    assert found.agrees
    assert found.removed.params == found.dense.params
    assert found.removed.nonzero == plans.meter(prepared).sizes(plan)[0]
    assert prepared.model is not plans.removed_model(prepared, plan)


def test_masked_weights_and_removed_channels_together() -> None:
    prepared = sample_context("lenet5")
    channels = set_ratio(some_plan("lenet5", ratio=0.0), "conv2", 0.5)
    weights = plans.start_plan(prepared, criterion="l1", granularity="element")
    weights = set_ratio(weights, "fc1", 0.5)
    plan = dataclasses.replace(channels, entries=(*channels.entries, *weights.entries))
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    assert found.agrees
    assert found.removed.params < found.dense.params
    assert found.removed.nonzero < found.removed.params


def test_a_pattern_gets_its_exact_count() -> None:
    prepared = sample_context("lenet5")
    plan = plans.start_plan(prepared, criterion="l1", granularity="2:4")
    plan = plans.resolve(prepared, at_ratio(plan, [entry.name for entry in plan.entries], 0.5))
    model = plans.removed_model(prepared, plan)
    for entry in plan.entries:
        weight = dict(model.named_modules())[entry.layer].weight
        assert int(torch.count_nonzero(weight)) == entry.kept


def test_a_plan_for_other_weights_is_refused_in_one_line() -> None:
    plan = dataclasses.replace(some_plan("lenet5"), fingerprint="0" * 64)
    with pytest.raises(PlanError, match="made for weights 000000000000") as caught:
        evaluate_plan(sample_context("lenet5"), plan)
    assert "\n" not in str(caught.value)
    prepared = sample_context("lenet5")
    other = dataclasses.replace(some_plan("resnet20"), fingerprint=prepared.subject.fingerprint)
    with pytest.raises(PlanError, match="units, the model has"):
        plans.require_fit(prepared, other)


def conflicting(group: str | None) -> Plan:
    """Two requests for one group of ResNet-20: 12 channels, and by another of its layers 9."""
    plan = set_kept(some_plan("resnet20", ratio=0.0), "conv1", 12)
    second = dataclasses.replace(find(plan, "conv1"), layer="layer1.2.conv2", group=group, kept=9)
    return dataclasses.replace(plan, entries=(*plan.entries, second))


@pytest.mark.parametrize("group", ["conv1", None])
def test_conflicts_inside_a_group_name_both_layers(group: str | None) -> None:
    prepared = sample_context("resnet20")
    plan = conflicting(group)
    says = r"^conv1 \(keeps 12\) and layer1.2.conv2 \(keeps 9\) .*group, conv1"
    if group is None:
        says = r"^layer1.2.conv2 \(keeps 9\) and conv1 \(keeps 12\): one entry for .* conv1"
    with pytest.raises(PlanError, match=says):
        plans.require_fit(prepared, plan)
    with pytest.raises(PlanError, match=says):
        evaluate_plan(prepared, plan)
    if group is not None:
        for use in (plans.resolve, plans.masked_edit, plans.removed_model):
            with pytest.raises(PlanError, match=says):
                use(prepared, plan)


def test_a_layer_that_is_not_its_groups_first_is_told_so() -> None:
    plan = conflicting(None)
    plan = dataclasses.replace(plan, entries=plan.entries[-1:])
    with pytest.raises(PlanError, match=r"^layer1.2.conv2 \(keeps 9\): one entry for the group"):
        plans.require_fit(sample_context("resnet20"), plan)


def test_requests_reach_a_group_by_any_of_its_layers() -> None:
    prepared = sample_context("resnet20")
    find_group = plans.group_of(prepared)
    structure = prepared.require_structure()
    wide = max(structure.groups, key=lambda group: len(group.producers))
    for member in wide.producers:
        assert find_group(member.layer) == wide.id
    assert find_group("nowhere") is None


@pytest.mark.parametrize("name", NAMES)
def test_uniform_to_a_budget_on_real_models(name: str) -> None:
    prepared = sample_context(name)
    request = Request(
        plan=some_plan(name, ratio=0.0), meter=plans.meter(prepared), budgets=(Budget("macs", 0.7),)
    )
    found = allocate("uniform", request)
    assert found.feasible
    assert 0.5 < found.spent["macs"] <= 0.7
    assert kept_counts(found.plan)


BRANCHES = """
import torch
from torch import nn

class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(784, 16), nn.Linear(16, 10)

    def forward(self, x):
        h = torch.relu(self.a(x.flatten(1)))
        return self.b(h * 2 if h.sum() > 1e9 else h)

def build():
    torch.manual_seed(0)
    return Branches()
"""


def test_a_model_without_graph_is_evaluated_with_masked_weights(tmp_path: Path) -> None:
    (tmp_path / "branches.py").write_text(BRANCHES)
    spec = dataclasses.replace(
        sample_context("lenet5").subject.spec, model=f"{tmp_path / 'branches.py'}:build"
    )
    prepared = prepare(load_subject(spec))
    assert prepared.graph is None
    with pytest.raises(UnsupportedError, match="could not be captured"):
        plans.start_plan(prepared, criterion="l1")
    plan = plans.start_plan(prepared, criterion="l1", granularity="element")
    plan = at_ratio(plan, ["a", "b"], 0.5)
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    assert found.agrees
    macs = inventory(prepared.subject).macs
    assert {found.dense.macs, found.removed.macs, macs} == {784 * 16 + 16 * 10}
    sweep = SweepSpec(subject=spec, criteria=("l1",), granularity="element", ratios=(0.5,))
    assert {point.macs for point in plan_sweep(prepared, sweep).identified} == {macs}
    assert found.removed.nonzero == plans.meter(prepared).sizes(plan)[0]
    request = Request(plan=plan, meter=plans.meter(prepared), budgets=(Budget("params", 0.4),))
    assert allocate("uniform", request).spent["params"] == pytest.approx(0.4, abs=0.01)


def test_without_labels_accuracy_is_agreement_with_dense(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    spec = dataclasses.replace(
        sample_context("lenet5").subject.spec,
        data=f"npz:{tmp_path / 'images.npz'}#mean=0.286&std=0.353",
        samples=48,
        calibration_samples=16,
    )
    prepared = prepare(load_subject(spec))
    plan = plans.start_plan(prepared, criterion="l1")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.5)
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    assert not found.labelled
    assert found.dense.accuracy == 1.0
    assert found.removed.sums["correct"] == found.removed.sums["agree"]
    assert sum(change.samples for change in found.classes) == found.samples == 48


def test_evaluation_needs_data() -> None:
    spec = dataclasses.replace(sample_context("lenet5").subject.spec, data=None)
    prepared = prepare(load_subject(spec))
    with pytest.raises(InputError, match="give --data"):
        evaluate_plan(prepared, plans.start_plan(prepared, criterion="l1"))


def test_progress_is_told_batch_by_batch() -> None:
    seen: list[Progress] = []
    evaluate_plan(
        sample_context("lenet5"),
        some_plan("lenet5"),
        latency_seconds=0,
        batch_size=100,
        progress=seen.append,
    )
    assert seen == [Progress(100, 200, "samples"), Progress(200, 200, "samples")]


def test_a_plan_chooses_the_channels_that_its_run_measured() -> None:
    """The reduction over coupled layers is part of the choice."""
    prepared = sample_context("resnet20")
    wide = max(prepared.require_structure().groups, key=lambda group: len(group.producers))
    for reduction in ("mean", "first", "max"):
        plan = plans.start_plan(prepared, criterion="l1", reduction=reduction)
        plan = plans.resolve(prepared, set_ratio(plan, wide.id, 0.5))
        values = prepared.channel_scores(wide, "l1", reduction=reduction)
        expected = sorted(torch.argsort(values, stable=True)[wide.units // 2 :].tolist())
        assert list(find(plan, wide.id).indices or ()) == expected
        assert Plan.from_dict(plan.to_dict()).reduction == reduction
