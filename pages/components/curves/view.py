"""The Curves page: one filter bar, four views of the same points, one layer in focus."""

from __future__ import annotations

import fnmatch
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analysis import comparison, figures
from analysis.comparison import Advice, Variant, advise, leading
from analysis.curves import add_not_prunable, criteria_of, layer_order, metrics, resolution
from analysis.records import RunRow
from analysis.snippets import read_curves
from pages.components.curves import table as curves_table
from pages.components.state import Session, session, subject_cache, tolerance, url_state
from pages.components.widgets import charts, code, formatting, job, refreshed, variant_switch
from pruners.criteria import CRITERIA

VIEWS = ("Curves", "Matrix", "Ranking", "Opportunities")
SHOWN = 6
ADVICE = 3
ADVICE_ICONS = {"first": "flag", "careful": "front_hand", "criterion": "compare"}


def draw(current: Session) -> None:
    """Draw the page; while the sweep runs it is redrawn when new batches arrive."""
    run = current.run
    assert run is not None
    code.offer(read_curves(run.run_id, _tolerance(run), session.named_workspace()))
    names = list(run.spec.criteria)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        url_state.choice("view", "View", list(VIEWS), kind="segmented")
        found = variant_switch.draw(current)
        url_state.choice(
            "criterion",
            "Criterion",
            names,
            kind="segmented" if len(names) <= charts.SEGMENTS else "selectbox",
            format_func=lambda name: CRITERIA.get(name).label,
            width="content" if len(names) <= charts.SEGMENTS else 260,
        )
        known = metrics(run.spec.subject.task)
        url_state.choice(
            "metric",
            "Metric",
            list(known),
            format_func=lambda name: known[name].label.capitalize(),
            width=230,
        )
        tolerance.ask(run.spec.subject.task, width=150, help="that you accept.")
        url_state.text("layers", "Layers", placeholder="such as layer3.*", width=180)
    variant_switch.say_gaps(run, found)
    is_live = current.is_live or variant_switch.is_live(found)
    refreshed(
        _views,
        run.run_id,
        found,
        is_live,
        every=1.0 if is_live else None,
        title="The curves cannot be drawn",
    )


def _views(run_id: str, found: Sequence[Variant], was_live: bool) -> None:
    run = session.store().runs.get(run_id)
    other = variant_switch.compared_variant(found)
    if was_live and not (run.is_live or variant_switch.is_live(found)):
        st.rerun()
    points = session.points(run)
    if points.empty:
        st.caption(job.nothing_yet(run))
        if run.is_live:
            st.skeleton(height=360)
        return
    if run.is_live:
        st.caption(f"{job.badge(run)} {job.line(run)}. Curves sharpen with every batch.")
    chosen = _filtered(points)
    if chosen.empty:
        st.info(
            f"No layer matches `{url_state.value('layers')}`.", icon=":material/filter_list_off:"
        )
        st.button("Clear filter", on_click=_clear_filter)
        return
    _advice(run, chosen)
    main, side = st.columns([3, 2], gap="medium")
    table = session.tolerated(run, tolerance=_tolerance(run))
    shown = table[table["layer"].isin(set(chosen["layer"]))]
    with main:
        _view(run, chosen, shown, other)
    with side:
        _focus(run, points, table, found)
    curves_table.draw(run, chosen, shown, criterion=_criterion(chosen), other=other)


def _filtered(points: pd.DataFrame) -> pd.DataFrame:
    pattern = str(url_state.value("layers")).strip()
    if not pattern:
        return points
    wanted = pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    layers = [name for name in layer_order(points) if fnmatch.fnmatchcase(name, wanted)]
    return points[points["layer"].isin(layers)]


def _clear_filter() -> None:
    url_state.put("layers", "")


def _criterion(points: pd.DataFrame) -> str:
    names = criteria_of(points)
    chosen = url_state.value("criterion")
    return str(chosen if chosen in names else names[0])


