"""Repairs of points, in sweeps too, global ranking, and what rounds and files of criteria do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from analysis.allocation.scored.ranked import global_plan
from analysis.edits.edit import Edit, edit_for
from analysis.edits.masks import kept_units, scores
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import targets
from analysis.plans.apply import mask_of_entry, start_plan
from analysis.plans.rescoring import rescored_plan
from analysis.records.plan import Plan, Recipe
from analysis.records.progress import Progress
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.repairs.layers import calibration_batches, weight_masks
from analysis.repairs.registry import point_repairer
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep
from pruners import schedules
from pruners.criteria import CRITERIA
from pruners.errors import InputError, UnsupportedError
from pruners.preserve import checksum
from pruners.reconstruction.batch_norm import batch_norm_buffers
from pruners.reconstruction.moments import capture_moments
from tests.analysis.recovery.pruned import SPEC, measured_sums, plan_of


def test_point_repair_lsq_lowers_the_consumers_error(lenet: PreparedSubject) -> None:
    repairer = point_repairer(lenet, "lsq")
    batches = calibration_batches(lenet)
    for target in targets(lenet, "channel"):
        if not target.prunable:
            continue
        mask = kept_units(scores(lenet, target, "l1"), target.total // 2)
        edit = edit_for(lenet, target, mask)
        repaired = repairer.repaired(target, mask, edit, key=target.name)
        assert repairer.repaired(target, mask, edit, key=target.name) is repaired
        assert set(repaired.tensors) <= set(edit.tensors) | repairer.names(target, mask)
        for name, keep in weight_masks(lenet, target, mask).items():
            layer = name.removesuffix(".weight")
            moments = capture_moments(lenet.model, batches, layers=[layer])[layer]
            bias = lenet.evaluator.state[f"{layer}.bias"]
            before = moments.error(edit.tensors[name], bias)
            after = moments.error(repaired.tensors[name], repaired.tensors[f"{layer}.bias"])
            assert after < before
            assert bool((repaired.tensors[name][~keep] == 0).all())


def test_point_repair_bn_is_the_estimate_under_the_edit(resnet: PreparedSubject) -> None:
    target = next(item for item in targets(resnet, "channel") if item.prunable)
    mask = kept_units(scores(resnet, target, "l1"), target.total // 2)
    edit = edit_for(resnet, target, mask)
    repaired = point_repairer(resnet, "bn").repaired(target, mask, edit, key=0)
    expected = batch_norm_buffers(resnet.model, calibration_batches(resnet), edit=edit.tensors)
    assert set(repaired.tensors) == set(edit.tensors) | set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(repaired.tensors[name], value)


@pytest.mark.parametrize("repair", ["none", "bn", "lsq"])
def test_sweep_measures_the_repaired_points(resnet: PreparedSubject, repair: str) -> None:
    spec = SweepSpec(
        subject=resnet.subject.spec,
        criteria=("l1",),
        ratios=(0.5,),
        layers="*.0.conv1",
        repair=repair,
    )
    *_, last = iter_sweep(plan_sweep(resnet, spec))
    assert not last.failed
    repairer = point_repairer(resnet, repair)
    for key, sums in last.sums.items():
        target = next(item for item in targets(resnet, "channel") if item.name == key.group)
        mask = kept_units(scores(resnet, target, "l1"), key.kept)
        edit = repairer.repaired(target, mask, edit_for(resnet, target, mask), key=key)
        assert measured_sums(resnet, edit)["correct"] == sums["correct"]


def test_sweep_of_weights_semantics_equals_a_plain_loop(resnet: PreparedSubject) -> None:
    spec = SweepSpec(
        subject=resnet.subject.spec, criteria=("l1",), ratios=(0.5,), semantics="weights"
    )
    *_, last = iter_sweep(plan_sweep(resnet, spec))
    assert resnet.subject.evaluation is not None
    for key, sums in last.sums.items():
        group = resnet.group(str(key.group))
        mask = kept_units(resnet.channel_scores(group, "l1"), key.kept)
        state = {}
        for member in group.producers:
            rows = resnet.evaluator.state[member.name].clone()
            rows[~mask[member.index]] = 0
            state[member.name] = rows
        correct = sum(
            int((resnet.evaluator.forward(inputs, state).argmax(1) == labels).sum())
            for inputs, labels in resnet.subject.evaluation.batches(40)
        )
        assert sums["correct"] == correct


def plain_scores(prepared: PreparedSubject, name: str, criterion: str) -> torch.Tensor:
    """Return the mean over a group's producers of their scores as they are, unit by unit."""
    group = prepared.group(name)
    rows = []
    for layer in dict.fromkeys(member.layer for member in group.producers):
        index = next(item.index for item in group.producers if item.layer == layer)
        found = prepared.layer_scores(layer, criterion, "channel")
        rows.append(torch.stack([found[index == unit].sum() for unit in range(group.units)]))
    return torch.stack(rows).mean(0)


def test_global_ranking_uses_the_criterions_own_normalizer_and_the_plans_reduction(
    resnet: PreparedSubject,
) -> None:
    def filled(criterion: str, reduction: str = "mean", **options: str) -> Plan:
        plan = start_plan(resnet, criterion=criterion, granularity="channel", reduction=reduction)
        return global_plan(resnet, plan, ratio=0.5, **options)

    assert filled("lamp") == filled("lamp", normalizer="none") != filled("lamp", normalizer="mean")
    found = filled("taylor")
    assert found.strategy == "global"
    assert found.recipe == Recipe(ratio=0.5, normalizer="none")
    assert filled("l1") == filled("l1", normalizer="mean")
    one, other = filled("l1", "max").entries, filled("l1", "min").entries
    assert [entry.indices for entry in one] != [entry.indices for entry in other]


