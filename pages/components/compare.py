"""The Compare page: who is best or tied where, and do criteria remove the same channels?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from analysis import comparison, figures
from analysis.curves import blocks_of, curves, is_known, layer_order
from analysis.records import RunRow
from analysis.snippets import compare_criteria
from pages.components.state import Session, session, subject_cache, tolerance, url_state
from pages.components.widgets import (
    charts,
    code,
    formatting,
    guarded,
    job,
    refreshed,
    ribbon,
    variant_switch,
)
from pruners.criteria import label_of

# Criteria whose pairs one chart can show apart.
PAIRED = 4
PANELS = 12


def draw(current: Session) -> None:
    """Draw the page."""
    run = current.run
    assert run is not None
    code.offer(compare_criteria(run.run_id, _tolerance(run), session.named_workspace()))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tolerance.ask(run.quantity, width=150, help="that you accept.")
        view = url_state.choice("compare", "View", list(url_state.COMPARE_VIEWS), kind="segmented")
        found = variant_switch.draw(current)
    variant_switch.say_gaps(run, found)
    if view == "Removed channels":
        with guarded("The agreement cannot be computed"):
            _agreement(run)
        return
    refreshed(
        _measured,
        run.run_id,
        current.is_live,
        str(view),
        every=2.0 if current.is_live else None,
        title="The criteria cannot be compared",
    )


def _measured(run_id: str, was_live: bool, view: str) -> None:
    run = session.store().runs.get(run_id)
    if was_live and not run.is_live:
        st.rerun()
    points = session.points(run)
    if points.empty:
        st.caption(job.nothing_yet(run))
        return
    if was_live:
        st.caption(f"{job.badge(run)} {job.line(run)}.")
    reasons = comparison.comparability(points)
    if reasons:
        ribbon(f"Not comparable yet: {'; '.join(reasons)}.", icon="balance")
        return
    if view == "Best or tied":
        _wins(run, points)
    else:
        _panels(run, points)


def _tolerance(run: RunRow) -> float:
    return tolerance.accepted(run.quantity)


def _wins(run: RunRow, points: pd.DataFrame) -> None:
    wins = comparison.win_matrix(points, tolerance=_tolerance(run))
    table = comparison.summary(points, tolerance=_tolerance(run))
    words = tolerance.words_of(run.quantity)
    many = len(table) > charts.SERIES
    # Many criteria need the whole width.
    left, right = (st.container(), st.container()) if many else charts.beside(1, 1)
    with left:
        st.subheader("Best or tied per layer", anchor=False)
        charts.show(
            figures.win_matrix_chart(_in_block(wins), theme=charts.theme()),
            key="compare_wins",
            on_pick=_pick,
            file_name=f"best-or-tied-{run.run_id}",
        )
        st.caption("Each cell: the ratio that the layer tolerates by the criterion.")
        charts.as_table(
            _labelled(wins), key="compare_wins_table", file_name=f"best-or-tied-{run.run_id}"
        )
    with right:
        st.subheader("Summary", anchor=False)
        bars, numbers = st.columns(2, gap="medium") if many else (st.container(), st.container())
        with bars:
            charts.show(
                figures.criteria_chart(table, theme=charts.theme()),
                key="compare_summary",
                file_name=f"criteria-{run.run_id}",
            )
        with numbers:
            st.dataframe(
                table.assign(
                    criterion=table["criterion"].map(label_of),
                    mean_drop=formatting.drop_column(table["mean_drop"], words),
                    mean_tolerated=table["mean_tolerated"] * 100,
                ),
                hide_index=True,
                height="content",
                key="compare_table",
                column_config={
                    **SUMMARY,
                    "mean_drop": st.column_config.NumberColumn(
                        f"Mean {words.drop_noun}", format=formatting.drop_format(words)
                    ),
                },
                column_order=["criterion", "mean_tolerated", "mean_drop", "seconds"],
            )
        st.caption(
            "Best: surely more than every other. Tied: no other is surely more. "
            f"Mean {words.drop_noun}: area under the curves, weighted by layer size; lower is "
            "better."
        )


SUMMARY: dict[str, Any] = {
    "criterion": st.column_config.TextColumn("Criterion", pinned=True, width=140),
    "layers": "Layers",
    "mean_tolerated": st.column_config.NumberColumn("Mean tolerated", format="%.1f %%"),
    "best": "Best",
    "tied": "Tied",
    "worse": "Worse",
    "missing": "Not measured",
    "seconds": st.column_config.NumberColumn(
        "Measured in", format="%.1f s", help="Time that its points took on their worker."
    ),
}


def _in_block(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one block of a deep network, and ask which; else all of them."""
    blocks = blocks_of(list(dict.fromkeys(rows["layer"])))
    names = list(dict.fromkeys(blocks.values()))
    if len(names) == len(blocks):
        return rows
    sizes = Counter(blocks.values())
    # The largest first: it is what opens the page.
    names.sort(key=lambda name: -sizes[name])
    chosen = url_state.choice(
        "block",
        "Block",
        names,
        format_func=lambda name: f"{name} ({formatting.plural(sizes[name], 'group')})",
        width=340,
    )
    shown = chosen if chosen in names else names[0]
    return rows[rows["layer"].map(blocks) == shown]


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with what pages call its criteria."""
    columns = [name for name in ("criterion", "first", "second") if name in table]
    return table.assign(**{name: table[name].map(label_of) for name in columns})


def _panels(run: RunRow, points: pd.DataFrame) -> None:
    layers = layer_order(points)
    chosen = st.multiselect(
        "Layers",
        layers,
        default=layers[:PANELS],
        key="compare_layers",
        max_selections=24,
        persist_state="session",
    )
    chosen = chosen or layers[:PANELS]
    names = _criteria(run, most=charts.SERIES)
    shown = points[points["criterion"].isin(names) & points["layer"].isin(chosen)]
    charts.show(
        figures.small_multiples(
            shown,
            layers=chosen,
            task=run.quantity,
            tolerance=_tolerance(run),
            criteria=charts.series(run.spec.criteria, names),
            zoom=charts.is_zoomed(),
            theme=charts.theme(),
        ),
        key="compare_panels",
        file_name=f"layers-{run.run_id}",
    )
    accepted, task = _tolerance(run), run.quantity
    words = tolerance.words_of(task)
    drawn = [curve for _, curve in curves(shown[is_known(shown)])]
    cut = figures.clipped_text(drawn, tolerance=accepted, task=task) if charts.is_zoomed() else ""
    charts.reach_switch(
        f"{len(chosen)} of {formatting.plural(len(layers), 'layer')} shown. "
        f"{words.sign_of_loss} Bands are 95 % intervals{cut and f'; {cut}'}."
    )


def _criteria(run: RunRow, *, most: int) -> list[str]:
    """Ask which criteria to draw where a chart cannot show all of the run apart."""
    names = list(run.spec.criteria)
    if len(names) <= most:
        return names
    leaders = comparison.leading(session.tolerated(run, tolerance=_tolerance(run)), most=most)
    chosen = st.multiselect(
        "Criteria",
        names,
        default=leaders or names[:most],
        format_func=label_of,
        max_selections=most,
        key=f"compare_criteria_{run.run_id}_{most}",
        help=f"At most {most} of {len(names)} can be told apart in one chart. At first those that "
        "tolerate most on average.",
        persist_state="session",
    )
    return chosen or leaders


def _pick(values: Sequence[Any]) -> None:
    url_state.put("layer", str(values[0]))


def _agreement(run: RunRow) -> None:
    ratio = st.select_slider(
        "Ratio removed",
        list(run.spec.ratios),
        value=run.spec.ratios[len(run.spec.ratios) // 2],
        format_func=lambda value: formatting.percent(value, digits=0),
        key="compare_ratio",
        persist_state="session",
    )
    subject = session.loaded(run.spec.subject)
    run.require(subject.identity)
    with st.spinner("Scoring every layer by every criterion"):
        pairs = subject_cache.agreement(subject, run.spec, ratio=float(ratio))
    if pairs.empty:
        st.info("No layer was scored by two criteria.", icon=":material/info:")
        return
    many = len(run.spec.criteria) > charts.SERIES
    left, right = (st.container(), st.container()) if many else charts.beside(2, 3)
    with left:
        st.subheader("Same channels?", anchor=False)
        charts.show(
            figures.agreement_chart(comparison.agreement_matrix(pairs), theme=charts.theme()),
            key="compare_agreement",
            file_name=f"agreement-{run.run_id}",
        )
        st.caption("1: both remove the same; 0: nothing in common. Mean over the layers.")
    with right:
        st.subheader("Layer by layer", anchor=False)
        names = _criteria(run, most=PAIRED)
        shown = pairs[pairs["first"].isin(names) & pairs["second"].isin(names)]
        charts.show(
            figures.layer_agreement_chart(_in_block(shown), theme=charts.theme()),
            key="compare_agreement_layers",
            on_pick=_pick,
            file_name=f"agreement-layers-{run.run_id}",
        )
    charts.as_table(_labelled(pairs), key="compare_pairs", file_name=f"agreement-{run.run_id}")
