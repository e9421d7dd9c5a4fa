"""How long a sweep takes: before it starts, and while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.edits import PreparedSubject, Target, targets
from analysis.engine import Evaluator, wait_for
from analysis.measuring import Slices
from analysis.records import PointKey
from analysis.sweeps.grid import Item, edited_names
from analysis.sweeps.planned import PlannedSweep

TIMED = 3
# How far sweeps were from what was expected, on the same machine at the same load.
SHORTER, LONGER = 0.7, 1.5


@dataclass(frozen=True, slots=True)
class SweepEstimate:
    """What a sweep will cost.

    Attributes:
        points_new: Points to measure.
        points_cached: Points of the grid that are known already.
        seconds: Expected wall time, from timed passes of the dense model.
        low: Wall time that it will hardly be below.
        high: Wall time that it will hardly be above, if the machine is not loaded further.
    """

    points_new: int
    points_cached: int
    seconds: float
    low: float
    high: float


def estimate_cost(
    planned: PlannedSweep, done: Mapping[PointKey, object] | None = None
) -> SweepEstimate:
    """Estimate a sweep before it starts.

    Args:
        planned: The sweep.
        done: Points that need no measuring.
    """
    prepared, spec, points = planned.prepared, planned.spec, planned.points
    new = [key for key in points if key not in (done or {})]
    fast, slow = _seconds_per_sample(prepared, planned.slices)
    by_target: dict[str, int] = {}
    for key in new:
        if key.kept != key.total:
            by_target[key.name] = by_target.get(key.name, 0) + 1
    passes = 1.0 + sum(
        count * _share(prepared, target, spec.semantics)
        for target in targets(prepared, spec.granularity, spec.layers)
        if (count := by_target.get(target.name, 0))
    )
    work = passes * planned.slices.total
    return SweepEstimate(
        points_new=len(new),
        points_cached=len(points) - len(new),
        seconds=work * fast,
        low=work * fast * SHORTER,
        high=work * slow * LONGER,
    )


def _share(prepared: PreparedSubject, target: Target, semantics: str) -> float:
    """Return the share of a dense pass that one edit of a target costs."""
    names = edited_names(prepared, target, semantics)
    return prepared.evaluator.share(names) if names else 1.0


def _seconds_per_sample(prepared: PreparedSubject, slices: Slices) -> tuple[float, float]:
    """Return the best and the worst time of a few passes, which tell the load of the machine."""
    inputs = slices.read(len(slices) // 2).inputs
    evaluator = prepared.evaluator
    limit = evaluator.max_samples()
    part = inputs[: limit or len(inputs)]
    taken = []
    for _ in range(1 + TIMED):
        start = time.perf_counter()
        evaluator.dense(part)
        # A device only has the work in its queue when the call returns.
        wait_for(part.device)
        taken.append((time.perf_counter() - start) / len(part))
    # In the first one kernels are chosen.
    return min(taken[1:]), max(taken[1:])


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
