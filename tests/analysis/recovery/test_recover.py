"""Repairs of points and plans, global ranking: on sample models, against the models themselves."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
import torch

from analysis.edits.prepared import PreparedSubject
from analysis.evaluation.evaluate import evaluate_plan
from analysis.interop import ExportRequest
from analysis.interop.masked import masks
from analysis.plans.apply import mask_of_entry, start_plan
from analysis.recovery.outcome import RecoveryReport, report
from analysis.recovery.plan_repair import pruned_targets, recover_plan, recovered_model
from analysis.recovery.training.trainee import Trainee
from analysis.repairs.layers import calibration_batches
from analysis.repairs.registry import REPAIRS, check_repair, plan_repairs, point_repairer
from analysis.repairs.whole_plan import joint_masks
from pruners.errors import InputError, PlanError, UnknownNameError, UnsupportedError
from pruners.preserve import checksum
from pruners.reconstruction.layerwise import repair_one
from pruners.reconstruction.lsq import least_squares
from pruners.reconstruction.mask_search import unit_gate_gradients
from pruners.reconstruction.moments import capture_moments
from pruners.reconstruction.obs import obs_fit
from pruners.statistics.gates import input_gate_gradients
from sample_models import zoo
from tests.analysis.recovery.pruned import make_context, plan_of
from tests.helpers.contexts import sample_context
from tests.helpers.fisher import fisher_loss
from tests.helpers.plans import at_ratio

METHODS = plan_repairs()


@pytest.mark.parametrize("method", METHODS)
def test_recovered_masked_model_equals_the_recovered_removed_model(
    resnet: PreparedSubject, method: str
) -> None:
    plan = plan_of(resnet, 0.3)
    before = checksum(resnet.model)
    recovery = recover_plan(resnet, plan, method=method)
    assert checksum(resnet.model) == before
    inputs = resnet.subject.example
    masked = resnet.evaluator.forward(inputs, recovery.edit.tensors)
    removed = recovered_model(resnet, recovery)(inputs)
    torch.testing.assert_close(masked, removed, rtol=1e-3, atol=1e-3)
    size = sum(item.numel() for item in recovered_model(resnet, recovery).parameters())
    assert size < sum(item.numel() for item in resnet.model.parameters())


# Wanda chooses, and makes up for nothing.
@pytest.mark.parametrize(
    "method", [name for name in METHODS if name not in ("bn", "wanda-sequential")]
)
@pytest.mark.parametrize("granularity", ["channel", "element"])
def test_recovery_brings_lenet_closer_to_dense(
    lenet: PreparedSubject, method: str, granularity: str
) -> None:
    plan = plan_of(lenet, 0.5, granularity=granularity)
    if granularity == "element" and method in ("tune", "search"):
        return
    recovery = recover_plan(lenet, plan, method=method)
    found = report(lenet, plan, recovery)
    assert RecoveryReport.from_dict(found.to_dict()) == found
    assert found.dense.drop == 0
    assert found.recovered.agreement > found.pruned.agreement
    assert found.recovered.accuracy_low <= found.recovered.accuracy <= found.recovered.accuracy_high
    assert all(item.after <= item.before for item in found.layers)
    if method in ("lsq", "obs"):
        assert {item.layer for item in found.layers} == {
            name.removesuffix(".weight") for name in joint_masks(lenet, pruned_targets(lenet, plan))
        }


@pytest.mark.parametrize("method", ["sparsegpt-sequential", "wanda-sequential"])
def test_weights_chosen_in_order_are_masks_everywhere(
    lenet: PreparedSubject, method: str, tmp_path: Path
) -> None:
    """As many weights as the plan keeps, in evaluation, masks and training."""
    first, *others = start_plan(lenet, criterion="l1", granularity="element").entries
    half = [dataclasses.replace(item, ratio=0.5, kept=item.total // 2) for item in others[:3]]
    plan = dataclasses.replace(
        start_plan(lenet, criterion="l1", granularity="element"),
        entries=(first, *half[:2], dataclasses.replace(half[2], granularity="2:4")),
    )
    recovery = recover_plan(lenet, plan, method=method)
    request = ExportRequest(prepared=lenet, plan=plan, recovery=recovery, directory=tmp_path)
    found, trainee = masks(request), Trainee(lenet, plan, start=recovery)
    raw = masks(dataclasses.replace(request, recovery=None))
    for entry in recovery.plan.entries[1:]:
        name = f"{entry.layer}.weight"
        kept = recovery.edit.tensors[name] != 0
        assert int(kept.sum()) == entry.kept == entry.total // 2
        assert torch.equal(found[name], kept)
        assert torch.equal(trainee.parameter_masks[name], kept)
        assert torch.equal(trainee.model.get_parameter(name), recovery.edit.tensors[name])
        assert not torch.equal(kept, raw[name])


@pytest.mark.parametrize("method", METHODS)
def test_evaluate_measures_what_recover_reports(resnet: PreparedSubject, method: str) -> None:
    plan = plan_of(resnet, 0.3)
    before = checksum(resnet.model)
    recovery = recover_plan(resnet, plan, method=method)
    expected = report(resnet, plan, recovery)
    found = evaluate_plan(resnet, plan, recovery=recovery, latency_seconds=0)
    assert checksum(resnet.model) == before
    assert found.repair == method
    assert f"repaired by {method}" in found.notes[0]
    assert found.masked is not None
    assert found.masked.sums["correct"] == expected.recovered.correct
    assert found.agrees
    assert found.removed.params == evaluate_plan(resnet, plan, latency_seconds=0).removed.params


def test_evaluate_repairs_masked_weights_also_without_a_graph(lenet: PreparedSubject) -> None:
    plan = plan_of(lenet, 0.9, granularity="element")
    plain = evaluate_plan(lenet, plan, latency_seconds=0)
    for prepared in (lenet, dataclasses.replace(lenet, graph=None, structure=None)):
        recovery = recover_plan(prepared, plan, method="lsq")
        found = evaluate_plan(prepared, plan, recovery=recovery, latency_seconds=0)
        assert found.removed.accuracy > plain.removed.accuracy
        assert found.removed.nonzero <= plain.removed.nonzero
        assert found.agrees


def test_a_plan_for_other_weights_is_not_repaired(lenet: PreparedSubject) -> None:
    other = dataclasses.replace(plan_of(lenet, 0.5), fingerprint="0" * 64)
    with pytest.raises(PlanError, match="made for weights"):
        recover_plan(lenet, other, method="lsq")


@pytest.mark.parametrize("name", zoo.names(data="fashion-mnist"))
def test_reconstruction_lowers_the_error_of_the_trained_samples(name: str) -> None:
    """Half of every group's channels go; errors are those of layers, against mask-only."""
    prepared = sample_context(name)
    plan = start_plan(prepared, criterion="l1")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.5)
    masks = {
        weight.removesuffix(".weight"): mask
        for weight, mask in joint_masks(prepared, pruned_targets(prepared, plan)).items()
        if weight.endswith(".weight")
    }
    # Each layer alone, everything before it dense: what both methods promise.
    moments = capture_moments(prepared.model, calibration_batches(prepared), layers=list(masks))
    for fit in (least_squares, obs_fit):
        alone = [
            repair_one(prepared.model, layer, moments=moments[layer], mask=mask, fit=fit)[1]
            for layer, mask in masks.items()
        ]
        assert all(item.error_after < item.error_before for item in alone)
    # All together: later layers are fitted to what the earlier ones give.
    together = recover_plan(prepared, plan, method="lsq").layers
    assert {item.layer for item in together} == set(masks)
    ratios = [item.error_after / item.error_before for item in together]
    assert max(ratios) < 1
    assert sum(ratios) / len(ratios) < 0.6


