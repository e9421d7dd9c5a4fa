"""The learning rate that a range test finds."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.recovery.training.data import RATE_STEPS, find_rate
from analysis.recovery.training.data.rate_test import HIGHEST, LOWEST
from pruners.errors import CancelledError
from tests.helpers.slow_training import after
from tests.helpers.trainable import opened, plan_of


class Parabola:
    """Half the sum of curvature * weight^2, descended by SGD; remembers the rates."""

    def __init__(self, curvatures: torch.Tensor, *, momentum: float, noise: float) -> None:
        self.curvatures = curvatures
        self.weights = torch.ones(len(curvatures), dtype=torch.float64, requires_grad=True)
        self.optimizer = torch.optim.SGD(
            [self.weights], lr=1.0, momentum=momentum, nesterov=momentum > 0
        )
        self.noise, self.chance = noise, torch.Generator().manual_seed(1)
        self.rates: list[float] = []

    def step(self, number: int, rate: float) -> float:
        assert number == len(self.rates)
        self.rates.append(rate)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        shift = torch.randn(len(self.curvatures), generator=self.chance, dtype=torch.float64)
        loss = (self.curvatures * (self.weights + self.noise * shift) ** 2).sum() / 2
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


@pytest.mark.parametrize("largest", [2.0, 10.0, 300.0])
@pytest.mark.parametrize("dims", [1, 10])
@pytest.mark.parametrize(("momentum", "noise"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1)])
def test_on_a_parabola_the_rate_is_stable_and_near_the_limit(
    largest: float, dims: int, momentum: float, noise: float
) -> None:
    """Curvature L: rates from 2 / L on diverge; the rate found is at most 10 times smaller."""
    shares = torch.ones(1) if dims == 1 else torch.logspace(-2, 0, dims)
    curvatures = largest * shares.double()
    found = find_rate(Parabola(curvatures, momentum=momentum, noise=noise).step)
    assert 0.2 / largest < found.rate < 2 / largest
    if noise:
        return
    # It does descend, which just beyond the limit it would not.
    trained = Parabola(curvatures, momentum=momentum, noise=0.0)
    losses = [trained.step(number, found.rate) for number in range(200)]
    assert losses[-1] < 0.1 * losses[0]


def test_rates_grow_exponentially_and_the_test_is_bounded() -> None:
    parabola = Parabola(torch.ones(1).double() * 1e-9, momentum=0.0, noise=0.0)
    found = find_rate(parabola.step)
    assert len(parabola.rates) == RATE_STEPS
    assert parabola.rates[0] == pytest.approx(LOWEST)
    assert parabola.rates[-1] == pytest.approx(HIGHEST)
    growth = [after / before for before, after in zip(found.rates, found.rates[1:], strict=False)]
    assert growth == pytest.approx([growth[0]] * len(growth))
    assert found.rate == pytest.approx(HIGHEST / 2, rel=0.5)


def test_it_ends_when_the_loss_diverges() -> None:
    parabola = Parabola(torch.full((1,), 100.0).double(), momentum=0.0, noise=0.0)
    found = find_rate(parabola.step)
    assert len(found.rates) < RATE_STEPS
    assert max(found.losses) < math.inf


@pytest.mark.parametrize("losses", [[math.nan], [1.0, math.inf], [0.0] * 300, [2.0] * 300])
def test_odd_losses_give_a_rate_all_the_same(losses: list[float]) -> None:
    found = find_rate(lambda number, rate: losses[number])
    assert LOWEST / 4 <= found.rate <= HIGHEST


def test_the_same_steps_give_the_same_rate() -> None:
    def found() -> float:
        return find_rate(Parabola(torch.ones(4).double(), momentum=0.9, noise=0.3).step).rate

    assert found() == found()


def test_a_training_can_be_cancelled_while_its_rate_is_looked_for(tmp_path: Path) -> None:
    prepared = opened(tmp_path, "plain")
    start = partial(
        iter_training,
        prepared,
        plan_of(prepared),
        TrainingRecipe(batch_size=16, steps=20),
        seed=1,
    )
    folder = tmp_path / "stopped"
    with pytest.raises(CancelledError, match="nothing was trained yet"):
        list(start(folder=folder, cancel=after(3)))
    *_, rest = start(folder=folder)
    *_, whole = start()
    assert rest.recovery is not None
    assert whole.recovery is not None
    one, other = rest.recovery.edit.tensors, whole.recovery.edit.tensors
    assert one.keys() == other.keys()
    assert all(torch.equal(item, other[name]) for name, item in one.items())
