"""Movement: closed forms, running sums of logged gradients, what returns, the soft penalty."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.sparsity.movement import (
    HARD_RATE,
    MovementMasks,
    SoftMovementMasks,
    move_progress,
)
from pruners.granularity import parse
from pruners.selection import in_units, unit_scores
from tests.helpers.training_steps import TWELVE, context_of, do_step, made, opened, pruned


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("twelve"), TWELVE)


def test_progress_has_warm_up_and_cool_down() -> None:
    recipe = TrainingRecipe(method="movement", begin=0.2, end=0.6)
    found = [move_progress(recipe, step, 10) for step in range(10)]
    assert found == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1])
    assert move_progress(recipe, 0, 1) == 1.0


def test_two_weights_on_a_quadratic_in_closed_form(twelve: PreparedSubject) -> None:
    """L = sum h (w - c)^2 / 2 with one weight moving out and one moving in.

    While nothing is masked, w_t - c = (w_0 - c) (1 - a h)^t, and S_T is the sum over t < T of
    -s h (w_t - c) w_t, a geometric series in (1 - a h) and its square.
    """
    context = context_of(
        twelve,
        pruned(twelve, 0.5),
        "movement",
        steps=40,
        begin=0.5,
        optimizer=lambda found: torch.optim.SGD(found, lr=0.1),
    )
    method = made(context)
    assert isinstance(method, MovementMasks)
    h, c = torch.full((4, 3), 0.7), torch.full((4, 3), 0.0)
    start = twelve.evaluator.state["2.weight"].double().clone()
    c[0, 0] = 3 * float(start[0, 0])  # moves away from zero
    for step in range(20):
        do_step(context, method, step, lambda found: {"2.weight": h * (found["2.weight"] - c)})
    shrink, gap = 1 - 0.1 * 0.7, start - c.double()
    # sum of gap q^t (c + gap q^t)
    first = (1 - shrink**20) / (1 - shrink)
    second = (1 - shrink**40) / (1 - shrink**2)
    expected = -HARD_RATE * 0.7 * (gap * c * first + gap.square() * second)
    found = method.learned["2"].reshape(4, 3).double()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
    assert int(found.argmax()) == 0


def test_a_masked_weight_whose_score_rises_returns_as_it_was(twelve: PreparedSubject) -> None:
    context = context_of(
        twelve,
        pruned(twelve, 0.5),
        "movement",
        steps=40,
        end=0.95,
        optimizer=lambda found: torch.optim.SGD(found, lr=0.01),
    )
    method = made(context)
    weight = context.trainee.model.get_parameter("2.weight")
    aim = torch.zeros(4, 3)
    for step in range(30):
        do_step(context, method, step, lambda found: {"2.weight": found["2.weight"] - aim})
    lost = ~context.trainee.parameter_masks["2.weight"]
    assert int(lost.sum()) >= 5
    value = method.unmasked("2.weight")  # type: ignore[attr-defined]
    assert bool((weight.detach()[lost] == 0).all())
    assert bool((value[lost] != 0).all())
    # Straight through: at a masked weight the gradient is that at zero, and pulls it outwards.
    aim = torch.where(lost, 50 * value, 0.0)
    for step in range(30, 39):
        do_step(context, method, step, lambda found: {"2.weight": found["2.weight"] - aim})
    back = lost & context.trainee.parameter_masks["2.weight"]
    assert bool(back.any())
    assert method.ratio == 1


@pytest.mark.parametrize("granularity", ["element", "block:1x4", "channel"])
def test_scores_are_running_sums_of_the_logged_gradients(
    tiny: PreparedSubject, granularity: str
) -> None:
    """Recomputed from full gradients and the values behind the masks."""
    context = context_of(tiny, pruned(tiny, 0.5, granularity), "movement", steps=24)
    method = made(context)
    assert isinstance(method, MovementMasks)
    model, hidden = context.trainee.model, dict[str, Tensor]()
    log = {target.name: torch.zeros(target.total) for target in method.targets}
    reads = {"0": "2.weight", "2": "5.weight"}
    for step in range(12):
        method.before_forward(step)
        context.optimizer.zero_grad()
        inputs, labels = context.batches(step + 1)[-1]
        context.loss(model(inputs), inputs, labels).total.backward()
        for target in method.targets:
            name = reads[target.layer] if granularity == "channel" else f"{target.layer}.weight"
            weight, mask = model.get_parameter(name), context.trainee.parameter_masks[name]
            whole = torch.where(mask, weight.detach(), hidden.get(name, torch.zeros(())))
            hidden[name] = whole
            assert weight.grad is not None
            product = weight.grad * whole
            if granularity == "channel":
                units = product.reshape(len(product), target.total, -1).sum((0, 2))
            else:
                units = in_units(parse(granularity), product).sum(1)
            log[target.name] -= HARD_RATE * units
        method.before_step(step)
        context.optimizer.step()
        method.after_step(step)
        for name, whole in hidden.items():
            mask = context.trainee.parameter_masks[name]
            hidden[name] = torch.where(mask, model.get_parameter(name).detach(), whole)
    for name, expected in log.items():
        torch.testing.assert_close(method.learned[name], expected, rtol=1e-4, atol=1e-7)


def test_masks_keep_the_highest_scores_by_the_cubic_schedule(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.8), "movement", steps=20, begin=0.1, end=0.6)
    method = made(context)
    assert isinstance(method, MovementMasks)
    target = method.targets[2]
    for step in range(20):
        scores = method.learned[target.name].clone()
        do_step(context, method, step)
        mask = context.trainee.masks[target.name].flatten()
        t = min(1.0, max(0.0, (step - 2) / 10))
        ratio = 410 / 512 * (1 - (1 - t) ** 3)
        assert int((~mask).sum()) == int(ratio * 512 + 0.5)
        if 2 < step <= 12:
            assert float(scores[mask].min()) >= float(scores[~mask].max())
            last = mask
        if step > 12:
            assert torch.equal(mask, last)


def test_masked_weights_are_zero_and_keep_their_value_behind_the_mask(
    tiny: PreparedSubject,
) -> None:
    context = context_of(
        tiny,
        pruned(tiny, 0.6),
        "movement",
        steps=24,
        optimizer=lambda found: torch.optim.SGD(found, lr=0.1, momentum=0.9, weight_decay=0.01),
    )
    method = made(context)
    assert isinstance(method, MovementMasks)
    for step in range(24):
        do_step(context, method, step)
        for name, mask in context.trainee.parameter_masks.items():
            lost = context.trainee.model.get_parameter(name).detach()[~mask]
            assert torch.equal(lost.view(torch.int32), torch.zeros_like(lost).view(torch.int32))


def test_channels_behind_a_mask_get_gradients(tiny: PreparedSubject) -> None:
    """Masked on both sides a unit has no gradient, and its score would never move again."""
    context = context_of(tiny, pruned(tiny, 0.5, "channel"), "movement", steps=12, end=0.9)
    method = made(context)
    assert isinstance(method, MovementMasks)
    for step in range(9):
        do_step(context, method, step)
    lost = {name: ~mask for name, mask in context.trainee.masks.items()}
    before = {name: scores.clone() for name, scores in method.learned.items()}
    assert any(bool(mask.any()) for mask in lost.values())
    do_step(context, method, 9)
    moved = [
        bool((method.learned[name] != before[name])[mask].any()) for name, mask in lost.items()
    ]
    assert any(moved)


# --- soft ------------------------------------------------------------------------------------


def soft(tiny: PreparedSubject, **recipe: float) -> SoftMovementMasks:
    context = context_of(tiny, pruned(tiny, 0.5), "soft_movement", **recipe)  # type: ignore[arg-type]
    found = made(context)
    assert isinstance(found, SoftMovementMasks)
    return found


def test_penalty_grows_as_its_regular_scale_says(tiny: PreparedSubject) -> None:
    """r(t) = 1 - (1 - t)^3 at five points, by hand; lambda is 4."""
    method = soft(tiny, steps=40, end=1.0, penalty=4.0)
    assert [method.weight(step) for step in (0, 39)] == pytest.approx([0.0, 4.0])
    method = soft(tiny, steps=41, end=1.0, penalty=4.0)
    expected = [0.0, 4 * 0.578125, 4 * 0.875, 4 * 0.984375, 4.0]
    assert [method.weight(step) for step in (0, 10, 20, 30, 40)] == pytest.approx(expected)


def test_soft_scores_are_adams_on_the_loss_with_its_penalty(tiny: PreparedSubject) -> None:
    """Against torch.optim.Adam and autograd on ``S * product + penalty * mean sigmoid(S)``."""
    method = soft(tiny, steps=30, penalty=3.0, score_lr=0.05, begin=0.0)
    count = len(method.targets)
    twins = {
        name: torch.zeros_like(item, requires_grad=True) for name, item in method.learned.items()
    }
    optimizer = torch.optim.Adam(twins.values(), lr=0.05, eps=1e-12)
    for step in range(12):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        total = torch.zeros(())
        for target in method.targets:
            product = torch.randn(target.total, generator=generator)
            scores = twins[target.name]
            mean = torch.sigmoid(scores).mean() / count
            total = total + (scores * product).sum() + method.weight(step) * mean
            method.learn(target, product, step)
        total.backward()
        optimizer.step()
    for name, expected in twins.items():
        torch.testing.assert_close(method.learned[name], expected.detach(), rtol=1e-4, atol=1e-6)


def test_soft_masks_are_above_the_threshold_then_exact(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.5), "soft_movement", steps=40, end=0.9, penalty=5.0)
    method = made(context)
    assert isinstance(method, SoftMovementMasks)
    for step in range(40):
        scores = {name: item.clone() for name, item in method.learned.items()}
        do_step(context, method, step)
        for target in method.targets:
            mask = context.trainee.masks[target.name].flatten()
            if 0 < step < 36:
                assert torch.equal(mask, torch.sigmoid(scores[target.name]) > 0.1)
                assert method.moves_after(step)
            elif step >= 36:
                assert int(mask.sum()) == method.kept(target)
                assert not method.moves_after(step)


def test_a_larger_penalty_removes_more(tiny: PreparedSubject) -> None:
    found = []
    for penalty in (0.0, 1.0, 10.0):
        context = context_of(
            tiny, pruned(tiny, 0.9), "soft_movement", steps=60, end=1.0, penalty=penalty
        )
        method = made(context)
        for step in range(50):
            do_step(context, method, step)
        found.append(sum(int((~mask).sum()) for mask in context.trainee.masks.values()))
    assert all(low < high for low, high in itertools.pairwise(found))


def test_blocks_spread_over_their_weights(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.5, "block:3x2"), "movement", steps=4)
    method = made(context)
    assert isinstance(method, MovementMasks)
    for target in method.targets:
        values = torch.arange(target.total, dtype=torch.float32)
        spread = method.spread(target, values)
        pooled = unit_scores(parse(target.granularity), spread)
        torch.testing.assert_close(pooled.flatten(), values)
