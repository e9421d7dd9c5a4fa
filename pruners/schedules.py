"""Schedules: the ratio to have reached as a function of progress.

All ratios are fractions of the original, never of what is left. Progress runs from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pruners.errors import InputError
from pruners.registry import Registry

Phase = Literal["dense", "compressed"]
# What a round or phase may begin early by: i / n * n falls short of i for some n.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Schedule:
    """A registered schedule.

    Attributes:
        name: Name on the command line.
        label: Name on pages.
        citation: Source, with equation where there is one.
        help: When to use it, in plain words.
        fn: ``(progress, initial, final, rounds) -> ratio``.
    """

    name: str
    label: str
    citation: str
    help: str
    fn: Callable[[float, float, float, int], float]


def _one_shot(progress: float, initial: float, final: float, rounds: int) -> float:
    return final


def _iterative(progress: float, initial: float, final: float, rounds: int) -> float:
    done = min(math.floor(progress * rounds + _ROUNDING) + 1, rounds)
    return initial + (final - initial) * done / rounds


def _linear(progress: float, initial: float, final: float, rounds: int) -> float:
    return initial + (final - initial) * progress


def _cubic(progress: float, initial: float, final: float, rounds: int) -> float:
    return final + (initial - final) * (1 - progress) ** 3


def _acdc(progress: float, initial: float, final: float, rounds: int) -> float:
    # Two phases a round, the last one compressed: the frequency is half a round.
    phase = acdc_phase(progress * 2 * rounds, start=0, end=2 * rounds, frequency=1)
    return final if phase == "compressed" else 0.0


SCHEDULES = Registry(
    "schedule",
    (
        Schedule(
            "one_shot",
            "One shot",
            "no paper, no equation",
            "Everything at once, at the start.",
            _one_shot,
        ),
        Schedule(
            "iterative",
            "Iterative",
            "Han, Pool, Tran, Dally: Learning both Weights and Connections. NeurIPS 2015, "
            "arXiv:1506.02626, section 3 (equal steps of the original here)",
            "In equal steps; scores are computed anew before each.",
            _iterative,
        ),
        Schedule(
            "linear",
            "Linear",
            "no paper, no equation",
            "The ratio grows evenly.",
            _linear,
        ),
        Schedule(
            "cubic",
            "Cubic (AGP, GMP)",
            "Zhu, Gupta: To Prune, or Not to Prune. 2017, arXiv:1710.01878, equation 1",
            "Fast at first, when there is much to spare, then slower and slower.",
            _cubic,
        ),
        Schedule(
            "acdc",
            "AC/DC",
            "Peste, Iofinova, Vladu, Alistarh: AC/DC: Alternating Compressed/DeCompressed "
            "Training. NeurIPS 2021, arXiv:2106.12379, algorithm 1",
            "Dense and pruned training take turns; it starts dense and ends pruned.",
            _acdc,
        ),
    ),
)


def ratio_at(
    name: str, progress: float, *, final: float, initial: float = 0.0, rounds: int = 1
) -> float:
    """Return the ratio to have reached.

    Args:
        name: A schedule.
        progress: Fraction of the training or of the rounds that is done, 0..1.
        final: Ratio at the end, 0..1.
        initial: Ratio at the start, 0..final.
        rounds: Steps of ``iterative``, pairs of phases of ``acdc``; others ignore it.

    Raises:
        UnknownNameError: No such schedule.
        InputError: A number is out of its range.
    """
    if not 0 <= progress <= 1:
        raise InputError(f"progress runs from 0 to 1, found {progress}")
    if not 0 <= initial <= final <= 1:
        raise InputError(f"need 0 <= initial <= final <= 1, found {initial} and {final}")
    if rounds < 1:
        raise InputError(f"at least one round is needed, found {rounds}")
    return SCHEDULES.get(name).fn(progress, initial, final, rounds)


def round_ratios(
    name: str, rounds: int, *, final: float, initial: float = 0.0
) -> tuple[float, ...]:
    """Return the ratio after each of ``rounds`` pruning rounds; the last one is ``final``.

    Raises:
        UnknownNameError: No such schedule.
        InputError: A number is out of its range.
    """
    if rounds < 1:
        raise InputError(f"at least one round is needed, found {rounds}")
    if name == "iterative":
        return tuple(
            ratio_at(name, index / rounds, final=final, initial=initial, rounds=rounds)
            for index in range(rounds)
        )
    return tuple(
        ratio_at(name, (index + 1) / rounds, final=final, initial=initial, rounds=rounds)
        for index in range(rounds)
    )


def acdc_phase(epoch: float, *, start: float, end: float, frequency: float) -> Phase:
    """Return the phase of AC/DC training at an epoch.

    Phases of ``frequency`` epochs alternate, dense first; the last one before ``end`` and all that
    follows is compressed.

    Raises:
        InputError: The frequency is not positive or the span is empty.
    """
    if frequency <= 0 or end <= start:
        raise InputError(
            f"AC/DC needs a positive frequency and start < end, found {frequency}, {start}, {end}"
        )
    if epoch < start:
        return "dense"
    is_even = math.floor((epoch - start) / frequency + _ROUNDING) % 2 == 0
    last = end - frequency - _ROUNDING * frequency
    return "dense" if is_even and epoch < last else "compressed"