def test_global_plan_ranks_all_units_together(resnet: PreparedSubject) -> None:
    plan = start_plan(resnet, criterion="taylor", granularity="channel")
    locked = dataclasses.replace(plan.entries[0], locked=True)
    plan = dataclasses.replace(plan, entries=(locked, *plan.entries[1:]))
    found = global_plan(resnet, plan, ratio=0.4, normalizer="none")
    free = found.entries[1:]
    assert found.entries[0] == locked
    total = sum(entry.total for entry in free)
    assert total - sum(entry.kept for entry in free) == int(0.4 * total + 0.5)
    assert len({entry.ratio for entry in free}) > 3
    values = {e.group: plain_scores(resnet, str(e.group), "taylor") for e in free}
    kept = [values[e.group][list(e.indices or ())] for e in free]
    gone = [
        values[e.group][[u for u in range(e.total) if u not in set(e.indices or ())]]
        for e in free
        if e.kept > 1
    ]
    assert torch.cat(gone).max() <= torch.cat(kept).min() + 1e-6


def test_global_plan_of_elements_and_what_it_refuses(lenet: PreparedSubject) -> None:
    plan = start_plan(lenet, criterion="lamp", granularity="element")
    found = global_plan(lenet, plan, ratio=0.9, normalizer="none")
    total = sum(entry.total for entry in found.entries)
    assert total - sum(entry.kept for entry in found.entries) == int(0.9 * total + 0.5)
    assert not measured_sums(lenet, Edit())["lost"]
    mixed = dataclasses.replace(plan.entries[0], criterion="l1")
    with pytest.raises(InputError, match="one criterion"):
        global_plan(lenet, dataclasses.replace(plan, entries=(mixed, *plan.entries[1:])), ratio=0.5)
    pattern = start_plan(lenet, criterion="l1", granularity="2:4")
    with pytest.raises(InputError, match="one ratio"):
        global_plan(lenet, pattern, ratio=0.5)


def test_a_users_criterion_file_is_swept_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from pruners.criteria import criterion\n"
        "@criterion('spread', label='Spread', citation='own', formula='std', help='Mine.',\n"
        "           granularities={'channel'})\n"
        "def spread(data, *, level):\n"
        "    return data.weight.flatten(1).std(1)\n"
    )
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", criterion_files=(str(path),), **SPEC
    )
    assert SubjectSpec.from_dict(spec.to_dict()) == spec
    try:
        prepared = prepare(load_subject(spec))
        sweep = SweepSpec(subject=spec, criteria=("spread", "l1"), ratios=(0.5,), layers="conv1")
        *_, last = iter_sweep(plan_sweep(prepared, sweep))
        assert {key.criterion for key in last.sums} == {"spread", "l1"}
        with pytest.raises(InputError, match="outside"):
            load_subject(spec, roots=[tmp_path / "other"])
    finally:
        CRITERIA.remove("spread")


def test_a_pattern_has_one_point_a_curve(lenet: PreparedSubject) -> None:
    spec = SweepSpec(
        subject=lenet.subject.spec, criteria=("l1", "wanda"), granularity="2:4", ratios=(0.1, 0.9)
    )
    *_, last = iter_sweep(plan_sweep(lenet, spec))
    assert {(key.layer, key.criterion) for key in last.sums} == {
        (layer, name) for layer in lenet.layers() for name in ("l1", "wanda")
    }
    assert len(last.sums) == 2 * len(lenet.layers())
    assert {key.ratio_requested for key in last.sums} == {0.5}


def test_rounds_keep_counts_nest_and_score_the_pruned_model(lenet: PreparedSubject) -> None:
    before = checksum(lenet.model)
    plan = plan_of(lenet, 0.5)
    once = rescored_plan(lenet, plan, rounds=1)
    for entry in once.entries:
        target, mask = mask_of_entry(lenet, dataclasses.replace(entry, indices=None))
        assert entry.indices == tuple(torch.nonzero(mask).flatten().tolist()), target
    seen: list[Progress] = []
    often = rescored_plan(lenet, plan, rounds=3, progress=seen.append)
    assert seen == [Progress(done, 3, "rounds") for done in (1, 2, 3)]
    assert [entry.kept for entry in often.entries] == [entry.kept for entry in plan.entries]
    assert all(len(entry.indices or ()) == entry.kept for entry in often.entries)
    assert often != once
    # What the first round of three removes never comes back.
    third = [
        dataclasses.replace(e, kept=e.total - int((e.total - e.kept) / 3 + 0.5))
        for e in plan.entries
    ]
    first = rescored_plan(lenet, dataclasses.replace(plan, entries=tuple(third)), rounds=1)
    for early, late in zip(first.entries, often.entries, strict=True):
        assert set(late.indices or ()) <= set(early.indices or ())
    assert checksum(lenet.model) == before
    with pytest.raises(UnsupportedError, match="rounds choose channels"):
        rescored_plan(lenet, plan_of(lenet, 0.5, granularity="element"), rounds=2)
    with pytest.raises(InputError, match="round"):
        schedules.round_ratios("iterative", 0, final=0.5)
