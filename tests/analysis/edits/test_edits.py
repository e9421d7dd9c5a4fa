"""Targets, masks and edits."""

from __future__ import annotations

import pytest
import torch

from analysis.edits.edit import edit_for
from analysis.edits.masks import NestedMasks, kept_units, scores
from analysis.edits.target import Target, kept_at, targets
from analysis.plans.apply import plan_edit
from analysis.records.plan import Plan, PlanEntry
from pruners.errors import InputError, PlanError
from pruners.granularity import parse
from pruners.selection import element_mask, num_kept_fixed
from pruners.selection.masks import keep_mask
from tests.helpers.contexts import sample_context, sample_spec


@pytest.mark.parametrize("seed", range(3))
def test_nested_masks_equal_masks_made_one_by_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few different values: ties are the hard part.
    values = torch.randint(0, 5, (6, 4, 3, 3), generator=generator).float()
    counts = [0, 1, 50, 100, values.numel()]
    masks = NestedMasks.of(values, counts, granularity="element")
    for kept in counts:
        assert torch.equal(masks.mask(kept), keep_mask(values, kept))
        assert torch.equal(kept_units(values, kept, granularity="element"), masks.mask(kept))


def test_masks_of_blocks_and_patterns_equal_those_of_the_granularity() -> None:
    values = torch.rand(8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    block = parse("block:4x1")
    for kept in (3, 20):
        expected = element_mask(block, values, kept=kept)
        found = kept_units(values, kept, granularity="block:4x1")
        assert torch.equal(found, expected)
    pattern = parse("2:4")
    kept = num_kept_fixed(pattern, values.shape)
    expected = element_mask(pattern, values, kept=kept)
    assert torch.equal(kept_units(values, kept, granularity="2:4"), expected)


def test_targets_of_elements_are_the_layers_in_execution_order() -> None:
    prepared = sample_context("lenet5")
    found = targets(prepared, "element")
    assert [item.layer for item in found] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert all(item.group is None and item.prunable for item in found)
    assert [item.layer for item in targets(prepared, "element", "conv*")] == ["conv1", "conv2"]


def test_several_globs_are_joined_by_commas() -> None:
    """`--layers a,b` was refused."""
    prepared = sample_context("lenet5")
    found = targets(prepared, "element", "fc*, conv2,fc1")
    assert [target.layer for target in found] == ["conv2", "fc1", "fc2", "fc3"]
    with pytest.raises(InputError, match="no layer fits 'cnov1'; layers: conv1, conv2"):
        targets(prepared, "element", "fc1,cnov1")


def test_the_last_layers_outputs_are_no_channel_target() -> None:
    prepared = sample_context("lenet5")
    prunable = [item.layer for item in targets(prepared, "channel") if item.prunable]
    assert prunable == ["conv1", "conv2", "fc1", "fc2"]
    assert all(item.reason for item in targets(prepared, "channel") if not item.prunable)


def test_kept_counts_round_half_up_and_leave_one_channel() -> None:
    prepared = sample_context("lenet5")
    channel = targets(prepared, "channel", "conv1")[0]
    element = targets(prepared, "element", "conv1")[0]
    assert kept_at(prepared, channel, 0.25) == channel.total - int(0.25 * channel.total + 0.5)
    assert kept_at(prepared, channel, 1.0) == 1
    assert kept_at(prepared, element, 1.0) == 0


def test_an_element_edit_zeroes_exactly_the_removed_weights() -> None:
    prepared = sample_context("lenet5")
    target = targets(prepared, "element", "conv2")[0]
    values = scores(prepared, target, "l1")
    mask = kept_units(values, 100, granularity="element")
    edit = edit_for(prepared, target, mask)
    weight = prepared.evaluator.state["conv2.weight"]
    assert list(edit.tensors) == ["conv2.weight"]
    assert torch.equal(edit.tensors["conv2.weight"], weight * mask)
    assert edit_for(prepared, target, torch.ones_like(mask)).is_dense


def entry(layer: str, kept: int, total: int, **changes: object) -> PlanEntry:
    fields: dict[str, object] = {
        "layer": layer,
        "group": layer,
        "criterion": "l1",
        "granularity": "channel",
        "ratio": 0.5,
        "kept": kept,
        "total": total,
    }
    return PlanEntry(**{**fields, **changes})  # type: ignore[arg-type]


def plan(*entries: PlanEntry) -> Plan:
    return Plan(subject=sample_spec("lenet5"), fingerprint="", entries=entries)


def test_entries_that_share_a_weight_are_both_applied() -> None:
    prepared = sample_context("lenet5")
    channel: Target = targets(prepared, "channel", "conv1")[0]
    element = targets(prepared, "element", "conv2")[0]
    listed = entry("conv1", 2, channel.total, indices=(0, 3))
    masked = entry("conv2", 10, element.total, granularity="element", group=None)
    edit = plan_edit(prepared, plan(listed, masked))
    found = edit.tensors["conv2.weight"]
    values = scores(prepared, element, "l1")
    expected = prepared.evaluator.state["conv2.weight"] * kept_units(
        values, 10, granularity="element"
    )
    removed = [index for index in range(channel.total) if index not in (0, 3)]
    expected[:, removed] = 0
    assert torch.equal(found, expected)
    assert plan_edit(prepared, plan()).is_dense


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (entry("conv9", 1, 6), "which this model does not have"),
        (entry("conv1", 3, 99), "which has 6 units"),
        (entry("conv1", 2, 6, indices=(0, 0)), "needs 2 different ones"),
        (entry("conv1", 2, 6, indices=(0, 6)), "needs 2 different ones"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(bad: PlanEntry, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_edit(sample_context("lenet5"), plan(bad))


def test_more_ratios_than_a_byte_counts_are_refused() -> None:
    with pytest.raises(InputError, match="at most 255"):
        NestedMasks.of(torch.rand(1000), list(range(300)), granularity="channel")
