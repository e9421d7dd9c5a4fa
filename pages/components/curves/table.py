"""The tables of the Curves page: all layers, and two variants point by point."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis.comparison import Variant, present_name, side_by_side
from analysis.curves import (
    CURVE,
    TOLERANCES,
    GroupSize,
    by_rank,
    for_files,
    sparkline_reach,
    sparklines,
)
from analysis.records import RunRow
from analysis.sentences import capital
from analysis.tasks import Words
from pages.components.state import session, tolerance, url_state
from pages.components.widgets import charts, formatting
from pruners.criteria import label_of

# Columns of the compared variant.
TOLERATED, HALF = "tolerated, compared", "half, compared"
NAMES = {"drop_low": "low", "drop_high": "high"}


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
    rows = by_rank(table[table["criterion"] == criterion]).reset_index(drop=True)
    words = tolerance.words_of(run.quantity)
    accepted, scale = tolerance.accepted(run.quantity), words.drop_scale
    lines = sparklines(points, criterion=criterion, tolerance=accepted, scale=scale)
    sizes = session.groups(run)
    shown = pd.DataFrame(
        {
            # What a phone shows of it without scrolling stands first.
            "layer": rows["layer"],
            "tolerated": rows["tolerated"] * 100,
            "interval": [
                formatting.percent_range(low, high, digits=1)
                for low, high in zip(rows["low"], rows["high"], strict=True)
            ],
            "half": formatting.drop_column(rows["drop_half"], words),
            "rank": rows["rank"],
            "curve": [lines.get(str(name), []) for name in rows["layer"]],
            "with": [_others(sizes.get(str(name))) for name in rows["layer"]],
            "takes": [_takes(sizes.get(str(name))) for name in rows["layer"]],
            # Imported curves may have neither.
            "units": rows["total"].where(rows["total"] > 0),
            "samples": rows["samples"].where(rows["samples"] > 0),
        }
    )
    config = _config(words, sparkline_reach(accepted, scale))
    if other is not None:
        theirs = _rows_of_variant(rows, other)
        place = list(shown.columns).index("interval") + 1
        shown.insert(place, TOLERATED, theirs["tolerated"] * 100)
        shown.insert(place + 2, HALF, formatting.drop_column(theirs["drop_half"], words))
        config |= _config_of_variant(other.name, words)
    # In many a file of another tool no curve reaches a half, nothing was counted, and so on.
    shown = shown.drop(columns=[name for name in shown if _says_nothing(shown[name])])
    st.subheader("Ranking", anchor=False)
    st.caption(
        "Rank 1 tolerates most and stands first. Layers with overlapping intervals are tied: they "
        f"share a range of ranks. {words.sign_of_loss}"
    )
    st.dataframe(
        shown,
        hide_index=True,
        key="curves_table",
        on_select=lambda: _pick_row(shown),
        selection_mode="single-row",
        column_config=config,
        placeholder=formatting.DASH,
        alt=f"What each layer tolerates by {label_of(criterion)}",
    )


def draw_blocks(run: RunRow, folded: pd.DataFrame, *, criterion: str) -> None:
    """Draw what the groups of each block tolerate; a row opens its block.

    Args:
        run: The run.
        folded: What `analysis.curves.fold_tolerated` returned.
        criterion: Whose rows.
    """
    rows = folded[folded["criterion"] == criterion]
    rows = rows.sort_values(["median", "least"], ascending=False, kind="stable")
    shown = pd.DataFrame(
        {
            "layer": rows["layer"],
            "groups": rows["groups"],
            "median": rows["median"] * 100,
            "range": [
                formatting.percent_range(least, most, digits=1)
                for least, most in zip(rows["least"], rows["most"], strict=True)
            ],
            "fragile": rows["fragile"],
        }
    ).reset_index(drop=True)
    st.subheader("Ranking by block", anchor=False)
    st.caption("The most tolerant block first, by the median of its groups. A row opens its block.")
    st.dataframe(
        shown,
        hide_index=True,
        key="curves_blocks",
        on_select=lambda: _open_row(shown),
        selection_mode="single-row",
        column_config={
            "layer": st.column_config.TextColumn("Block", pinned=True),
            "groups": "Groups",
            "median": _share_column("Tolerated, median"),
            "range": "Least to most",
            "fragile": "Most fragile group",
        },
        alt=f"What the groups of each block of {run.run_id} tolerate by {label_of(criterion)}",
    )


def offer_points(run: RunRow, points: pd.DataFrame) -> None:
    """Offer the points as a file."""
    st.download_button(
        "Download all points (CSV)",
        lambda: for_files(points, run.quantity).to_csv(index=False),
        file_name=f"points-{run.run_id}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="curves_csv",
    )


def _says_nothing(column: pd.Series) -> bool:
    return bool(column.isna().all()) or set(map(str, column)) <= {"", formatting.DASH}


def _others(size: GroupSize | None) -> str:
    """Return the layers that lose channels with the one that names the group."""
    return "" if size is None else formatting.listed(size.layers[1:], most=3)


def _takes(size: GroupSize | None) -> str:
    return "" if size is None else formatting.percent(size.params, digits=1)


def _share_column(label: str, help: str | None = None) -> Any:
    return st.column_config.ProgressColumn(
        label, format="%.1f %%", min_value=0, max_value=100, width=115, help=help
    )


def _config(words: Words, reach: tuple[float, float]) -> dict[str, Any]:
    title = capital(words.drop_noun)
    return {
        "layer": st.column_config.TextColumn("Layer", pinned=True),
        "curve": st.column_config.LineChartColumn(
            "Curve",
            width="small",
            help=f"{title}{words.drop_unit and f' ({words.drop_unit})'} over ratio, "
            f"up to {TOLERANCES:g} tolerances in every row",
            y_min=reach[0],
            y_max=reach[1],
        ),
        "with": st.column_config.TextColumn(
            "Pruned with", width=85, help="Layers that lose the same channels: one group."
        ),
        "tolerated": _share_column("Tolerated"),
        "takes": st.column_config.TextColumn(
            "Takes", help="Share of the parameters that removing the whole group saves."
        ),
        "interval": "95 % interval",
        "rank": "Rank",
        "half": st.column_config.NumberColumn(
            f"{title} at 50 %", format=formatting.drop_format(words)
        ),
        "units": st.column_config.NumberColumn("Units", format="localized", width=60),
        "samples": st.column_config.NumberColumn("Samples", format="localized", width=70),
    }


def _config_of_variant(name: str, words: Words) -> dict[str, Any]:
    return {
        TOLERATED: _share_column("Tolerated beside", help=f"In {name}, which is drawn beside."),
        HALF: st.column_config.NumberColumn(
            f"{capital(words.drop_noun)} at 50 % beside",
            format=formatting.drop_format(words),
            help=f"In {name}, which is drawn beside.",
        ),
    }


def _rows_of_variant(rows: pd.DataFrame, other: Variant) -> pd.DataFrame:
    """Return the variant's rows of the same curves, in their order."""
    accepted = tolerance.accepted(other.run.quantity)
    theirs = session.tolerated(other.run, tolerance=accepted)
    return rows[CURVE].merge(theirs, on=CURVE, how="left")


