"""AC/DC: phases by hand, momentum, iterative hard thresholding, counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.sparsity.alternating import phase_at
from pruners.selection import keep_mask
from tests.helpers.training_steps import TWELVE, context_of, do_step, made, opened, pruned

D, C = "dense", "compressed"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("twelve"), TWELVE)


def phases(steps: int, **recipe: float) -> str:
    asked = TrainingRecipe(method="acdc", **recipe)  # type: ignore[arg-type]
    found = [phase_at(asked, step, steps=steps, steps_per_epoch=2) for step in range(steps)]
    return "".join(phase[0] for phase in found)


def test_phases_by_hand() -> None:
    """Dense first, after the warm-up; compressed last, and from ``end`` on."""
    assert phases(12, phase_epochs=1.0, end=1.0) == "ddccddccddcc"
    assert phases(14, phase_epochs=1.0, end=1.0) == "ddccddccddcccc"
    assert phases(16, phase_epochs=1.0, begin=0.25, end=0.75) == "ddddddccddcccccc"
    assert phases(10, phase_epochs=2.5, end=1.0) == "dddddccccc"
    assert phases(6, phase_epochs=9.0, end=1.0) == "cccccc"


def test_the_end_is_compressed_whatever_the_lengths() -> None:
    """SparseML's modifier ends its own phases dense for (0, 9, 2), (0, 8, 2), (0, 100, 5)."""
    for epochs in range(1, 13):
        for length in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 20.0):
            for end in (0.0, 0.5, 0.75, 1.0):
                found = phases(2 * epochs, phase_epochs=length, end=end)
                assert found.endswith("c")
                assert set(found[round(end * 2 * epochs) :]) <= {"c"}
    assert phases(18, phase_epochs=2.0, end=1.0).endswith("cc")
    assert phases(16, phase_epochs=2.0, end=1.0) == "ddddccccddddcccc"


def test_dense_phases_have_no_mask_and_momentum_returns_as_zero(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.6), "acdc", steps=24, phase_epochs=1.0, end=1.0)
    method = made(context)
    trainee, names = context.trainee, ["0.weight", "2.weight", "5.weight"]
    before: dict[str, Tensor] = {}
    for step in range(24):
        phase = phase_at(context.recipe, step, steps=24, steps_per_epoch=4)
        if step % 8 == 0 and step:
            before = {name: ~mask for name, mask in trainee.parameter_masks.items()}
            method.before_forward(step)
            for name in names:
                parameter = trainee.model.get_parameter(name)
                momentum = context.optimizer.state[parameter]["momentum_buffer"]
                assert bool((momentum[before[name]] == 0).all())
                assert bool((momentum[~before[name]] != 0).any())
                assert bool((parameter.detach()[before[name]] == 0).all())
        do_step(context, method, step)
        masks = trainee.parameter_masks
        zeros = [int((trainee.model.get_parameter(name) == 0).sum()) for name in names]
        if phase == D:
            assert all(bool(mask.all()) for mask in masks.values())
            assert method.ratio == 0
            # Some inputs are never active; far fewer than the 576 that were removed.
            assert sum(zeros) < 100
        else:
            assert zeros == [int((~masks[name]).sum()) for name in names]
            assert method.ratio == 1
    assert before


def test_masks_are_fixed_within_a_phase_and_chosen_anew_for_the_next(tiny: PreparedSubject) -> None:
    context = context_of(tiny, pruned(tiny, 0.6), "acdc", steps=24, phase_epochs=1.0, end=1.0)
    method = made(context)
    found = []
    for step in range(24):
        do_step(context, method, step)
        found.append(torch.cat([m.flatten() for m in context.trainee.masks.values()]))
    assert all(torch.equal(found[step], found[4]) for step in range(4, 8))
    assert all(torch.equal(found[step], found[12]) for step in range(12, 16))
    assert not torch.equal(found[4], found[12])


def test_each_layer_keeps_its_largest_weights(tiny: PreparedSubject) -> None:
    """As many as the plan says, by the weights as they are when a phase begins."""
    plan = pruned(tiny, 0.6)
    context = context_of(tiny, plan, "acdc", steps=8, phase_epochs=1.0, end=1.0)
    method = made(context)
    for step in range(4):
        do_step(context, method, step)
    expected = {
        entry.layer: keep_mask(weight.detach().abs().clone(), entry.kept)
        for entry in plan.entries
        for weight in [context.trainee.model.get_parameter(f"{entry.layer}.weight")]
    }
    do_step(context, method, 4)
    for entry in context.trainee.recovery("acdc").plan.entries:
        mask = context.trainee.parameter_masks[f"{entry.layer}.weight"]
        assert torch.equal(mask, expected[entry.layer].reshape(mask.shape))
        assert entry.kept == int(mask.sum())


def test_on_a_quadratic_it_is_iterative_hard_thresholding(twelve: PreparedSubject) -> None:
    """A diagonal Hessian, plain gradient descent, against twenty lines of IHT."""
    generator = torch.Generator().manual_seed(9)
    curvature = 0.5 + torch.rand(4, 3, generator=generator)
    aim = torch.randn(4, 3, generator=generator)
    context = context_of(
        twelve,
        pruned(twelve, 0.5),
        "acdc",
        steps=20,
        phase_epochs=1.0,
        end=1.0,
        optimizer=lambda found: torch.optim.SGD(found, lr=0.1),
    )
    method = made(context)
    weight = twelve.evaluator.state["2.weight"].clone()
    for step in range(20):
        do_step(
            context, method, step, lambda found: {"2.weight": curvature * (found["2.weight"] - aim)}
        )
        if step % 8 < 4 and step < 16:  # the fifth phase of five is compressed as well
            keep = torch.ones(4, 3, dtype=torch.bool)
        elif step % 8 == 4:
            order = weight.abs().flatten().sort(descending=True).indices[:6]
            keep = torch.zeros(12, dtype=torch.bool).index_fill_(0, order, True).reshape(4, 3)
        weight = torch.where(keep, weight, 0.0)
        weight = torch.where(keep, weight - 0.1 * curvature * (weight - aim), 0.0)
        found = context.trainee.model.get_parameter("2.weight").detach()
        torch.testing.assert_close(found, weight, rtol=0, atol=1e-6)
    assert int((weight != 0).sum()) == 6


def test_a_training_that_is_cut_off_in_its_dense_phase_ends_compressed(
    tiny: PreparedSubject,
) -> None:
    context = context_of(tiny, pruned(tiny, 0.6), "acdc", steps=24, phase_epochs=1.0)
    method = made(context)
    do_step(context, method, 0)
    assert method.moves_after(0)
    method.finish()
    assert method.ratio == 1


def test_adam_forgets_its_direction_and_keeps_its_scale(tiny: PreparedSubject) -> None:
    context = context_of(
        tiny,
        pruned(tiny, 0.6),
        "acdc",
        steps=12,
        phase_epochs=1.0,
        end=1.0,
        optimizer=lambda found: torch.optim.AdamW(found, lr=0.01),
    )
    method = made(context)
    for step in range(8):
        do_step(context, method, step)
    lost = ~context.trainee.parameter_masks["5.weight"]
    method._decompress()  # type: ignore[attr-defined]
    state = context.optimizer.state[context.trainee.model.get_parameter("5.weight")]
    assert bool((state["exp_avg"][lost] == 0).all())
    assert bool((state["exp_avg_sq"][lost] > 0).any())
