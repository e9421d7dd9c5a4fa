"""Numbers of a file as scores: the higher the better, against a dense model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pruners.errors import InputError

# What a unit's numbers are, a name of `analysis.tasks.QUANTITIES`.
QUANTITY_OF = {
    "fraction": "accuracy",
    "percent": "accuracy",
    "relative-drop": "accuracy",
    "loss": "loss",
    "psnr": "psnr",
}
# Rounding of what a program printed.
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of a file become scores.

    Attributes:
        unit: As answered.
        direction: ``higher`` or ``lower``: which numbers are better.
        baseline: Score of the dense model, where a person said it.
    """

    unit: str
    direction: str
    baseline: float | None = None

    @property
    def quantity(self) -> str:
        """What the scores are, a name that `analysis.tasks.scoring_of` knows."""
        return QUANTITY_OF[self.unit]

    def score(self, value: float) -> float:
        """Return the score of a number.

        Raises:
            InputError: It cannot be of this unit.
        """
        if self.unit == "relative-drop":
            if value > 1 + _SLACK:
                raise InputError(
                    f"{value:g} is no relative drop: a score cannot lose more than all"
                )
            return (self.baseline or 0.0) * (1 - value)
        if self.unit in ("loss", "psnr"):
            return -value if self.direction == "lower" else value
        whole = 100.0 if self.unit == "percent" else 1.0
        if not -_SLACK <= value / whole <= 1 + _SLACK:
            other = "percent" if self.unit == "fraction" else "loss"
            raise InputError(
                f"{value:g} is no {'percentage' if whole > 1 else 'fraction'}; are the numbers of "
                f"--unit {other}?"
            )
        share = value / whole
        return share if self.direction == "higher" else 1 - share


def scale_of(answers: Mapping[str, str]) -> Scale:
    """Return the scale that answers describe.

    Raises:
        InputError: The baseline is no number, or not of the unit.
    """
    unit, direction = answers["unit"], answers["direction"]
    text = answers.get("baseline")
    if text is None:
        return Scale(unit, direction)
    try:
        baseline = float(text)
    except ValueError:
        raise InputError(f"--baseline: {text!r} is no number") from None
    if unit == "relative-drop":
        if not 0 < baseline <= 1:
            raise InputError(
                f"--baseline: relative drops are of a score between 0 and 1, not {text}"
            )
        return Scale(unit, direction, baseline)
    try:
        return Scale(unit, direction, Scale(unit, direction).score(baseline))
    except InputError as error:
        raise InputError(f"--baseline: {error}") from None


def doubts(drops: Iterable[float], quantity: str) -> tuple[str, ...]:
    """Say what is odd about the drops of a file, a sentence each."""
    found = list(drops)
    if found and all(abs(item) < 1e-12 for item in found):
        return (
            f"No layer reacts: all {len(found):,} numbers equal the dense model's. The evaluation "
            "behind the file was probably broken.",
        )
    if found and min(found) < -0.2 and quantity == "accuracy":
        return (
            f"Pruning is said to gain up to {-min(found) * 100:.1f} points: is the baseline of the "
            "same data, and the direction right?",
        )
    return ()
