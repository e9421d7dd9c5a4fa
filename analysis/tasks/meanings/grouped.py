"""Terms that are summed by group of samples: ``tokens/07`` is the sum over the eighth group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from analysis.records import Sums
from analysis.uncertainty import GROUPS

Floats = npt.NDArray[np.float64]
_FIRST = "/00"


def group_terms(stems: Iterable[str]) -> tuple[str, ...]:
    """Return the names of terms by group, group after group."""
    stems = tuple(stems)
    return tuple(f"{stem}/{group:02}" for group in range(GROUPS) for stem in stems)


def stems_of(sums: Sums) -> tuple[str, ...]:
    """Return the names that stand before the group, in order."""
    return tuple(name.removesuffix(_FIRST) for name in sums.terms if name.endswith(_FIRST))


def by_group(sums: Sums, stems: Sequence[str]) -> Floats:
    """Return sums by group, ``(GROUPS, stems)``."""
    values = [sums.terms.get(name, 0.0) for name in group_terms(stems)]
    return np.array(values, dtype=np.float64).reshape(GROUPS, len(stems))
