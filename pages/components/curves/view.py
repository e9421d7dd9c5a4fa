"""The Curves page: one filter bar, five views of the same points, one layer in focus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analysis import figures
from analysis.comparison import Advice, Variant, advise
from analysis.curves import (
    DROP,
    add_not_prunable,
    criteria_of,
    fold_points,
    fold_tolerated,
    metrics,
    not_prunable,
    resolution,
)
from analysis.records import RunRow
from analysis.sentences import capital
from analysis.snippets import read_curves
from pages.components.curves import blocks, focus
from pages.components.curves import table as curves_table
from pages.components.state import Session, session, tolerance, url_state
from pages.components.widgets import (
    charts,
    code,
    formatting,
    job,
    network,
    refreshed,
    variant_switch,
)
from pruners.criteria import label_of

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
        url_state.choice("view", "View", list(url_state.CURVE_VIEWS), kind="segmented")
        found = variant_switch.draw(current)
        url_state.choice(
            "criterion",
            "Criterion",
            names,
            kind="segmented" if len(names) <= charts.SEGMENTS else "selectbox",
            format_func=label_of,
            width="content" if len(names) <= charts.SEGMENTS else 260,
        )
        known = metrics(run.quantity)
        url_state.choice(
            "metric",
            "Metric",
            list(known),
            format_func=lambda name: capital(known[name].label),
            width=230,
        )
        tolerance.ask(run.quantity, width=150, help="that you accept.")
        url_state.text(
            "layers",
            "Layers",
            placeholder="such as layer3.*",
            width=180,
            help="A part of a name, or a pattern: \\* stands for anything, ? for one letter.",
        )
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
    chosen = blocks.filtered(points)
    if chosen.empty:
        blocks.say_nothing_matches()
        return
    _advice(run, chosen)
    folded = blocks.draw(points, chosen)
    main, side = charts.beside(3, 2)
    table = session.tolerated(run, tolerance=_tolerance(run))
    shown = table[table["layer"].isin(set(chosen["layer"]))]
    with main:
        _view(run, chosen, shown, other, folded)
    with side:
        focus.draw(run, points, table, found, criterion=_criterion(points))
    criterion = _criterion(chosen)
    if folded:
        curves_table.draw_blocks(run, fold_tolerated(shown, folded), criterion=criterion)
    else:
        curves_table.draw(run, chosen, shown, criterion=criterion, other=other)
    curves_table.offer_points(run, chosen)


def _criterion(points: pd.DataFrame) -> str:
    names = criteria_of(points)
    chosen = url_state.value("criterion")
    return str(chosen if chosen in names else names[0])


def _tolerance(run: RunRow) -> float:
    return tolerance.accepted(run.quantity)


def _pick(layers: Collection[str]) -> Callable[[Sequence[Any]], None]:
    """Return what a click does: a block is opened, a layer comes into focus."""

    def picked(values: Sequence[Any]) -> None:
        name = str(values[0])
        url_state.put("layer" if name in layers else "block", name)

    return picked


def _highlighted(points: pd.DataFrame, table: pd.DataFrame, criterion: str) -> list[str]:
    """Return the layer in focus and the most fragile ones, for colour."""
    rows = table[table["criterion"] == criterion].sort_values("tolerated", kind="stable")
    chosen = focus.layer_of(points)
    others = [str(name) for name in rows["layer"] if name != chosen]
    return [chosen, *others[: SHOWN - 1]]


def _view(
    run: RunRow,
    points: pd.DataFrame,
    table: pd.DataFrame,
    other: Variant | None,
    folded: Mapping[str, str],
) -> None:
    view, criterion = str(url_state.value("view")), _criterion(points)
    figure = charts.kept(
        lambda: _figure(run, points, table, other, folded),
        "curves",
        *session.stamp(run),
        view,
        criterion,
        focus.metric_of(run),
        _tolerance(run),
        focus.layer_of(session.points(run)),
        url_state.value("layers"),
        url_state.value("block"),
        url_state.value("reach"),
        session.inventory(run) is None,
        focus.stamp(other),
    )
    file_name, every = f"{view}-{run.run_id}", set(session.points(run)["layer"])
    charts.show(figure, key=f"curves_{view}", on_pick=_pick(every), file_name=file_name)
    text = _explanation(run, points, other, folded)
    if view in ("Curves", "Matrix") and focus.metric_of(run) == DROP:
        charts.reach_switch(text)
    else:
        st.caption(text)


def _explanation(
    run: RunRow, points: pd.DataFrame, other: Variant | None, folded: Mapping[str, str]
) -> str:
    """Say how to read the chart."""
    view, words = url_state.value("view"), tolerance.words_of(run.quantity)
    layer = focus.layer_of(points)
    # Of a drop alone; other metrics have a sign that everybody knows.
    sign = words.sign_of_loss if focus.metric_of(run) == DROP else ""
    if view == "Curves":
        smallest = formatting.drop(resolution(points), words)
        beside = (
            f" Thin, with hollow marks: {formatting.escaped(f'{layer}, {other.name}')}."
            if other
            else ""
        )
        certain = (
            f"Bands are 95 % intervals; {words.drop_noun}s under about {smallest} cannot be told "
            "from none."
            if smallest != formatting.DASH
            else "No bands: the file has no counts that intervals could come from."
        )
        return (
            f"{sign} Colour: the layer in focus, broad, and the {SHOWN - 1} "
            f"most fragile; each layer keeps its colour. {certain}{beside}"
        ).strip()
    if view == "Matrix":
        rows = (
            f"A row is a block, with the {words.drop_noun} of its group that loses most; behind "
            "its name the number of groups. A click opens it."
            if folded
            else "A row is a group of layers, in execution order; a click brings it into focus."
        )
        return f"{rows} {sign}".strip()
    if view == "Ranking":
        rows = (
            "A row is a block, from its least to its most tolerant group; a click opens it."
            if folded
            else "Rank 1 tolerates most. Groups whose intervals overlap are tied: they share ranks."
        )
        return f"Tolerated: the largest fraction that costs no more than the tolerance. {rows}"
    if view == "Map":
        return network.EXPLANATION
    return (
        "Height: the share of the parameters that removing the whole group saves, with the weights "
        "that read it; area of a bubble: likewise its share of the MACs. Neighbours share weights, "
        "so that shares do not add up. Names are left out where they would cover each other; "
        "hovering names all."
    )


def _figure(
    run: RunRow,
    points: pd.DataFrame,
    table: pd.DataFrame,
    other: Variant | None,
    folded: Mapping[str, str],
) -> go.Figure:
    criterion, theme, view = _criterion(points), charts.theme(), url_state.value("view")
    metric, accepted = focus.metric_of(run), _tolerance(run)
    if view == "Curves":
        return figures.sensitivity_curves(
            points,
            criterion=criterion,
            highlight=_highlighted(points, table, criterion),
            focus=focus.layer_of(points),
            metric_name=metric,
            task=run.quantity,
            tolerance=accepted,
            compared=focus.compared_curves(
                run, other, layer=focus.layer_of(points), criterion=criterion
            ),
            order=session.layer_places(run),
            zoom=charts.is_zoomed(),
            theme=theme,
        )
    if view == "Matrix":
        return figures.sensitivity_matrix(
            fold_points(points, folded) if folded else points,
            criterion=criterion,
            metric_name=metric,
            task=run.quantity,
            tolerance=accepted,
            notes=blocks.counts(folded),
            zoom=charts.is_zoomed(),
            theme=theme,
        )
    if view == "Ranking" and folded:
        return figures.block_ranking(
            fold_tolerated(table, folded), criterion=criterion, theme=theme
        )
    if view == "Ranking":
        complete = add_not_prunable(table, _reasons(run))
        return figures.ranking(complete, criterion=criterion, theme=theme)
    if view == "Map":
        # The whole network, also where the other views show a part of it.
        every = session.tolerated(run, tolerance=accepted)
        rows = every[every["criterion"] == criterion]
        return network.figure(
            session.inventory(run),
            session.groups(run),
            dict(zip(rows["layer"], rows["tolerated"], strict=True)),
            focus=focus.layer_of(session.points(run)),
            label="tolerated",
        )
    return figures.opportunity(table, criterion=criterion, sizes=session.groups(run), theme=theme)


def _advice(run: RunRow, points: pd.DataFrame) -> None:
    """Say what the curves say to do first, each sentence with its evidence."""
    shares = {name: item.params for name, item in session.groups(run).items()}
    filters = (url_state.value("layers"), url_state.value("block"))
    key = (*session.stamp(run), *filters, bool(shares))
    said = _advised(key, _tolerance(run), run.quantity, points, shares)[:ADVICE]
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
    """Return why layers cannot be pruned, where the view is of all of them."""
    found = session.inventory(run)
    is_filtered = url_state.value("layers") or url_state.value("block") not in ("", blocks.EVERY)
    if found is None or is_filtered or run.spec.granularity != "channel":
        return {}
    return not_prunable(found)
