"""What is believed of the cost of a change, from curves of single groups and from trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Factors of groups spread about the common one, and errors of a linear forecast, by this share.
SPREAD = 0.7
MISFIT = 0.3
# Factors forget a little with each step, because they hold near the plan where they were seen.
DRIFT = 0.05
# Standard deviations by which a forecast is hoped to be better.
OPTIMISM = 2.0
LEAST, MOST = 0.02, 50.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """An expected change of the cost, with its standard deviation."""

    mean: float
    deviation: float

    @property
    def hope(self) -> float:
        """What it may come to if all goes well."""
        return self.mean - OPTIMISM * self.deviation


class Beliefs:
    """Cost of a plan = sum over groups of a factor times what the group costs alone.

    Groups interact, so alone they cost other amounts than together; near one plan a factor a group
    tells most of it. Trials correct the factors (a Kalman filter; each trial is one noisy
    observation of a weighted sum of factors).

    Args:
        names: The groups.
        scale: First guess of all factors: the measured cost of a plan over the sum of single ones.

    References:
        R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960.
    """

    def __init__(self, names: Sequence[str], *, scale: float = 1.0) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        self.factors = np.full(len(names), float(np.clip(scale, LEAST, MOST)))
        self.covariance = np.diag((SPREAD * self.factors) ** 2)

    @classmethod
    def known(
        cls,
        names: Sequence[str],
        factors: Sequence[float],
        covariance: Sequence[Sequence[float]],
    ) -> Beliefs:
        """Return beliefs as they were kept."""
        beliefs = cls(names)
        beliefs.factors, beliefs.covariance = np.array(factors), np.array(covariance)
        return beliefs

    def forecast(self, change: Mapping[str, float]) -> Forecast:
        """Return what a change of single costs, by group, is expected to come to."""
        places, values = self._vector(change)
        variance = values @ self.covariance[np.ix_(places, places)] @ values
        return Forecast(float(values @ self.factors[places]), float(max(variance, 0.0) ** 0.5))

    def learn(self, change: Mapping[str, float], found: float, error: float) -> None:
        """Correct the factors by a measured change of the cost with its standard error."""
        places, values = self._vector(change)
        noise = error**2 + (MISFIT * found) ** 2 + 1e-12
        gains = self.covariance[:, places] @ values
        total = float(values @ gains[places]) + noise
        expected = float(values @ self.factors[places])
        self.factors = np.clip(self.factors + gains / total * (found - expected), LEAST, MOST)
        self.covariance -= np.outer(gains, gains) / total

    def drift(self) -> None:
        """Trust the factors less: the plan has moved."""
        self.covariance += np.diag((DRIFT * self.factors) ** 2)

    def _vector(self, change: Mapping[str, float]) -> tuple[list[int], np.ndarray]:
        return [self._place[name] for name in change], np.array(list(change.values()))
