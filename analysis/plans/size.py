"""What is left of a model after a plan: MACs and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from analysis.edits import PreparedSubject
from analysis.measuring import safetensors_bytes
from analysis.plans.entries import kept_counts, pruned_entries
from analysis.records import Plan, PlanEntry
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import parse as parse_granularity
from pruners.groups import Parts
from pruners.layers import find_layer

_NAMES = {"macs": "MACs", "bytes": "bytes of the file", "latency": "times"}
_OF_SIZES = {"params": 0, "macs": 1}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What removal makes less.

    Attributes:
        amount: {group id: kept} -> what is left.
        parts: {group id: counts that it may keep} -> changes against dense, as a sum of parts that
            depend on few groups; see `pruners.groups.CostModel.parts`.
    """

    amount: Callable[[Mapping[str, int]], float]
    parts: Callable[[Mapping[str, Sequence[int]]], Parts]


@dataclass(frozen=True, slots=True)
class Meter:
    """Says what a plan costs.

    Attributes:
        predict: {group id: kept} -> (parameters, MACs) of the model after removal.
        weights: Number of weights by layer, for granularities that keep the layer's shape: there
            parameters are counted as the weights that are not zero.
        quantities: What can be limited, by kind of budget; ``params`` and ``macs`` among them.
    """

    predict: Callable[[Mapping[str, int]], tuple[int, int]]
    weights: Mapping[str, int]
    quantities: Mapping[str, Quantity]

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
        found = dict(self._quantity(kind).parts(structured))
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
        if kind in _OF_SIZES:
            return self.sizes(plan)[_OF_SIZES[kind]]
        return self._quantity(kind).amount(kept_counts(plan))

    def dense(self, kind: str) -> float:
        """Return what the dense model has, in the meter's unit of that kind."""
        return self._quantity(kind).amount({})

    def _quantity(self, kind: str) -> Quantity:
        if kind not in self.quantities:
            raise InputError(f"{kind} was not measured for this model, so it cannot be limited")
        return self.quantities[kind]

    def share(self, plan: Plan, kind: str) -> float:
        """Return what is left of the dense model, as a fraction.

        Raises:
            UnsupportedError: A size of shapes, of a plan that only zeroes weights.
        """
        return self.amount(plan, kind) / (self.dense(kind) or 1)

    def with_saving(self, kind: str, factor: float) -> Meter:
        """Return a meter to which removal saves so many times what it saves here."""
        old = self._quantity(kind)
        dense = old.amount({})
        new = Quantity(
            lambda kept: dense - factor * (dense - old.amount(kept)),
            lambda choices: {
                scope: factor * values for scope, values in old.parts(choices).items()
            },
        )
        return replace(self, quantities={**self.quantities, kind: new})


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

    quantities = {
        kind: Quantity(
            lambda kept, place=place: predict(kept)[place],  # type: ignore[misc]
            lambda choices, place=place: prepared.cost.parts(choices)[place],  # type: ignore[misc]
        )
        for kind, place in _OF_SIZES.items()
    }
    return Meter(predict, weights, {**quantities, "bytes": _file_bytes(prepared)})


def _file_bytes(prepared: PreparedSubject) -> Quantity:
    """Return the size of the weights file after removal: tensors and the header that lists them."""
    state = prepared.model.state_dict(keep_vars=True)
    # Shared tensors are stored once, under their first name.
    first = {id(item): name for name, item in reversed(state.items())}
    tensors = {name: item for name, item in state.items() if first[id(item)] == name}
    shapes = {name: tuple(item.shape) for name, item in tensors.items()}

    def amount(kept: Mapping[str, int]) -> float:
        left = prepared.cost.shapes(shapes, kept)
        return safetensors_bytes(
            {
                name: torch.empty(left[name], dtype=item.dtype, device="meta")
                for name, item in tensors.items()
                if name in left
            }
        )

    def parts(choices: Mapping[str, Sequence[int]]) -> Parts:
        # The header only gets shorter: it counts as that of the dense model.
        weights = [item.element_size() for item in tensors.values()]
        return prepared.cost.tensor_parts(shapes, weights, choices)

    return Quantity(amount, parts)
