"""Masks that grow: schedules by hand, exact counts, nested masks, zeros that stay."""

from __future__ import annotations

import pytest
import torch

from analysis.edits import PreparedSubject
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.sparsity.growing import GrowingMasks, move_steps
from tests.helpers.training_steps import RATE, context_of, do_step, made, opened, pruned

STEPS = 20
GROWING = ["iterative", "linear", "gmp", "gmp_star", "obert"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


def growing(
    tiny: PreparedSubject, method: str, ratio: float = 0.8, **recipe: float
) -> GrowingMasks:
    found = made(context_of(tiny, pruned(tiny, ratio), method, steps=STEPS, **recipe))
    assert isinstance(found, GrowingMasks)
    return found


def test_gmp_is_agp_as_nni_has_it(tiny: PreparedSubject) -> None:
    """``target * (1 - (1 - t) ** 3)`` of NNI's AGPPruner at 100 points."""
    method = growing(tiny, "gmp")
    target = method.targets[1]
    final = 1 - method.kept(target) / target.total
    for point in range(1, 101):
        expected = final * (1 - (1 - point / 100) ** 3)
        assert method.done(target, point / 100) * final == pytest.approx(expected, abs=1e-12)


def test_cubic_from_a_ratio_above_zero(tiny: PreparedSubject) -> None:
    """Zhu and Gupta, equation 1, by hand; NNI's line would begin at 0 there."""
    method = growing(tiny, "gmp", initial_ratio=0.2)
    target = method.targets[2]  # 512 weights, 410 of them go
    final = 410 / 512
    for progress, kept in ((0.0, 0.2), (0.5, final + (0.2 - final) * 0.125), (1.0, final)):
        assert method.done(target, progress) * final == pytest.approx(kept)


def test_linear_at_five_points_by_hand(tiny: PreparedSubject) -> None:
    """Of 432 weights 346 go: a quarter of 346/432 of them is 86.5, rounded half up."""
    context = context_of(
        tiny, pruned(tiny, 0.8), "linear", steps=STEPS, begin=0.2, end=0.6, updates=4
    )
    method = made(context)
    name = method.targets[1].name
    seen = {}
    for step in range(STEPS):
        do_step(context, method, step)
        seen[step] = int((~context.trainee.masks[name]).sum())
    assert [seen[step] for step in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19)] == [
        *(0, 0, 0),
        *(87, 87, 173, 173, 260, 260, 346, 346),
    ]


def test_iterative_prunes_equal_parts_from_the_first_move_on(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.8), "iterative", steps=STEPS, end=0.75, updates=5)
    method = made(context)
    found = []
    for step in range(STEPS):
        do_step(context, method, step)
        found.append(round(method.ratio, 2))
    assert [found[step] for step in (0, 2, 3, 6, 9, 12, 19)] == [0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(
    ("steps", "begin", "end", "updates", "expected"),
    [
        (100, 0.0, 0.8, 4, {0: 0.0, 20: 0.25, 40: 0.5, 60: 0.75, 80: 1.0}),
        (10, 0.5, 1.0, 2, {5: 0.0, 7: 0.5, 9: 1.0}),
        (3, 0.0, 1.0, 20, {0: 0.25, 1: 0.7, 2: 1.0}),
        (1, 0.0, 0.75, 20, {0: 1.0}),
        (8, 1.0, 1.0, 3, {7: 1.0}),
    ],
)
def test_steps_at_which_masks_move(
    steps: int, begin: float, end: float, updates: int, expected: dict[int, float]
) -> None:
    recipe = TrainingRecipe(method="gmp", begin=begin, end=end, updates=updates)
    assert move_steps(recipe, steps) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "granularity"),
    [
        (name, granularity)
        for name in GROWING
        for granularity in ("element", "block:1x4", "2:4", "channel")
        if (name, granularity) != ("obert", "channel")
    ],
)
def test_masks_are_nested_and_zeros_stay(
    tiny: PreparedSubject, name: str, granularity: str
) -> None:
    """After each step, bit for bit, with momentum and weight decay."""
    context = context_of(
        tiny,
        pruned(tiny, 0.6, granularity),
        name,
        steps=STEPS,
        updates=5,
        gradients=8,
        initial_ratio=0.1,
        optimizer=lambda found: torch.optim.SGD(found, lr=RATE, momentum=0.9, weight_decay=0.01),
    )
    method = made(context)
    trainee = context.trainee
    before = {key: mask.clone() for key, mask in trainee.masks.items()}
    ratios = []
    for step in range(STEPS):
        do_step(context, method, step)
        for key, mask in trainee.masks.items():
            assert not bool((mask & ~before[key]).any())
            before[key] = mask.clone()
        for key, mask in trainee.parameter_masks.items():
            gone = trainee.model.get_parameter(key).detach()[~mask]
            assert torch.equal(gone.view(torch.int32), torch.zeros_like(gone).view(torch.int32))
        ratios.append(method.ratio)
    assert ratios == sorted(ratios)
    assert ratios[-1] == 1.0
    # Between 4:4 and 2:4 there is 3:4 alone.
    assert len(set(ratios)) >= (2 if granularity == "2:4" else 3)
    method.finish()
    plan = trainee.recovery(name).plan
    assert [entry.kept for entry in plan.entries] == [entry.kept for entry in trainee.plan.entries]


