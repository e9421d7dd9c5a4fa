"""What is left of a model after a plan: MACs and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.allocation import Meter
from analysis.edits import SubjectContext
from pruners.layers import find_layer


def meter(context: SubjectContext) -> Meter:
    """Return what measures the size of plans of a subject."""
    weights = {
        name: sum(
            item.numel()
            for part, item in find_layer(context.model, name).named_parameters(recurse=False)
            if part in ("weight", "in_proj_weight")
        )
        for name in context.layers()
    }

    def predict(kept: Mapping[str, int]) -> tuple[int, int]:
        found = context.cost.predict(kept)
        return found.params, found.macs

    return Meter(predict, weights)
