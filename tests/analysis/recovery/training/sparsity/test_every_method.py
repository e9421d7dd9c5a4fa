"""What holds for every training method: counts, zeros, removal, resume, refusals, the docs."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.jobs import Work
from analysis.recovery import Recovery, recovered_model
from analysis.recovery.training.loop import iter_training
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.registry import TRAINING_METHODS
from analysis.retraining import Job, Order, steps
from analysis.store import Store
from pruners.errors import InputError, PruneScopeError
from pruners.granularity import parse
from pruners.selection import in_units
from tests.helpers.training_steps import (
    NORMED,
    context_of,
    do_step,
    made,
    opened,
    pruned,
)

METHODS = TRAINING_METHODS.names()
CHANNELS = [name for name in METHODS if name != "obert"]
QUICK = {"updates": 3, "gradients": 12, "phase_epochs": 1.0, "end": 0.8, "batch_size": 16}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def normed(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("normed"), NORMED)


def recipe_of(prepared: PreparedSubject, name: str, **given: object) -> TrainingRecipe:
    data = prepared.subject.spec.data
    return TrainingRecipe.of(name, train_data=data, lr=0.02, **{**QUICK, **given})


def trained(prepared: PreparedSubject, ratio: float, granularity: str, name: str) -> Recovery:
    plan = pruned(prepared, ratio, granularity)
    *_, last = iter_training(prepared, plan, recipe_of(prepared, name, steps=12), seed=3)
    assert last.is_done
    assert last.ratio == 1
    assert last.recovery is not None
    return last.recovery


@pytest.mark.parametrize("granularity", ["element", "block:4x1", "2:4"])
@pytest.mark.parametrize("name", METHODS)
def test_exactly_what_the_plan_keeps_is_left(
    tiny: PreparedSubject, name: str, granularity: str
) -> None:
    plan = pruned(tiny, 0.5, granularity)
    recovery = trained(tiny, 0.5, granularity, name)
    kept = {entry.layer: entry.kept for entry in recovery.plan.entries}
    state = {**tiny.evaluator.state, **recovery.edit.tensors}
    for layer, count in kept.items():
        units = in_units(parse(granularity), state[f"{layer}.weight"])
        assert int((units != 0).any(1).sum()) == count
        if granularity == "2:4" and layer != "0":
            runs = (
                state[f"{layer}.weight"].flatten(2).transpose(1, 2)
                if layer == "2"
                else state["5.weight"]
            )
            whole = runs[..., : runs.shape[-1] // 4 * 4].reshape(-1, 4)
            assert int((whole != 0).sum(1).max()) <= 2
    asked = {
        entry.layer: entry.kept
        for entry in context_of(tiny, plan, name, steps=4).trainee.plan.entries
    }
    assert kept == asked


@pytest.mark.parametrize("name", METHODS)
def test_listed_weights_are_listed_as_they_were_trained(tiny: PreparedSubject, name: str) -> None:
    """Of masks of a file: methods with fixed masks keep them, the others choose anew and say so."""
    plan = pruned(tiny, 0.5)
    draw = random.Random(0)
    entries = tuple(
        dataclasses.replace(
            entry, indices=tuple(sorted(draw.sample(range(entry.total), entry.kept)))
        )
        for entry in plan.entries
    )
    plan = dataclasses.replace(plan, entries=entries)
    context = context_of(tiny, plan, name, steps=4, **QUICK)
    method = made(context)
    for step in range(4):
        do_step(context, method, step)
    method.finish()
    found = context.trainee.recovery(name).plan
    # Weights are drawn, so that none but masked ones are zero.
    left = {
        entry.name: context.trainee.model.get_parameter(f"{entry.layer}.weight").flatten().nonzero()
        for entry in plan.entries
    }
    assert {entry.name: list(entry.indices or ()) for entry in found.entries} == {
        name: places.flatten().tolist() for name, places in left.items()
    }
    moves = name not in ("finetune", "sparsegpt", "transfer")
    assert (found.entries != plan.entries) == moves
    # The plan as a file is the same plan.
    assert type(found).from_json(found.to_json()) == found


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_are_removed_and_the_smaller_model_is_what_was_trained(
    normed: PreparedSubject, name: str
) -> None:
    """Also with batch norms: the outputs of the removed model are those of the masked one."""
    plan = pruned(normed, 0.5, "channel")
    context = context_of(normed, plan, name, steps=12, **QUICK)
    method = made(context)
    for step in range(12):
        do_step(context, method, step)
    method.finish()
    recovery = context.trainee.recovery(name)
    small, masked = recovered_model(normed, recovery), context.trainee.model.eval()
    kept = {entry.layer: entry.kept for entry in recovery.plan.entries}
    assert small.get_parameter("0.weight").shape[0] == kept["0"] < 6
    assert small.get_parameter("3.weight").shape[:2] == (kept["3"], kept["0"])
    assert (kept["0"], kept["3"]) == (3, 4)
    example = normed.subject.example
    with torch.no_grad():
        torch.testing.assert_close(small(example), masked(example), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_zeros_are_zero_after_each_step(tiny: PreparedSubject, name: str) -> None:
    """Bit for bit, with momentum and decay; what a mask lets through again may be anything."""
    context = context_of(
        tiny,
        pruned(tiny, 0.6),
        name,
        steps=12,
        optimizer=lambda found: torch.optim.SGD(found, lr=0.05, momentum=0.9, weight_decay=0.05),
        **QUICK,
    )
    method, trainee = made(context), context.trainee
    for step in range(12):
        do_step(context, method, step)
        for key, mask in trainee.parameter_masks.items():
            gone = trainee.model.get_parameter(key).detach()[~mask]
            assert torch.equal(gone.view(torch.int32), torch.zeros_like(gone).view(torch.int32))
    assert not method.moves_after(11)
    assert method.ratio == 1


@pytest.mark.parametrize("name", METHODS)
def test_what_is_kept_learns(tiny: PreparedSubject, name: str) -> None:
    """A known trap: the optimizer holds parameters of before and the layer never changes."""
    recovery = trained(tiny, 0.5, "element", name)
    for layer in ("0", "2", "5"):
        found = recovery.edit.tensors[f"{layer}.weight"]
        kept = found != 0
        assert bool((found != tiny.evaluator.state[f"{layer}.weight"])[kept].any())


@pytest.mark.parametrize("name", [*METHODS, "gmp regrow"])
def test_a_resumed_training_is_the_same_to_the_bit(
    tiny: PreparedSubject, name: str, tmp_path: Path
) -> None:
    """Cancelled three times and taken up again: weights, masks and kept counts."""
    plan = pruned(tiny, 0.5, "channel" if name == "movement" else "element")
    method, regrow, _ = name.partition(" regrow")
    recipe = recipe_of(tiny, method, steps=12, ema=0.5, regrow=bool(regrow))
    *_, whole = iter_training(tiny, plan, recipe, seed=3, folder=tmp_path / "whole")
    for limit in (2, 3, 4):
        *_, stopped = iter_training(
            tiny, plan, recipe, seed=3, folder=tmp_path / "parts", cancel=after(limit)
        )
        assert not stopped.is_done
    assert 6 <= stopped.step < 12
    *_, resumed = iter_training(tiny, plan, recipe, seed=3, folder=tmp_path / "parts")
    assert resumed.is_done
    assert whole.recovery is not None
    assert resumed.recovery is not None
    assert equal(whole.recovery.edit.tensors, resumed.recovery.edit.tensors)
    assert whole.recovery.plan == resumed.recovery.plan


def after(steps: int) -> Callable[[], bool]:
    asked = iter([False] * steps)
    return lambda: next(asked, True)


def equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return set(one) == set(two) and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_and_elements_of_one_layer_have_masks_of_their_own(
    tiny: PreparedSubject, name: str
) -> None:
    """The group is called as its layer: one entry's mask took the other's place."""
    channels, elements = pruned(tiny, 0.5, "channel"), pruned(tiny, 0.25)
    plan = dataclasses.replace(channels, entries=(*channels.entries, *elements.entries))
    context = context_of(tiny, plan, name, steps=12, **QUICK)
    method = made(context)
    for step in range(12):
        do_step(context, method, step)
    method.finish()
    masks = context.trainee.masks
    assert set(masks) == {"0", "2", "0:elements", "2:elements", "5"}
    counts = {key: int(mask.sum()) for key, mask in masks.items()}
    kept = {entry.name: entry.kept for entry in channels.entries}
    weights = {entry.name: entry.kept for entry in elements.entries}
    assert (counts["0"], counts["2"]) == (kept["0"], kept["2"])
    found = (counts["0:elements"], counts["2:elements"], counts["5"])
    assert found == tuple(weights[layer] for layer in ("0", "2", "5"))


def test_what_a_method_cannot_train_is_refused_before_anything_is_computed(
    tiny: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obert's refusal came after repair, data and reports: 41 s."""
    monkeypatch.setattr(steps, "_measured", None)
    source = NORMED.replace("nn.BatchNorm2d(6)", "nn.GroupNorm(2, 6)")
    mixed = opened(tmp_path, source)
    trained = pruned(tiny, 0.5).trained_as(32 * "a", "finetune, 1 epoch")
    for prepared, plan, name, words in (
        (tiny, pruned(tiny, 0.5, "channel"), "obert", "not the channels of 0; take gmp"),
        (mixed, pruned(mixed, 0.5, "channel"), "gmp", "gmp masks channels.*choose finetune"),
        (tiny, trained, "acdc", "trained already.*train it longer by finetune"),
        (tiny, pruned(tiny, 0.0), "gmp", "prunes nothing"),
    ):
        order = Order(subject=prepared.subject.spec, plan=plan, recipe=recipe_of(tiny, name))
        given = Work(lambda spec, found=prepared: found, Store(tmp_path / "store"))
        with pytest.raises(PruneScopeError, match=words) as found:
            list(steps.iter_job(Job(order=order), given))
        assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["acdc", "movement", "obert", "layerwise"])
