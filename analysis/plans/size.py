"""What is left of a model after a plan: MACs and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from analysis.edits import PreparedSubject
from analysis.plans.entries import kept_counts, pruned_entries
from analysis.records import Plan, PlanEntry
from pruners.errors import UnsupportedError
from pruners.granularity import parse as parse_granularity
from pruners.groups import Parts
from pruners.layers import find_layer

_NAMES = {"macs": "MACs"}


@dataclass(frozen=True, slots=True)
class Meter:
    """Says what a plan costs.

    Attributes:
        predict: {group id: kept} -> (parameters, MACs) of the model after removal.
        weights: Number of weights by layer, for granularities that keep the layer's shape: there
            parameters are counted as the weights that are not zero.
        parts: {group id: counts that it may keep} -> parameters and MACs as sums of parts that
            depend on few groups, as changes against dense; see `pruners.groups.CostModel.parts`.
    """

    predict: Callable[[Mapping[str, int]], tuple[int, int]]
    weights: Mapping[str, int]
    parts: Callable[[Mapping[str, Sequence[int]]], tuple[Parts, Parts]]

    def sizes(self, plan: Plan) -> tuple[int, int]:
        """Return (parameters, MACs) of a plan.

        Weights that element-like granularities zero are not counted as parameters; MACs stay those
        of the shape.
        """
        params, macs = self.predict(kept_counts(plan))
        for entry in pruned_entries(plan):
            if not parse_granularity(entry.granularity).is_structured:
                params -= self._zeros(entry, entry.kept)
        return params, macs

    def _zeros(self, entry: PlanEntry, kept: int) -> int:
        weights = self.weights.get(entry.layer, entry.total)
        return round(weights * (entry.total - kept) / entry.total)

    def amounts(self, plan: Plan, kind: str, choices: Mapping[str, Sequence[int]]) -> Parts:
        """Return what counts of entries change of the dense model, as a sum of parts.

        Args:
            plan: The plan; entries without choices are dense.
            kind: As in `amount`.
            choices: Counts that each entry may keep, by its name.

        Returns:
            Names of entries -> values ``(choices of the first, ...)``, float64.
        """
        entries = {entry.name: entry for entry in plan.entries if entry.name in choices}
        structured = {
            name: choices[name]
            for name, entry in entries.items()
            if parse_granularity(entry.granularity).is_structured
        }
        found = dict(self.parts(structured)[1 if kind == "macs" else 0])
        if kind == "params":
            for name, entry in entries.items():
                if name not in structured:
                    zeros = [-self._zeros(entry, kept) for kept in choices[name]]
                    found[name,] = torch.tensor(zeros, dtype=torch.float64)
        return found

    def amount(self, plan: Plan, kind: str) -> float:
        """Return what is left after a plan, in the meter's unit of that kind.

        Raises:
            UnsupportedError: A size of shapes, of a plan that only zeroes weights.
        """
        element_like = [
            entry.granularity
            for entry in plan.entries
            if not parse_granularity(entry.granularity).is_structured
        ]
        if kind != "params" and plan.entries and len(element_like) == len(plan.entries):
            raise UnsupportedError(
                f"granularity {element_like[0]} zeroes weights but keeps the layers' shapes, so "
                f"{_NAMES[kind]} do not fall; give the budget in params"
            )
        return self.sizes(plan)[1 if kind == "macs" else 0]

    def dense(self, kind: str) -> float:
        """Return what the dense model has, in the meter's unit of that kind."""
        return self.predict({})[1 if kind == "macs" else 0]

    def share(self, plan: Plan, kind: str) -> float:
        """Return what is left of the dense model, as a fraction.

        Raises:
            UnsupportedError: A size of shapes, of a plan that only zeroes weights.
        """
        return self.amount(plan, kind) / max(self.dense(kind), 1)


def meter(prepared: PreparedSubject) -> Meter:
    """Return what measures the size of plans of a subject."""
    weights = {
        name: sum(
            item.numel()
            for part, item in find_layer(prepared.model, name).named_parameters(recurse=False)
            if part in ("weight", "in_proj_weight")
        )
        for name in prepared.layers()
    }

    def predict(kept: Mapping[str, int]) -> tuple[int, int]:
        found = prepared.cost.predict(kept)
        return found.params, found.macs

    return Meter(predict, weights, prepared.cost.parts)
