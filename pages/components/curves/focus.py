"""The panel of one layer: its curves by every criterion, its group, what it tolerates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from analysis import comparison, figures
from analysis.comparison import Variant, leading
from analysis.curves import layer_order, metrics
from analysis.records import RunRow
from pages.components.curves import table as curves_table
from pages.components.state import session, tolerance, url_state
from pages.components.widgets import charts, formatting, group_caption, variant_switch
from pruners.criteria import label_of


def layer_of(points: pd.DataFrame) -> str:
    """Return the layer in focus; the first one if none was picked."""
    layers = layer_order(points)
    return url_state.value("layer") if url_state.value("layer") in layers else layers[0]


def metric_of(run: RunRow) -> str:
    """Return the metric that the charts show."""
    known = metrics(run.quantity)
    chosen = str(url_state.value("metric"))
    return chosen if chosen in known else next(iter(known))


def stamp(other: Variant | None) -> Hashable:
    """Return what changes whenever the compared curves do."""
    return other and (other.name, *session.stamp(other.run))


def compared_curves(
    run: RunRow, other: Variant | None, *, layer: str, criterion: str
) -> figures.ComparedCurves | None:
    """Return the one curve that is drawn beside a chart's own: more would be a tangle."""
    if other is None:
        return None
    points = session.points(other.run)
    if metrics(run.quantity)[metric_of(run)].column not in points:
        return None
    return figures.ComparedCurves(
        points[(points["layer"] == layer) & (points["criterion"] == criterion)],
        name=other.name,
        present=comparison.present_name(run, other.field),
    )


def draw(
    run: RunRow,
    points: pd.DataFrame,
    table: pd.DataFrame,
    found: Sequence[Variant],
    *,
    criterion: str,
) -> None:
    """Draw the panel.

    Args:
        run: The run.
        points: All its points.
        table: What its layers tolerate.
        found: Its variants.
        criterion: The chosen criterion.
    """
    layers = layer_order(points)
    with st.container(border=True):
        with st.container(horizontal=True):
            url_state.choice("layer", "Layer in focus", layers)
            variant_switch.choose_compared(found)
        other = variant_switch.compared_variant(found)
        layer = layer_of(points)
        metric, accepted = metric_of(run), tolerance.accepted(run.quantity)
        rows = table[table["layer"] == layer]
        names = leading(rows, most=charts.SERIES, first=(criterion,))
        compared = compared_curves(run, other, layer=layer, criterion=criterion)
        figure = charts.kept(
            lambda: figures.focus_curves(
                points[points["criterion"].isin(names)],
                layer=layer,
                metric_name=metric,
                task=run.quantity,
                tolerance=accepted,
                criteria=charts.series(run.spec.criteria, names),
                compared=compared,
                zoom=charts.is_zoomed(),
                theme=charts.theme(),
            ),
            "focus",
            *session.stamp(run),
            layer,
            criterion,
            metric,
            accepted,
            *names,
            charts.is_zoomed(),
            stamp(other),
        )
        group_caption(session.groups(run).get(layer), run.spec.granularity)
        charts.show(figure, key="curves_focus", file_name=f"{layer}-{run.run_id}")
        for row in rows[rows["criterion"].isin(names)].to_dict("records"):
            st.markdown(_sentence(row, formatting.escaped(compared.present if compared else "")))
        if other is not None:
            _say_compared(run, points[points["layer"] == layer], criterion, other)
        if len(names) < len(rows):
            st.caption(
                f"The chosen criterion and those that tolerate most here, of {len(rows)}; "
                "Compare shows all."
            )


def _say_compared(run: RunRow, points: pd.DataFrame, criterion: str, other: Variant) -> None:
    """Say what the layer in focus tolerates in the variant, and offer both point by point."""
    table = session.tolerated(other.run, tolerance=tolerance.accepted(run.quantity))
    same = table["layer"].isin(points["layer"]) & (table["criterion"] == criterion)
    for row in table[same].to_dict("records"):
        st.markdown(_sentence(row, formatting.escaped(other.name)))
    if other.field != comparison.SOURCE:
        curves_table.both_curves(run, points[points["criterion"] == criterion], other)


def _sentence(row: dict[Any, Any], which: str) -> str:
    name = f"**{label_of(str(row['criterion']))}**"
    if row["status"] != "measured":
        return f"{name}: {row['reason']}"
    end = ", the end of the grid" if row["open_end"] else ""
    # Imported curves may have neither.
    has_interval = row["low"] == row["low"]
    interval = f" ({formatting.percent_range(row['low'], row['high'], digits=1)})"
    interval = interval if has_interval else ""
    counts = f"{formatting.thousands(row['kept'])} of {formatting.thousands(row['total'])}"
    stay = f"; {counts} stay" if row["total"] else ""
    return (
        f"{name}{which and f', {which},'} tolerates "
        f"**{formatting.percent(row['tolerated'], digits=1)}**{interval}{end}{stay}"
    )