def test_regrow_is_refused_where_it_means_nothing(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} has no use for regrow"):
        TrainingRecipe.of(name, regrow=True)


def test_only_transfer_trains_where_nothing_is_pruned(tiny: PreparedSubject) -> None:
    plan = pruned(tiny, 0.0)
    with pytest.raises(InputError, match="prunes nothing"):
        list(iter_training(tiny, plan, recipe_of(tiny, "gmp", steps=4), seed=0))
    *_, last = iter_training(tiny, plan, recipe_of(tiny, "transfer", steps=4), seed=0)
    assert last.recovery is not None


def test_a_criterion_of_another_name_is_another_training(
    tiny: PreparedSubject, tmp_path: Path
) -> None:
    """Both plans have the masks of l1 on the dense model; later ones differ."""
    plan = pruned(tiny, 0.5)
    other = dataclasses.replace(
        plan,
        entries=tuple(dataclasses.replace(item, criterion="l2") for item in plan.entries),
    )
    recipe = recipe_of(tiny, "gmp", steps=12)
    list(iter_training(tiny, plan, recipe, seed=3, folder=tmp_path))
    first, *_ = iter_training(tiny, other, recipe, seed=3, folder=tmp_path)
    assert first.stage == "timing"


@pytest.mark.parametrize("name", METHODS)
def test_says_what_it_is(name: str) -> None:
    entry = TRAINING_METHODS.get(name)
    assert entry.help[0].islower() or entry.help.startswith("GMP")
    assert not entry.help.endswith(".")
    assert TrainingRecipe.of(name).method == name
