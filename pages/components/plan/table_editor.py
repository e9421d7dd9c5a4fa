"""The plan's table: ratio, criterion and lock editable per layer."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from analysis.curves import sparklines
from analysis.records import Plan
from analysis.tasks import Words
from pages.components.state import Session, plan_state, tolerance, url_state
from pages.components.widgets import formatting
from pruners.criteria import CRITERIA
from pruners.granularity import parse

ROWS = 14


def draw(plan: Plan, table: pd.DataFrame, points: pd.DataFrame, current: Session) -> None:
    """Draw the table; each edit becomes one undoable step."""
    if table.empty:
        st.info("This model has nothing to prune at this granularity.", icon=":material/info:")
        return
    shown = _shown(table, points, tolerance.words_of(plan.subject.task))
    key = f"plan_{plan_state.revision()}"
    st.data_editor(
        shown,
        key=key,
        hide_index=True,
        num_rows="fixed",
        height="content" if len(shown) <= ROWS else 560,
        on_change=_edited,
        args=(key, table["key"].tolist()),
        disabled=[str(name) for name in shown if name not in ("ratio", "criterion", "locked")],
        column_config=_columns(table, current),
        alt="Ratio and criterion of each layer of the plan",
    )


def preview(table: pd.DataFrame, points: pd.DataFrame, current: Session) -> None:
    """Draw the table to look at."""
    shown = _shown(table, points, tolerance.words_of(current.chosen.task))
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= ROWS else 560,
        column_config=_columns(table, current),
        alt="Ratio and criterion of each layer of the saved plan",
        key="plan_preview",
    )


def _shown(table: pd.DataFrame, points: pd.DataFrame, words: Words) -> pd.DataFrame:
    lines = {
        name: sparklines(points, criterion=name, scale=words.drop_scale)
        for name in table["criterion"].unique()
    }
    return pd.DataFrame(
        {
            "locked": table["locked"],
            "layer": table["layer"],
            "curve": [
                lines[criterion].get(layer, [])
                for criterion, layer in zip(table["criterion"], table["layer"], strict=True)
            ],
            "ratio": (table["ratio"] * 100).round(2),
            "criterion": table["criterion"],
            "achieved": table["achieved"] * 100,
            "tolerated": table["tolerated"] * 100,
            "stay": [
                f"{formatting.thousands(kept)} of {formatting.thousands(total)}"
                for kept, total in zip(table["kept"], table["total"], strict=True)
            ],
            "drop": [
                _drop(row["drop"], row["drop_low"], row["drop_high"], words)
                for row in table.to_dict("records")
            ],
            "note": table["note"],
        }
    )


def _drop(drop: float, low: float, high: float, words: Words) -> str:
    if math.isnan(drop):
        return "not measured"
    if low == high == 0:
        return formatting.DASH
    return f"{formatting.drop(drop, words)} ({formatting.drop_range(low, high, words)})"


def _columns(table: pd.DataFrame, current: Session) -> dict[str, Any]:
    kinds = {parse(name).kind for name in table["granularity"]}
    offered = [entry.name for entry in CRITERIA if kinds <= entry.granularities]
    measured = list(current.run.spec.criteria) if current.run is not None else []
    # Measured criteria first; sorting is stable.
    offered = sorted(offered, key=lambda name: name not in measured)
    return {
        "locked": st.column_config.CheckboxColumn(
            "Lock", help="Fills and bulk edits leave locked layers alone.", width=76
        ),
        "layer": st.column_config.TextColumn("Layer", pinned=True),
        "curve": st.column_config.LineChartColumn(
            "Curve", width="small", help="Measured drop by this row's criterion."
        ),
        "ratio": st.column_config.NumberColumn(
            "Ratio (%)",
            min_value=0.0,
            max_value=100.0,
            step=0.5,
            format="%.2f",
            required=True,
            help="Fraction to remove, of the original. Double-click to edit.",
        ),
        "criterion": st.column_config.SelectboxColumn(
            "Criterion", options=offered, required=True, help="Which channels go first."
        ),
        "achieved": st.column_config.NumberColumn(
            "Achieved",
            format="%.1f %%",
            help="Of the units, after rounding to whole ones or to a multiple.",
        ),
        "tolerated": st.column_config.ProgressColumn(
            "Tolerated",
            format="%.1f %%",
            min_value=0,
            max_value=100,
            help="Largest measured ratio within the tolerance, by this row's criterion.",
        ),
        "stay": "Units that stay",
        "drop": st.column_config.TextColumn(
            "Drop alone",
            width=200,
            help="What this layer costs when it is pruned alone, with its interval.",
        ),
        "note": st.column_config.TextColumn("Note", width="medium"),
    }


def _edited(key: str, keys: list[str]) -> None:
    plan = plan_state.present()
    assert plan is not None
    rows = st.session_state[key]["edited_rows"]
    changed = plan_state.edited(plan, keys, rows)
    names = [
        entry.layer
        for entry, old in zip(changed.entries, plan.entries, strict=True)
        if entry != old
    ]
    plan_state.do(changed, action=f"edit {formatting.listed(names)}", from_table=True)
    if len(names) == 1:
        # What is below the table follows the hand.
        url_state.put("layer", names[0])