def test_a_training_that_ends_before_masks_do_keeps_the_plans_count(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.6), "gmp", steps=STEPS, end=1.0)
    method = made(context)
    for step in range(5):
        do_step(context, method, step)
    assert 0 < method.ratio < 1
    method.finish()
    assert method.ratio == 1
    kept = [int(context.trainee.masks[item.name].sum()) for item in method.targets]
    assert kept == [entry.kept for entry in context.trainee.plan.entries]


def test_scores_are_those_of_the_weights_as_they_are_now(tiny: PreparedSubject) -> None:
    """Weights that have become small go, whatever they were in the dense model."""
    context = context_of(tiny, pruned(tiny, 0.5), "gmp", steps=STEPS, begin=0.5, end=0.5)
    method = made(context)
    weight = context.trainee.model.get_parameter("2.weight")
    shrunk = torch.zeros(weight.shape, dtype=torch.bool)
    shrunk.view(-1)[: weight.numel() // 2] = True
    with torch.no_grad():
        weight.copy_(torch.where(shrunk, 1e-6 * weight.sign(), weight.sign()))
    method.before_forward(STEPS // 2)
    assert torch.equal(context.trainee.parameter_masks["2.weight"], ~shrunk)


def test_criteria_that_need_data_see_training_batches(tiny: PreparedSubject) -> None:
    plan = pruned(tiny, 0.5, criterion="taylor")
    context = context_of(tiny, plan, "gmp", steps=STEPS, end=0.0)
    before = {key: item.clone() for key, item in context.trainee.state().items()}
    method = made(context)
    method.before_forward(0)
    # The model in training is the dense one still, so masks are the plan's own on its statistics.
    masked = context.trainee.parameter_masks
    for key, item in context.trainee.state().items():
        expected = before[key] if key not in masked else tiny.evaluator.state[key] * masked[key]
        assert torch.equal(item, expected if key in masked else tiny.evaluator.state[key])
    assert context.trainee.model.training
    assert method.ratio == 1


def test_with_regrow_a_masked_weight_returns_with_its_value(tiny: PreparedSubject) -> None:
    context = context_of(
        tiny, pruned(tiny, 0.5), "gmp", steps=STEPS, end=0.5, updates=2, regrow=True
    )
    method = made(context)
    weight = context.trainee.model.get_parameter("2.weight")
    method.before_forward(0)
    method.before_forward(5)
    first = context.trainee.parameter_masks["2.weight"].clone()
    lost = tiny.evaluator.state["2.weight"][~first]
    assert bool((weight.detach()[~first] == 0).all())
    # What was kept shrinks below what was lost: the lost ones come back as they were.
    with torch.no_grad():
        weight.mul_(1e-6)
    method.before_forward(10)
    second = context.trainee.parameter_masks["2.weight"]
    assert bool(second[~first].all())
    assert torch.equal(weight.detach()[~first], lost)


def test_without_regrow_it_does_not(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.5), "gmp", steps=STEPS, end=0.5, updates=2)
    method = made(context)
    method.before_forward(5)
    first = context.trainee.parameter_masks["2.weight"].clone()
    with torch.no_grad():
        context.trainee.model.get_parameter("2.weight").mul_(1e-6)
    method.before_forward(10)
    assert not bool(context.trainee.parameter_masks["2.weight"][~first].any())


def test_gmp_star_jumps_distills_and_cycles(tiny: PreparedSubject) -> None:
    recipe = TrainingRecipe.of("gmp_star")
    assert (recipe.initial_ratio, recipe.distill, recipe.schedule) == (0.6, 0.9, "constant")
    assert TrainingRecipe.of("gmp_star", distill=0.5).distill == 0.5
    context = context_of(tiny, pruned(tiny, 0.9), "gmp_star", steps=STEPS, end=0.6, updates=3)
    method = made(context)
    do_step(context, method, 0)
    assert method.ratio == pytest.approx(0.6 / 0.9, abs=0.01)
    # Moves before steps 0, 4, 8 and 12: the rate falls to 0 until the next one, or the end.
    rates = [method.rate(step, 1.0) for step in range(STEPS)]
    assert rates == pytest.approx([*[1, 0.75, 0.5, 0.25] * 3, *[1 - k / 8 for k in range(8)]])