@pytest.mark.parametrize("method", ["lsq", "tune"])
def test_a_norm_that_mixes_channels_is_repaired_in_the_smaller_model(method: str) -> None:
    """The residual stream of the transformer: layers learn from what the smaller model gives."""
    prepared = sample_context("vit_tiny")
    before = checksum(prepared.model)
    plan = start_plan(prepared, criterion="l1")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.3)
    recovery = recover_plan(prepared, plan, method=method)
    assert checksum(prepared.model) == before
    assert recovery.edit.kept
    found = report(prepared, plan, recovery)
    assert found.recovered.agreement > found.pruned.agreement + 0.1
    evaluation = evaluate_plan(prepared, plan, recovery=recovery, latency_seconds=0)
    assert evaluation.removed.sums["correct"] == found.recovered.correct


def test_a_smaller_layer_learns_from_the_rows_that_it_keeps() -> None:
    """One linear layer after layer norm, against least squares on explicitly sliced data."""
    prepared = sample_context("vit_tiny")
    plan = start_plan(prepared, criterion="l1")
    stream = plan.entries[0]
    plan = at_ratio(plan, [stream.name], 0.5)
    recovery = recover_plan(prepared, plan, method="lsq")
    last = recovery.layers[-1]
    assert last.layer == "head"
    small = recovered_model(prepared, recovery)
    seen: list[torch.Tensor] = []
    handle = small.get_submodule("head").register_forward_pre_hook(
        lambda _module, args: seen.append(args[0])
    )
    errors, tokens = 0.0, 0
    for inputs, _ in calibration_batches(prepared):
        gap = small(inputs) - prepared.model(inputs)
        errors, tokens = errors + float(gap.square().sum()), tokens + gap.numel()
    handle.remove()
    assert last.error_after == pytest.approx(errors / tokens, rel=1e-3)
    design = torch.cat(seen).double()
    design = torch.cat([design, torch.ones(len(design), 1, dtype=torch.float64)], 1)
    target = torch.cat([prepared.model(batch) for batch, _ in calibration_batches(prepared)])
    best = torch.linalg.lstsq(design, target.double(), driver="gelsd").solution
    least = float((design @ best - target).square().mean())
    # The ridge costs a little; the gap to masking alone is much larger.
    assert least <= last.error_after < least + 0.2 * (last.error_before - least)


