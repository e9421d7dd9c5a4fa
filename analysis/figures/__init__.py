"""Charts: pure functions from tables to Plotly figures.

Each takes ``theme="light"`` or ``"dark"``, has a transparent background, carries ids for selection
in ``customdata`` and a text alternative computed from its data (`alt`). Points and bars are drawn
as traces that Streamlit can select: matrices are square markers, not heat maps.
"""

from analysis.figures.bubbles import opportunity
from analysis.figures.compare import (
    agreement_chart,
    criteria_chart,
    layer_agreement_chart,
    win_matrix_chart,
)
from analysis.figures.curves import (
    MAX_HIGHLIGHTED,
    MAX_PANELS,
    focus_curves,
    sensitivity_curves,
    small_multiples,
)
from analysis.figures.drawing import (
    DARK,
    LIGHT,
    PALETTES,
    UIREVISION,
    ComparedCurves,
    Palette,
    Style,
    alt,
    blank,
    clipped_text,
    palette,
    palettes,
    styles,
)
from analysis.figures.heatmaps import coverage_grid, sensitivity_matrix
from analysis.figures.layers import block_ranking, ranking
from analysis.figures.network import network_map
from analysis.figures.plan import (
    class_change,
    latency_chart,
    plan_bars,
    size_bars,
    unit_scores,
)
from analysis.figures.thumbnails import thumbnail
from analysis.figures.trade_offs import best_plans, pareto, predicted_measured, trade_off
from analysis.figures.training import training_loss, training_score

__all__ = [
    "ComparedCurves",
    "DARK",
    "LIGHT",
    "MAX_HIGHLIGHTED",
    "MAX_PANELS",
    "PALETTES",
    "Palette",
    "Style",
    "UIREVISION",
    "agreement_chart",
    "alt",
    "best_plans",
    "blank",
    "block_ranking",
    "class_change",
    "clipped_text",
    "coverage_grid",
    "criteria_chart",
    "focus_curves",
    "latency_chart",
    "layer_agreement_chart",
    "network_map",
    "opportunity",
    "palette",
    "palettes",
    "pareto",
    "plan_bars",
    "predicted_measured",
    "ranking",
    "sensitivity_curves",
    "sensitivity_matrix",
    "size_bars",
    "small_multiples",
    "styles",
    "thumbnail",
    "trade_off",
    "training_loss",
    "training_score",
    "unit_scores",
    "win_matrix_chart",
]
