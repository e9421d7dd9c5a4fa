"""Terms that are summed by group of samples: ``tokens/07`` is the sum over the eighth group."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.records import Sums
from analysis.uncertainty import GROUPS, Interval

Floats = npt.NDArray[np.float64]
_FIRST = "/00"


@functools.lru_cache(maxsize=64)
def group_terms(stems: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of terms by group, group after group."""
    return tuple(f"{stem}/{group:02}" for group in range(GROUPS) for stem in stems)


def stems_of(sums: Sums) -> tuple[str, ...]:
    """Return the names that stand before the group, in order."""
    return _stems(tuple(sums.terms))


@functools.lru_cache(maxsize=64)
def _stems(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.removesuffix(_FIRST) for name in names if name.endswith(_FIRST))


def by_group(sums: Sums, stems: Sequence[str]) -> Floats:
    """Return sums by group, ``(GROUPS, stems)``."""
    values = [sums.terms.get(name, 0.0) for name in group_terms(tuple(stems))]
    return np.array(values, dtype=np.float64).reshape(GROUPS, len(stems))


class Totals:
    """Sums over all samples, then over all but each group: ``(1 + GROUPS,)`` by name.

    A function of them, computed at once, is its value and what the jackknife needs for an interval.
    Terms that an older run has not by group have no sums without one: NaN, and so no interval.

    Attributes:
        sizes: Samples of each group ``(GROUPS,)``.
    """

    def __init__(self, sums: Sums) -> None:
        names = stems_of(sums)
        table = by_group(sums, names)
        total = table.sum(0)
        self._values = np.concatenate([total[None], total - table])
        self._place = {name: at for at, name in enumerate(names)}
        self._plain = {name: value for name, value in sums.terms.items() if "/" not in name}
        self.sizes: Floats = table[:, self._place["n"]]

    def __getitem__(self, name: str) -> Floats:
        """Return the sums of a term; 0 if there is none."""
        place = self._place.get(name)
        found = np.zeros(1 + GROUPS) if place is None else self._values[:, place].copy()
        if name in self._plain:
            found[0] += self._plain[name]
            found[1:] = np.nan
        return found

    def of_each(self, stem: str) -> Floats:
        """Return those of a term a class or label ``(1 + GROUPS, classes)``."""
        known = [
            name
            for name in dict.fromkeys((*self._place, *self._plain))
            if name.startswith(stem) and name[len(stem) :].isdigit()
        ]
        return np.stack([self[name] for name in known], 1)


def ends_of(*columns: str) -> tuple[str, ...]:
    """Return columns, each with those of its interval's ends.

    >>> ends_of("mae")
    ('mae', 'mae_low', 'mae_high')
    """
    return tuple(f"{name}{end}" for name in columns for end in ("", "_low", "_high"))


def with_ends(name: str, value: float, interval: Interval) -> dict[str, float]:
    """Return a value and the ends of its interval by column; what is not known is left out."""
    found = zip(ends_of(name), (value, interval.low, interval.high), strict=True)
    return {column: number for column, number in found if number == number}
