from .advice import Advice, advise
from .criteria import comparability, leading, mean_drop, summary, win_matrix
from .overlap import (
    agreement,
    agreement_matrix,
    expected_jaccard,
    rank_correlation,
    removed_agreement,
)
from .plans import LayerPair, PlanComparison, PlanSide, compare_plans
from .variants import (
    SETTINGS,
    Variant,
    choices,
    gap,
    gap_sentence,
    label,
    siblings,
    side_by_side,
    with_value,
)

__all__ = [
    "Advice",
    "LayerPair",
    "PlanComparison",
    "PlanSide",
    "SETTINGS",
    "Variant",
    "advise",
    "agreement",
    "agreement_matrix",
    "choices",
    "comparability",
    "compare_plans",
    "expected_jaccard",
    "gap",
    "gap_sentence",
    "label",
    "leading",
    "mean_drop",
    "rank_correlation",
    "removed_agreement",
    "siblings",
    "side_by_side",
    "summary",
    "win_matrix",
    "with_value",
]
