"""How long a sweep will still take, from what it did so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from analysis.evaluator import Evaluator
from analysis.grid import Item


class Work:
    """The work of a sweep in passes of one sample through the dense model.

    Args:
        evaluator: Knows what share of a pass an edit costs.
        items: What may be measured.
    """

    def __init__(self, evaluator: Evaluator, items: Iterable[Item]) -> None:
        # An edit without names is a removed model: a whole pass.
        self._share = {item: evaluator.share(item.names) if item.names else 1.0 for item in items}

    def of(self, samples: Mapping[Item, float], *, dense: float = 0.0) -> float:
        """Return the work of measuring items on so many samples each.

        Args:
            samples: Samples by item.
            dense: Samples of the dense model.
        """
        return dense + sum(self._share[item] * count for item, count in samples.items())


class Pace:
    """Wall time per work.

    The first round is slow (kernels are chosen): it counts only until there is another one. What
    is set up once and for all, such as removed models, is no part of it.
    """

    def __init__(self) -> None:
        self._rounds: list[tuple[float, float]] = []

    def note(self, work: float, seconds: float) -> None:
        """Add a round of some work and its wall time."""
        self._rounds.append((work, seconds))

    def seconds_left(self, work: float) -> float:
        """Return the expected wall time of what is left; 0 before the first round."""
        counted = self._rounds[1:] or self._rounds
        done = sum(item for item, _ in counted)
        return work * sum(seconds for _, seconds in counted) / done if done else 0.0
