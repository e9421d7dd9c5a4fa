"""A learning rate found by trying: the range test of Smith (arXiv:1506.01186)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruners.errors import CancelledError

if TYPE_CHECKING:
    from analysis.recovery.training.recipe import TrainingRecipe
    from analysis.recovery.training.session import Session

LOWEST, HIGHEST = 1e-5, 10.0
RATE_STEPS = 80
LEAST_BATCH = 16
# The test ends where the loss is so many times the first ones.
DIVERGED = 4.0
FIRST = 5
# Losses are averaged over so many neighbours on each side.
NEIGHBOURS = 3
# Of the largest rate that is as good as the best.
SHARE = 0.5


@dataclass(frozen=True, slots=True)
class RateTest:
    """What a range test found.

    Attributes:
        rate: The rate to train with.
        rates: Those that were tried, rising.
        losses: Of the batch of each, before its step, against that of the model as it was.
    """

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]


def session_rate(make: Callable[[], Session], *, cancel: Callable[[], bool]) -> RateTest:
    """Find the learning rate of a training; see `find_rate`.

    Batches differ in how hard they are by more than most rates change their loss. So the loss of
    each is divided by that of a model that stands still, on the same batch.

    Args:
        make: Makes a training to throw away, of at least `RATE_STEPS` steps, always the same one.
        cancel: Asked before each step.

    Raises:
        CancelledError: It was cancelled.
    """
    moving, still = make(), make()

    def step(number: int, rate: float) -> float:
        if cancel():
            raise CancelledError(
                "stopped while the learning rate was tried; nothing was trained yet"
            )
        before = _loss(still, lambda: still.see(number))
        after = _loss(moving, lambda: moving.step(number, rate))
        return after / before if before > 0 else 1.0

    return find_rate(step)


def rate_batch(recipe: TrainingRecipe, steps: int) -> int:
    """Return the samples a batch of a range test.

    A training of fewer steps than the test has would take less time than it: then its batches are
    as much smaller, with some samples at least.

    Args:
        recipe: Of the training.
        steps: Of the training.
    """
    share = recipe.batch_size * steps // RATE_STEPS
    return min(recipe.batch_size, max(LEAST_BATCH, share))


def _loss(session: Session, act: Callable[[], None]) -> float:
    """Return the loss of the batch of a step, as it was before."""
    with session.generators.in_use():
        act()
        loss = float(session.seen[-1])
        session.seen.zero_()
    return loss


def find_rate(step: Callable[[int, float], float], *, steps: int = RATE_STEPS) -> RateTest:
    """Train some steps at exponentially growing rates, and choose a rate.

    It is half of the largest rate at which the smoothed loss cannot be told from its least (by one
    standard error), and at most half of what is stable by the growth of a loss that diverged. The
    steepest descent tells nothing of networks that were trained before: their loss is nearly flat
    until it rises.

    Args:
        step: Does the optimizer step of a number from 0 at a rate, on a model that is thrown away,
            and returns the loss of its batch as it was before the step.
        steps: Most steps.
    """
    grown = math.log(HIGHEST / LOWEST) / max(1, steps - 1)
    rates: list[float] = []
    losses: list[float] = []
    has_diverged = False
    for number in range(steps):
        rate = LOWEST * math.exp(grown * number)
        loss = step(number, rate)
        if not math.isfinite(loss):
            has_diverged = True
            break
        rates.append(rate)
        losses.append(loss)
        if len(losses) > FIRST and loss > DIVERGED * statistics.fmean(losses[:FIRST]):
            has_diverged = True
            break
    rate = chosen_rate(rates, losses, has_diverged=has_diverged)
    return RateTest(rate, tuple(rates), tuple(losses))


def chosen_rate(rates: Sequence[float], losses: Sequence[float], *, has_diverged: bool) -> float:
    """Return the rate that a range test speaks for.

    Args:
        rates: Rising rates.
        losses: The loss before the step of each.
        has_diverged: Whether the test ended because the loss grew without bounds.
    """
    if not rates:
        return LOWEST
    windows = [losses[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1] for at in range(len(losses))]
    smooth = [statistics.fmean(window) for window in windows]
    first = max(statistics.fmean(losses[:FIRST]), min(smooth))
    held = max(at for at, loss in enumerate(smooth) if loss <= first)
    # The loss before a step tells of the rate of the one before.
    limit = rates[max(0, held - 1)]
    if has_diverged and len(losses) > 1:
        # A step at rate r multiplies the loss of a parabola of curvature c by (r c - 1)^2, and
        # rates from 2 / c on are not stable.
        growth = math.sqrt(max(1.0, losses[-1] / losses[-2])) if losses[-2] > 0 else 1.0
        limit = min(limit, 2 * rates[-2] / (growth + 1))
    return SHARE * limit