def _tolerance(run: RunRow) -> float:
    return tolerance.accepted(run.spec.subject.task)


def _metric(run: RunRow) -> str:
    known = metrics(run.spec.subject.task)
    chosen = str(url_state.value("metric"))
    return chosen if chosen in known else next(iter(known))


def focus_layer(points: pd.DataFrame) -> str:
    """Return the layer in focus; the first one if none was picked."""
    layers = layer_order(points)
    return url_state.value("layer") if url_state.value("layer") in layers else layers[0]


def _pick(values: Sequence[Any]) -> None:
    url_state.put("layer", str(values[0]))


def _highlighted(points: pd.DataFrame, table: pd.DataFrame, criterion: str) -> list[str]:
    """Return the layer in focus and the most fragile ones, for colour."""
    rows = table[table["criterion"] == criterion].sort_values("tolerated", kind="stable")
    focus = focus_layer(points)
    others = [str(name) for name in rows["layer"] if name != focus]
    return [focus, *others[: SHOWN - 1]]


def _view(run: RunRow, points: pd.DataFrame, table: pd.DataFrame, other: Variant | None) -> None:
    view, criterion = str(url_state.value("view")), _criterion(points)
    figure = charts.kept(
        lambda: _figure(run, points, table, other),
        "curves",
        *session.stamp(run),
        view,
        criterion,
        _metric(run),
        _tolerance(run),
        focus_layer(points),
        url_state.value("layers"),
        session.identity(run.spec.subject),
        _stamp(other),
    )
    charts.show(figure, key=f"curves_{view}", on_pick=_pick, file_name=f"{view}-{run.run_id}")
    if view == "Curves":
        words = tolerance.words_of(run.spec.subject.task)
        st.caption(
            f"Colour: the layer in focus and the {SHOWN - 1} most fragile; grey: all others. "
            f"Bands are 95 % intervals; drops under about "
            f"{formatting.size_of_drop(resolution(points), words)} cannot be told from none."
            + (f" Thin, with hollow marks: {focus_layer(points)}, {other.name}." if other else "")
        )


def _stamp(other: Variant | None) -> Hashable:
    return other and (other.name, *session.stamp(other.run))


def _compared_curves(
    run: RunRow, other: Variant | None, *, layer: str, criterion: str
) -> figures.ComparedCurves | None:
    """Return the one curve that is drawn beside a chart's own: more would be a tangle."""
    if other is None:
        return None
    points = session.points(other.run)
    return figures.ComparedCurves(
        points[(points["layer"] == layer) & (points["criterion"] == criterion)],
        name=other.name,
        present=comparison.label(run.spec, other.field),
    )


def _figure(
    run: RunRow, points: pd.DataFrame, table: pd.DataFrame, other: Variant | None
) -> go.Figure:
    criterion, theme, view = _criterion(points), charts.theme(), url_state.value("view")
    metric, accepted = _metric(run), _tolerance(run)
    if view == "Curves":
        return figures.sensitivity_curves(
            points,
            criterion=criterion,
            highlight=_highlighted(points, table, criterion),
            metric_name=metric,
            task=run.spec.subject.task,
            tolerance=accepted,
            compared=_compared_curves(run, other, layer=focus_layer(points), criterion=criterion),
            theme=theme,
        )
    if view == "Matrix":
        return figures.sensitivity_matrix(
            points,
            criterion=criterion,
            metric_name=metric,
            task=run.spec.subject.task,
            tolerance=accepted,
            theme=theme,
        )
    if view == "Ranking":
        complete = add_not_prunable(table, _reasons(run))
        return figures.ranking(complete, criterion=criterion, theme=theme)
    shares, sizes = _sizes(run)
    return figures.opportunity(table, criterion=criterion, shares=shares, sizes=sizes, theme=theme)


