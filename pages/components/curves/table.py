"""The tables of the Curves page: all layers, and two variants point by point."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis.comparison import Variant, label, side_by_side
from analysis.curves import CURVE, sparklines
from analysis.records import RunRow
from analysis.tasks import Words
from pages.components.state import session, tolerance, url_state
from pages.components.widgets import charts, formatting

# Columns of the compared variant.
TOLERATED, HALF = "tolerated, compared", "drop at 50 %, compared"
NAMES = {"accuracy_drop": "drop", "drop_low": "low", "drop_high": "high"}


def draw(
    run: RunRow,
    points: pd.DataFrame,
    table: pd.DataFrame,
    *,
    criterion: str,
    other: Variant | None,
) -> None:
    """Draw what each layer tolerates by a criterion, and in the variant compared with it.

    Args:
        run: The run.
        points: Its points.
        table: What its layers tolerate.
        criterion: Whose rows.
        other: The compared variant, if any.
    """
    rows = table[table["criterion"] == criterion].reset_index(drop=True)
    words = tolerance.words_of(run.spec.subject.task)
    lines = sparklines(points, criterion=criterion, scale=words.drop_scale)
    shown = pd.DataFrame(
        {
            "layer": rows["layer"],
            "curve": [lines.get(str(name), []) for name in rows["layer"]],
            "tolerated": rows["tolerated"],
            "interval": [
                formatting.percent_range(low, high, digits=1)
                for low, high in zip(rows["low"], rows["high"], strict=True)
            ],
            "rank": rows["rank"],
            "drop at 50 %": rows["drop_half"] * words.drop_scale,
            "units": rows["total"],
            "samples": rows["samples"],
        }
    )
    config = _config(words)
    if other is not None:
        theirs = _rows_of_variant(rows, other)
        shown.insert(4, TOLERATED, theirs["tolerated"])
        shown.insert(7, HALF, theirs["drop_half"] * words.drop_scale)
        config |= _config_of_variant(other.name, words)
    st.subheader("Ranking", anchor=False)
    st.caption("Layers with overlapping intervals are tied: they share a range of ranks.")
    st.dataframe(
        shown,
        hide_index=True,
        key="curves_table",
        on_select=lambda: _pick_row(shown),
        selection_mode="single-row",
        column_config=config,
        alt=f"What each layer tolerates by {criterion}",
    )
    st.download_button(
        "Download all points (CSV)",
        lambda: points.to_csv(index=False),
        file_name=f"points-{run.run_id}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="curves_csv",
    )


def _config(words: Words) -> dict[str, Any]:
    return {
        "layer": st.column_config.TextColumn("Layer", pinned=True),
        "curve": st.column_config.LineChartColumn(
            f"Drop ({words.drop_unit}) over ratio" if words.drop_unit else "Drop over ratio",
            width="small",
        ),
        "tolerated": st.column_config.ProgressColumn(
            "Tolerated", format="percent", min_value=0, max_value=1
        ),
        "interval": "95 % interval",
        "rank": "Rank",
        "drop at 50 %": st.column_config.NumberColumn("Drop at 50 %", format=_drop_format(words)),
        "units": "Units",
        "samples": st.column_config.NumberColumn("Samples", format="localized"),
    }


def _config_of_variant(name: str, words: Words) -> dict[str, Any]:
    return {
        TOLERATED: st.column_config.ProgressColumn(
            f"Tolerated, {name}", format="percent", min_value=0, max_value=1
        ),
        HALF: st.column_config.NumberColumn(f"Drop at 50 %, {name}", format=_drop_format(words)),
    }


def _drop_format(words: Words) -> str:
    return f"%.{words.digits}f {words.drop_unit}".rstrip()


def _rows_of_variant(rows: pd.DataFrame, other: Variant) -> pd.DataFrame:
    """Return the variant's rows of the same curves, in their order."""
    accepted = tolerance.accepted(other.run.spec.subject.task)
    theirs = session.tolerated(other.run, tolerance=accepted)
    return rows[CURVE].merge(theirs, on=CURVE, how="left")


def both_curves(run: RunRow, points: pd.DataFrame, other: Variant) -> None:
    """Offer the numbers of two curves, point by point.

    Args:
        run: The run.
        points: Its points of one curve.
        other: The compared variant.
    """
    words = tolerance.words_of(run.spec.subject.task)
    both = side_by_side(points, session.points(other.run))
    mine = label(run.spec, other.field)
    shown = pd.DataFrame({"removed": both["ratio_achieved"], "kept": both["kept"]})
    ends = ((mine, ""), (other.name, "_beside"))
    for what in ("accuracy_drop", "drop_low", "drop_high"):
        for name, end in ends:
            shown[f"{NAMES[what]}, {name}"] = both[f"{what}{end}"] * words.drop_scale
    drops = st.column_config.NumberColumn(format=_drop_format(words))
    charts.as_table(
        shown,
        key="curves_both",
        file_name=f"beside-{run.run_id}",
        column_config={
            "removed": st.column_config.NumberColumn(format="percent"),
            **dict.fromkeys(shown.columns[2:], drops),
        },
    )


def _pick_row(shown: pd.DataFrame) -> None:
    rows = st.session_state["curves_table"]["selection"]["rows"]
    if rows:
        url_state.put("layer", str(shown["layer"].iloc[rows[0]]))