def both_curves(run: RunRow, points: pd.DataFrame, other: Variant) -> None:
    """Offer the numbers of two curves, point by point.

    Args:
        run: The run.
        points: Its points of one curve.
        other: The compared variant.
    """
    words = tolerance.words_of(run.quantity)
    both = side_by_side(points, session.points(other.run))
    mine = present_name(run, other.field)
    shown = pd.DataFrame({"removed": both["ratio_achieved"] * 100, "kept": both["kept"]})
    ends = ((mine, ""), (other.name, "_beside"))
    for what in ("accuracy_drop", "drop_low", "drop_high"):
        for name, end in ends:
            column = f"{NAMES.get(what, words.drop_noun)}, {name}"
            shown[column] = formatting.drop_column(both[f"{what}{end}"], words)
    drops = st.column_config.NumberColumn(format=formatting.drop_format(words))
    charts.as_table(
        shown,
        key="curves_both",
        file_name=f"beside-{run.run_id}",
        column_config={
            "removed": st.column_config.NumberColumn(format="%.1f %%"),
            **dict.fromkeys(shown.columns[2:], drops),
        },
    )


def _pick_row(shown: pd.DataFrame) -> None:
    rows = st.session_state["curves_table"]["selection"]["rows"]
    if rows:
        url_state.put("layer", str(shown["layer"].iloc[rows[0]]))


def _open_row(shown: pd.DataFrame) -> None:
    rows = st.session_state["curves_blocks"]["selection"]["rows"]
    if rows:
        url_state.put("block", str(shown["layer"].iloc[rows[0]]))