def _advice(run: RunRow, points: pd.DataFrame) -> None:
    """Say what the curves say to do first, each sentence with its evidence."""
    shares, _ = _sizes(run)
    key = (*session.stamp(run), url_state.value("layers"), bool(shares))
    said = _advised(key, _tolerance(run), run.spec.subject.task, points, shares)[:ADVICE]
    if not said:
        return
    # The first sentence in sight, so that the curves are, too.
    lines = [f":material/{ADVICE_ICONS.get(item.kind, 'lightbulb')}: {item.text}" for item in said]
    with st.expander(lines[0], key="curves_advice"):
        st.markdown("  \n".join(lines[1:] or ["Nothing else stands out."]))


@st.cache_data(max_entries=32, show_spinner=False)
def _advised(
    key: tuple[Hashable, ...],
    tolerance: float,
    task: str,
    _points: pd.DataFrame,
    _shares: dict[str, float],
) -> list[Advice]:
    return advise(_points, tolerance=tolerance, shares=_shares, task=task)


def _reasons(run: RunRow) -> dict[str, str]:
    return subject_cache.not_prunable(run.spec.subject, run.spec.granularity)


def _sizes(run: RunRow) -> tuple[dict[str, float], dict[str, int]]:
    return subject_cache.shares(run.spec.subject)


def _focus(
    run: RunRow, points: pd.DataFrame, table: pd.DataFrame, found: Sequence[Variant]
) -> None:
    layers = layer_order(points)
    with st.container(border=True):
        with st.container(horizontal=True):
            url_state.choice("layer", "Layer in focus", layers)
            variant_switch.choose_compared(found)
        other = variant_switch.compared_variant(found)
        layer = focus_layer(points)
        metric, accepted = _metric(run), _tolerance(run)
        rows = table[table["layer"] == layer]
        names = leading(rows, most=charts.SERIES, first=(_criterion(points),))
        compared = _compared_curves(run, other, layer=layer, criterion=_criterion(points))
        figure = charts.kept(
            lambda: figures.focus_curves(
                points[points["criterion"].isin(names)],
                layer=layer,
                metric_name=metric,
                task=run.spec.subject.task,
                tolerance=accepted,
                criteria=charts.series(run.spec.criteria, names),
                compared=compared,
                theme=charts.theme(),
            ),
            "focus",
            *session.stamp(run),
            layer,
            metric,
            accepted,
            *names,
            _stamp(other),
        )
        charts.show(figure, key="curves_focus", file_name=f"{layer}-{run.run_id}")
        for row in rows[rows["criterion"].isin(names)].to_dict("records"):
            st.markdown(_sentence(row, compared.present if compared else ""))
        if other is not None:
            _say_compared(run, points[points["layer"] == layer], _criterion(points), other)
        if len(names) < len(rows):
            st.caption(
                f"The chosen criterion and those that tolerate most here, of {len(rows)}; "
                "Compare shows all."
            )


def _say_compared(run: RunRow, points: pd.DataFrame, criterion: str, other: Variant) -> None:
    """Say what the layer in focus tolerates in the variant, and offer both point by point."""
    table = session.tolerated(other.run, tolerance=_tolerance(run))
    same = table["layer"].isin(points["layer"]) & (table["criterion"] == criterion)
    for row in table[same].to_dict("records"):
        st.markdown(_sentence(row, other.name))
    curves_table.both_curves(run, points[points["criterion"] == criterion], other)


def _sentence(row: dict[Any, Any], which: str) -> str:
    name = f"**{CRITERIA.get(str(row['criterion'])).label}**"
    if row["status"] != "measured":
        return f"{name}: {row['reason']}"
    end = ", the end of the grid" if row["open_end"] else ""
    return (
        f"{name}{which and f', {which},'} tolerates "
        f"**{formatting.percent(row['tolerated'], digits=1)}** "
        f"({formatting.percent_range(row['low'], row['high'], digits=1)}){end}; "
        f"{formatting.thousands(row['kept'])} of {formatting.thousands(row['total'])} stay"
    )
