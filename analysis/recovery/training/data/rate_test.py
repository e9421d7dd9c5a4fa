"""A learning rate found by trying: the range test of Smith (arXiv:1506.01186)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.recovery.training.session import Session

LOWEST, HIGHEST = 1e-6, 10.0
RATE_STEPS = 80
# The test ends where the loss is so many times the first ones.
DIVERGED = 4.0
FIRST = 5
# Losses are averaged over so many neighbours on each side.
NEIGHBOURS = 2
# A rate holds while the loss stays within this share of the first ones above the least.
MARGIN = 0.1
SHARE = 0.1


@dataclass(frozen=True, slots=True)
class RateTest:
    """What a range test found.

    Attributes:
        rate: The rate to train with.
        rates: Those that were tried, rising.
        losses: Of the batch of each, before its step.
    """

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def words(self) -> str:
        """What was done, in one sentence."""
        return (
            f"Learning rate {self.rate:.2g}: a tenth of the largest at which the loss did not rise "
            f"in {len(self.rates)} steps at growing rates."
        )


def session_rate(make: Callable[[], Session]) -> RateTest:
    """Find the learning rate of a training; see `find_rate`.

    Args:
        make: Makes a training to throw away, of at least `RATE_STEPS` steps.
    """
    session = make()

    def step(number: int, rate: float) -> float:
        session.step(number, rate)
        loss = float(session.seen[-1])
        session.seen.zero_()
        return loss

    with session.generators.in_use():
        return find_rate(step)


def find_rate(step: Callable[[int, float], float], *, steps: int = RATE_STEPS) -> RateTest:
    """Train some steps at exponentially growing rates, and choose a rate.

    It is a tenth of the largest rate at which the smoothed loss was still near its least. (The
    steepest descent tells nothing of networks that were trained before: their loss may only rise.)

    Args:
        step: Does the optimizer step of a number from 0 at a rate, on a model that is thrown away,
            and returns the loss of its batch as it was before the step.
        steps: Most steps.
    """
    grown = math.log(HIGHEST / LOWEST) / max(1, steps - 1)
    rates: list[float] = []
    losses: list[float] = []
    for number in range(steps):
        rate = LOWEST * math.exp(grown * number)
        loss = step(number, rate)
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        if len(losses) > FIRST and loss > DIVERGED * _mean(losses[:FIRST]):
            break
    return RateTest(chosen_rate(rates, losses), tuple(rates), tuple(losses))


def chosen_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate that a range test speaks for.

    Args:
        rates: Rising rates.
        losses: The loss before the step of each.
    """
    if not rates:
        return LOWEST
    # The loss before a step tells of the rate of the one before.
    smooth = [
        _mean(losses[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1]) for at in range(len(losses))
    ]
    bound = min(smooth) + MARGIN * abs(_mean(losses[:FIRST]))
    held = max(at for at, loss in enumerate(smooth) if loss <= bound)
    return SHARE * rates[max(0, held - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
