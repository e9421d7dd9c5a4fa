"""Layer by layer: the order of calls, the steps between, and none of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from analysis.edits import PreparedSubject
from analysis.recovery.training.sparsity import layerwise
from pruners.errors import InputError
from tests.helpers.training_steps import context_of, do_step, made, opened, pruned


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


def closed(masks: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, mask in masks.items() if not bool(mask.all())]


@pytest.mark.parametrize("given", [None, 4])
def test_layers_go_in_the_order_of_execution(tiny: PreparedSubject, given: int | None) -> None:
    """Whatever the order of the plan's entries; twelve steps are four for each of three layers."""
    plan = pruned(tiny, 0.5)
    plan = dataclasses.replace(plan, entries=tuple(reversed(plan.entries)))
    context = context_of(tiny, plan, "layerwise", steps=12, layer_steps=given)
    method = made(context)
    found = []
    for step in range(12):
        do_step(context, method, step)
        found.append(sorted(closed(context.trainee.masks)))
    assert found == [["0"]] * 4 + [["0", "2"]] * 4 + [["0", "2", "5"]] * 4
    assert [method.moves_after(step) for step in range(12)] == [True] * 8 + [False] * 4


def test_a_layer_is_scored_in_its_turn(
    tiny: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number and order of calls: AIMET's loop, the whole network trained after each layer."""
    calls: list[tuple[str, int]] = []
    context = context_of(tiny, pruned(tiny, 0.5), "layerwise", steps=9, layer_steps=2)
    scored = layerwise.current_scores

    def noted(context, targets, **options):  # type: ignore[no-untyped-def]
        calls.extend((target.name, now) for target in targets)
        return scored(context, targets, **options)

    monkeypatch.setattr(layerwise, "current_scores", noted)
    method = made(context)
    for step in range(9):
        now = step
        do_step(context, method, step)
    # The first layer has the masks of the plan: nothing was trained yet.
    assert calls == [("2", 2), ("5", 4)]
    weight = context.trainee.model.get_parameter("5.weight").detach()
    assert int((weight == 0).sum()) == 256


def test_without_steps_it_is_one_shot_fine_tuning(tiny: PreparedSubject) -> None:
    """Equal to the bit, masks and weights, when n = 0."""
    plan = pruned(tiny, 0.5)
    found = []
    for name, options in (("layerwise", {"layer_steps": 0}), ("finetune", {})):
        context = context_of(tiny, plan, name, steps=8, **options)
        method = made(context)
        for step in range(8):
            do_step(context, method, step)
        found.append(context.trainee)
    one, two = found
    assert all(torch.equal(one.masks[name], two.masks[name]) for name in one.masks)
    for name, tensor in one.state().items():
        assert torch.equal(tensor, two.state()[name])


def test_too_few_steps_are_refused(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.5), "layerwise", steps=9, layer_steps=5)
    with pytest.raises(InputError, match=r"3 layers with 5 steps .* more than 10 .* has 9"):
        made(context)
