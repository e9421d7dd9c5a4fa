"""What the sums of a task mean: score, drop, intervals, columns and words. Needs no torch.

Lists of runs and tables are read without the model, so this part of a task stands alone. A score is
the higher the better, as a drop is the lower the better; `Words` turn round what people know the
other way, such as a perplexity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from analysis.records import ClassChange, SliceCounts, Sums
from analysis.sentences import percent
from analysis.uncertainty import Interval, SequentialTest


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that curves can show.

    Attributes:
        column: Column of the points table.
        low: Column of the interval's lower end; empty where the table has no interval.
        high: Column of the upper end.
        label: What an axis says.
        unit: Unit after scaling, such as ``pp``, ``%`` or ``nats``.
        scale: Factor from the table's value to the shown one.
        is_cost: Whether it is 0 for the dense model and the larger the more is lost, so that
            strategies can add it up over layers.
    """

    column: str
    low: str
    high: str
    label: str
    unit: str
    scale: float
    is_cost: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is a share of 100 %, the larger the better; a rise by so many % is none."""
        return self.unit == "%" and not self.is_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a score and its drop are called and written.

    Attributes:
        label: What the score is called, such as ``accuracy``.
        column: Its column in files.
        drop_label: What a drop is called.
        drop_column: Its column in files.
        unit: Of the shown score, such as ``%``, ``dB`` or nothing.
        drop_unit: Of the shown drop, such as ``pp``.
        scale: Factor from a score to the shown one; negative where people count it the other way,
            the lower the better.
        digits: Behind the point.
        worst: Smallest score that there can be, not scaled.
        best: Largest one.
        tolerance: Largest drop that is accepted if nobody says otherwise, not scaled.
        drop_factor: Factor from a drop to the shown one; the size of ``scale`` by default.
        is_relative: Whether a drop is a share of the dense score, which is negative, as of a
            perplexity that is 1 % higher.
        agreement: What the score is where the data has no labels; by default that it is agreement
            with the dense model.
    """

    label: str
    column: str
    drop_label: str
    drop_column: str
    unit: str = ""
    drop_unit: str = ""
    scale: float = 1.0
    digits: int = 2
    worst: float = -math.inf
    best: float = math.inf
    tolerance: float = 0.01
    drop_factor: float | None = None
    is_relative: bool = False
    agreement: str = ""

    @property
    def drop_scale(self) -> float:
        """Factor from a drop to the shown one: a drop is a loss whichever way scores count."""
        return abs(self.scale) if self.drop_factor is None else self.drop_factor

    @property
    def drop_noun(self) -> str:
        """What a drop is called where the score is known: ``drop``, or ``increase``.

        >>> Words(label="", column="", drop_label="perplexity increase", drop_column="").drop_noun
        'increase'
        >>> Words(label="", column="", drop_label="rise of misses", drop_column="").drop_noun
        'rise'
        """
        return (self.drop_label.partition(" of ")[0].split() or ["drop"])[-1]

    @property
    def sign_of_loss(self) -> str:
        """How to read the sign of a drop, as a sentence."""
        article = "An" if self.drop_noun[0] in "aeiou" else "A"
        return f"{article} {self.drop_noun} above zero is a loss."

    @property
    def without_labels(self) -> str:
        """What a score says where the data has no labels."""
        meaning = self.agreement or f"{self.label} is agreement with the dense model"
        return f"The data has no labels: {meaning}."

    @property
    def largest_drop(self) -> float:
        """From the best score to the worst; without end where a drop is a share of the score."""
        return math.inf if self.is_relative else self.best - self.worst

    def after(self, score: float, drop: float) -> float:
        """Return the score that a drop leaves of one.

        >>> words = Words(label="", column="", drop_label="", drop_column="", is_relative=True)
        >>> round(words.after(-20.0, 0.05), 9), round(words.before(-21.0, 0.05), 9)
        (-21.0, -20.0)
        """
        return score * (1 + drop) if self.is_relative else score - drop

    def before(self, score: float, drop: float) -> float:
        """Return the score that a drop left a score of."""
        return score / (1 + drop) if self.is_relative else score + drop

    def bounded(self, drop: float, dense: float) -> float:
        """Return a drop that leaves no score better than the best or worse than the worst."""
        size = abs(dense) if self.is_relative else 1.0
        return min(max(drop, (dense - self.best) / size), (dense - self.worst) / size)

    def in_files(self, value: float) -> float:
        """Return a score the way round that people count it, not scaled."""
        return value if self.scale > 0 else -value

    def score(self, value: float, *, space: str = "") -> str:
        """Return a score as people write it; ``space`` stands before a percent sign.

        >>> words = Words(label="perplexity", column="perplexity", drop_label="", drop_column="",
        ...               scale=-1.0)
        >>> words.score(-12.345), words.interval(-13.0, -12.0)
        ('12.35', '12.00 to 13.00')
        """
        return f"{value * self.scale:.{self.digits}f}{self._unit(self.unit, space)}"

    def interval(self, low: float, high: float, *, space: str = "") -> str:
        """Return an interval of the score, the smaller number first."""
        ends = (low, high) if self.scale > 0 else (high, low)
        return " to ".join(self.score(end, space=space) for end in ends)

    def drop(self, value: float) -> str:
        """Return a drop without its unit."""
        return f"{value * self.drop_scale:.{self.digits}f}"

    def cost(self, value: float) -> str:
        """Return a drop with its unit: ``1.25 pp``."""
        return f"{self.drop(value)}{self._unit(self.drop_unit, ' ')}"

    def limit(self, tolerance: float) -> str:
        """Return an accepted drop with its unit, in as few digits as it has."""
        return f"{tolerance * self.drop_scale:g}{self._unit(self.drop_unit, ' ')}"

    def amount(self, value: float) -> str:
        """Return the size of a difference of scores with its unit."""
        return self.cost(abs(value))

    @staticmethod
    def _unit(unit: str, space: str) -> str:
        return unit and f"{space if unit == '%' else space or ' '}{unit}"


