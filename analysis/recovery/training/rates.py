"""Learning rates over the steps of a training; pure functions, needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruners.errors import InputError
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.recovery.training.recipe import TrainingRecipe

REWIND = "rewind"
# As in Smith & Topin, with the numbers that are usual: the first and the last rate.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 25e4
DROP = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where in a training a rate is asked for.

    Attributes:
        step: Optimizer step, counted from 0.
        steps: Steps of the whole training.
        warm_up: Steps in which the rate rises.
        drops: Shares of the steps after which it drops.
    """

    step: int
    steps: int
    warm_up: int
    drops: tuple[float, ...]

    @property
    def done(self) -> float:
        """Share of the steps after the warm-up that are done, 0..1."""
        return (self.step - self.warm_up) / max(1, self.steps - self.warm_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSchedule:
    """A course of the learning rate.

    Attributes:
        name: Name in commands and files.
        label: Name on pages.
        help: What it is, in plain words.
        factor: The rate of a step after the warm-up, as a share of the largest.
        first: Share of the largest rate that the warm-up begins with, to rise along half a cosine;
            None begins with one step's part and rises in equal steps.
    """

    name: str
    label: str
    help: str
    factor: Callable[[Span], float]
    first: float | None = None


def _dropped(span: Span) -> float:
    return DROP ** sum(span.step >= share * span.steps for share in span.drops)


def _cosine(high: float, low: float, done: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * done)) / 2


def _one_cycle(span: Span) -> float:
    # The last step has the last rate, as the first one after the warm-up has the largest.
    left = max(1, span.steps - 1 - span.warm_up)
    return _cosine(1.0, ONE_CYCLE_END, (span.step - span.warm_up) / left)


RATES = Registry(
    "learning-rate schedule",
    (
        RateSchedule(
            name="constant",
            label="Constant",
            help="the same rate to the end",
            factor=lambda span: 1.0,
        ),
        RateSchedule(
            name="step",
            label="Steps",
            help="a tenth of the rate after each of some shares of the steps",
            factor=_dropped,
        ),
        RateSchedule(
            name="cosine",
            label="Cosine",
            help="down to 0 along half a cosine",
            factor=lambda span: _cosine(1.0, 0.0, span.done),
        ),
        RateSchedule(
            name="one_cycle",
            label="One cycle",
            help="up from a 25th and down to nearly 0, both along half a cosine",
            factor=_one_cycle,
            first=ONE_CYCLE_START,
        ),
        RateSchedule(
            name="linear",
            label="Linear",
            help="down to 0 in equal steps",
            factor=lambda span: 1.0 - span.done,
        ),
        RateSchedule(
            name=REWIND,
            label="Rewound",
            help="the last epochs of the original training once more, rate by rate",
            factor=lambda span: 1.0,
        ),
    ),
)


def rewound_rate(original: TrainingRecipe, left: float, *, steps_per_epoch: float) -> float:
    """Return the rate that a training had so many of its steps before the end.

    Args:
        original: Its recipe, with a learning rate.
        left: Steps to its end.
        steps_per_epoch: Of that training.

    Raises:
        InputError: It had fewer steps.
    """
    steps = original.steps or math.ceil(original.epochs * steps_per_epoch)
    if left > steps:
        raise InputError(
            f"the original training had {steps} steps, so its last {left:g} cannot be rewound to; "
            "train for fewer epochs"
        )
    assert original.lr is not None
    return rate_at(original, math.floor(steps - left), steps, lr=original.lr)


def rate_at(recipe: TrainingRecipe, step: int, steps: int, *, lr: float) -> float:
    """Return the learning rate of a step; of ``rewind``, see `rewound_rate`.

    Args:
        recipe: Schedule, warm-up and drops.
        step: Optimizer step, counted from 0.
        steps: Steps of the whole training.
        lr: The largest rate.
    """
    schedule = RATES.get(recipe.schedule)
    warm_up = min(round(recipe.warm_up * steps), steps - 1)
    span = Span(step=step, steps=steps, warm_up=warm_up, drops=recipe.drops)
    if step >= warm_up:
        return lr * schedule.factor(span)
    if schedule.first is None:
        return lr * (step + 1) / (warm_up + 1)
    return lr * _cosine(schedule.first, 1.0, step / warm_up)