def test_search_keeps_counts_and_lowers_the_fisher_loss(resnet: PreparedSubject) -> None:
    plan = plan_of(resnet, 0.5)
    found = recover_plan(resnet, plan, method="search").plan
    batches = calibration_batches(resnet)
    for old, new in zip(plan.entries, found.entries, strict=True):
        assert old.group is not None
        assert (new.kept, new.total) == (old.kept, old.total)
        assert new.indices is not None
        assert len(new.indices) == new.kept
        group = resnet.group(old.group)
        layers = [member.layer for member in group.consumers]
        gradients = input_gate_gradients(resnet.model, batches, layers=layers)
        units = torch.stack(
            [
                unit_gate_gradients(gradients[member.layer], member.index, group.units)
                for member in group.consumers
            ]
        ).sum(0)
        losses = [fisher_loss(units, mask_of_entry(resnet, entry)[1]) for entry in (new, old)]
        assert losses[0] <= losses[1]


def test_what_cannot_be_repaired_is_said(lenet: PreparedSubject) -> None:
    plan = plan_of(lenet, 0.5)
    with pytest.raises(InputError, match="no batch norm"):
        recover_plan(lenet, plan, method="bn")
    with pytest.raises(UnknownNameError, match="recovery method"):
        recover_plan(lenet, plan, method="magic")
    with pytest.raises(InputError, match="prunes nothing"):
        recover_plan(lenet, plan_of(lenet, 0.0), method="lsq")
    with pytest.raises(UnsupportedError, match="semantics 'weights'"):
        recover_plan(lenet, dataclasses.replace(plan, semantics="weights"), method="lsq")
    with pytest.raises(UnknownNameError, match="repair"):
        point_repairer(lenet, "obs")
    no_data = make_context("lenet5", data=None)
    with pytest.raises(InputError, match="calibration data"):
        recover_plan(no_data, plan, method="lsq")
    assert all(check_repair(entry.name) is entry for entry in REPAIRS)


@pytest.mark.parametrize("method", ["lsq", "search"])
def test_what_others_run_through_the_model_reaches_no_repair(
    lenet: PreparedSubject, method: str
) -> None:
    """Repairs watch layers, so sessions needed a lock around all they did."""
    plan = plan_of(lenet, 0.5)
    expected = recover_plan(lenet, plan, method=method).edit.tensors
    done = threading.Event()

    def others() -> None:
        with torch.inference_mode():
            while not done.is_set():
                lenet.model(torch.ones_like(lenet.subject.example))

    other = threading.Thread(target=others)
    other.start()
    try:
        found = recover_plan(lenet, plan, method=method).edit.tensors
    finally:
        done.set()
        other.join()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)
