"""Do the criteria of a sweep remove the same channels? Scores of every layer, compared in pairs."""

from __future__ import annotations

import contextlib

import pandas as pd
from torch import Tensor

from analysis import compare
from analysis.context import SubjectContext
from analysis.edits import scores, targets
from analysis.records import SweepSpec
from pruners.errors import UnsupportedError
from pruners.granularity import parse


def removed_agreement(context: SubjectContext, spec: SweepSpec, *, ratio: float) -> pd.DataFrame:
    """Compare what the criteria of a sweep remove from each of its layers.

    Args:
        context: The subject.
        spec: Names criteria, granularity, layers and how scores of coupled layers join.
        ratio: Fraction removed, 0..1.

    Returns:
        As `analysis.compare.agreement`. Layers that a criterion does not score are left out of its
        pairs.

    Raises:
        InputError: A criterion needs data that the subject lacks.
    """
    context.prepare(spec.criteria)
    found: dict[str, dict[str, Tensor]] = {criterion: {} for criterion in spec.criteria}
    for target in targets(context, spec.granularity, spec.layers):
        if not target.prunable:
            continue
        for criterion in spec.criteria:
            with contextlib.suppress(UnsupportedError):
                found[criterion][target.layer] = scores(
                    context, target, criterion, reduction=spec.reduction
                )
    return compare.agreement(found, ratio=ratio, keep_one=parse(spec.granularity).keep_one)