class Reading(TypedDict):
    """A score, its drop and their intervals, by the names that records have for them."""

    accuracy: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float


class Scoring(Protocol):
    """What the sums of a task mean.

    Attributes:
        terms: Names of what is summed over samples, beside ``samples``; empty where they hang on
            the outputs.
        words: How score and drop are written.
        right: The term that counts right samples; empty where the score is no share.
        same: The term that counts samples answered as by the dense model; empty without one.
        has_positions: Whether a sample has an answer at each of many positions, such as tokens or
            pixels: few samples say what hundreds say of one answer each.
        answered: What an answer is given to: ``samples``, ``tokens``, ``pixels``.
        of_class: What the score of a class is called.
        columns: The task's own columns of the points table, floats; see `values`.
        metrics: What curves can show of them, by name.
    """

    terms: tuple[str, ...] = ()
    words: Words
    right: str = ""
    same: str = ""
    has_positions: bool = False
    answered: str = "samples"
    of_class: str = "accuracy"
    columns: tuple[str, ...] = ()
    metrics: Mapping[str, Metric] = {}

    def score(self, sums: Sums) -> float:
        """Return the score, the higher the better; NaN without samples."""

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return the interval of the score."""

    def drop(self, sums: Sums) -> float:
        """Return the score lost against the dense model; NaN without samples."""

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return the interval of the drop, paired: both models saw the same samples."""

    def reading(self, sums: Sums, confidence: float = 0.95, *, is_dense: bool = False) -> Reading:
        """Return score and drop with their intervals.

        Args:
            sums: Of some samples.
            confidence: Of the intervals.
            is_dense: Whether they are of the dense model itself, whose drop is known for certain.
        """
        score, drop = self.score_interval(sums, confidence), self.drop(sums)
        low = high = drop
        if not is_dense:
            lost = self.drop_interval(sums, confidence)
            low, high = lost.low, lost.high
        return Reading(
            accuracy=self.score(sums),
            low=score.low,
            high=score.high,
            drop=drop,
            drop_low=low,
            drop_high=high,
        )

    def drops(
        self, sums: Sequence[Sums], confidence: float = 0.95
    ) -> list[tuple[float, float, float]]:
        """Return the drop and the ends of its interval for each of many sums."""
        found = []
        for item in sums:
            interval = self.drop_interval(item, confidence)
            found.append((self.drop(item), interval.low, interval.high))
        return found

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        """Return what the sequential test of the drop reads of a slice.

        Args:
            part: Of the slice.
            total: Of it and all slices before it.
            confidence: Of an interval of the drop, where the test reads one.
        """

    def test(self, *, tolerance: float, population: int, alpha: float) -> SequentialTest:
        """Return a sequential test of whether the drop on the whole set exceeds a tolerance.

        Args:
            tolerance: Largest accepted drop.
            population: Samples of the whole set.
            alpha: Chance of a wrong decision, at most.
        """

    def values(
        self, sums: Sums, dense: Sums | None, *, has_labels: bool, confidence: float = 0.95
    ) -> dict[str, float]:
        """Return the values of the task's own columns, as far as they are known.

        Args:
            sums: Of some samples, at least one.
            dense: Of the dense model on the same samples, where known.
            has_labels: Whether the data has labels.
            confidence: Of intervals, whose ends are columns, too.
        """
        return {}

    def left_out(self, sums: Sums, names: Sequence[str]) -> str:
        """Return what a score leaves out, as the end of a sentence; empty if nothing.

        Args:
            sums: Of some samples.
            names: Names of the classes.
        """
        return ""

    def class_changes(
        self, sums: Sums, names: Sequence[str], confidence: float = 0.95
    ) -> tuple[ClassChange, ...]:
        """Return what happens to each class, as far as sums tell; nothing by default.

        Args:
            sums: Of some samples.
            names: Names of the classes.
            confidence: Of the intervals, which are paired.
        """
        return ()

    def right_count(self, sums: Sums) -> int | None:
        """Return how many samples are right; None where the score is no share."""
        return sums.count(self.right) if self.right else None

    def same_share(self, sums: Sums) -> float | None:
        """Return the share of samples answered as by the dense model; None where unknown."""
        return sums[self.same] / sums.samples if self.same and sums.samples else None

    def agreement(self, sums: Sums) -> float | None:
        """Return the share of answers that two models have in common; None where they are numbers.

        Args:
            sums: Of the second model, the first one in the place of dense.
        """
        if self.same or not sums.samples:
            return self.same_share(sums)
        return self.values(sums, None, has_labels=False).get("agreement")

    def told_agreement(self, share: float | None, samples: int) -> str:
        """Return a share of answers in words: ``1,848 of 2,000 samples``; empty without one."""
        if share is None:
            return ""
        if self.answered == "samples":
            return f"{round(share * samples):,} of {samples:,} samples"
        return f"{percent(share, digits=2)} of the {self.answered}"

    def facts(self, sums: Sums) -> dict[str, float]:
        """Return right samples, where they are counted, and the score, by their names in files."""
        right = self.right_count(sums)
        counted: dict[str, float] = {} if right is None else {self.right: right}
        return counted | {self.words.column: self.words.in_files(self.score(sums))}

    def evidence(self, sums: Sums) -> str:
        """Return the counts behind a score: ``1,848 of 2,000``, or ``2,000 samples``."""
        right = self.right_count(sums)
        return f"{sums.samples:,} samples" if right is None else f"{right:,} of {sums.samples:,}"
