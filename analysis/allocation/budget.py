"""Budgets, and the meter that says what a plan costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.plans import kept_counts, pruned_entries
from analysis.records import Plan
from pruners.errors import InputError, UnsupportedError
from pruners.selection import parse as parse_granularity

KINDS: Mapping[str, str] = {
    "macs": "MACs left, as a fraction of dense",
    "params": "parameters left, as a fraction of dense",
    "drop": "predicted accuracy drop, as a fraction (0.01 = 1 pp)",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit.

    Attributes:
        kind: A key of `KINDS`.
        limit: For ``macs`` and ``params`` the fraction of the dense model that may be left, 0..1;
            for ``drop`` the predicted drop as a fraction.
    """

    kind: str
    limit: float

    def __str__(self) -> str:
        return f"{self.kind}={self.limit:g}"

    @property
    def text(self) -> str:
        """The budget in words."""
        if self.kind == "drop":
            return f"a predicted drop of at most {self.limit * 100:g} pp"
        label = "MACs" if self.kind == "macs" else "parameters"
        return f"at most {self.limit:.1%} of the {label}"


def parse_budget(text: str) -> Budget:
    """Parse ``macs=0.5``, ``params=0.5`` or ``drop=0.01``.

    Raises:
        InputError: Anything else, or a limit out of range.
    """
    kind, separator, number = text.partition("=")
    kind = kind.strip()
    if not separator or kind not in KINDS:
        raise InputError(
            f"budget {text!r}: expected macs=FRACTION, params=FRACTION or drop=FRACTION, such as "
            "macs=0.5 for half of the dense model's MACs"
        )
    try:
        limit = float(number)
    except ValueError:
        raise InputError(f"budget {text!r}: {number!r} is no number") from None
    if not 0 < limit <= 1:
        raise InputError(f"budget {text!r}: the limit is a fraction above 0 and up to 1")
    return Budget(kind, limit)


@dataclass(frozen=True, slots=True)
class Meter:
    """Says what a plan costs.

    Attributes:
        predict: {group id: kept} -> (parameters, MACs) of the model after removal.
        weights: Number of weights by layer, for granularities that keep the layer's shape: there
            parameters are counted as the weights that are not zero.
    """

    predict: Callable[[Mapping[str, int]], tuple[int, int]]
    weights: Mapping[str, int]

    def sizes(self, plan: Plan) -> tuple[int, int]:
        """Return (parameters, MACs) of a plan.

        Weights that element-like granularities zero are not counted as parameters; MACs stay those
        of the shape.
        """
        params, macs = self.predict(kept_counts(plan))
        for entry in pruned_entries(plan):
            if not parse_granularity(entry.granularity).is_structured:
                weights = self.weights.get(entry.layer, entry.total)
                params -= round(weights * (entry.total - entry.kept) / entry.total)
        return params, macs

    def share(self, plan: Plan, kind: str) -> float:
        """Return what is left of the dense model, as a fraction.

        Raises:
            UnsupportedError: MACs of a plan that only zeroes weights.
        """
        element_like = [
            entry.granularity
            for entry in plan.entries
            if not parse_granularity(entry.granularity).is_structured
        ]
        if kind == "macs" and plan.entries and len(element_like) == len(plan.entries):
            raise UnsupportedError(
                f"granularity {element_like[0]} zeroes weights but keeps the layers' shapes, so "
                "MACs do not fall; give the budget in params"
            )
        place = 1 if kind == "macs" else 0
        return self.sizes(plan)[place] / max(self.predict({})[place], 1)
