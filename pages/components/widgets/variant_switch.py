"""The switch between variants of one sweep: the repairs of a point, the semantics of a channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import streamlit as st

from analysis import comparison
from analysis.comparison import SETTINGS, Variant
from analysis.records import RunRow
from analysis.worker import launch
from pages.components.state import Session, session, url_state
from pages.components.widgets.states import guarded

NOTHING = "nothing"


def draw(current: Session) -> list[Variant]:
    """Draw a control a setting and return the run's variants that the workspace has.

    A choice that was measured opens its run; another one is offered to be measured.
    """
    run = current.run
    assert run is not None
    found = comparison.siblings(run, current.store.runs.all())
    for field in SETTINGS:
        _switch(current, run, field, found)
    return found


def _switch(current: Session, run: RunRow, field: str, found: Sequence[Variant]) -> None:
    setting, names = SETTINGS[field], comparison.choices(run.spec, field)
    if len(names) < 2:
        return
    present = getattr(run.spec, field)
    chosen = st.segmented_control(
        setting.question,
        names,
        default=present,
        required=True,
        format_func=lambda name: setting.labels[name],
        key=f"{field}_{run.run_id}",
        help="  \n".join(f"**{setting.labels[name]}**: {setting.help[name]}" for name in names),
    )
    if chosen == present:
        return
    spec = comparison.with_value(run.spec, field, str(chosen))
    for variant in found:
        if variant.field == field and getattr(variant.run.spec, field) == chosen:
            url_state.put("run", variant.run.run_id)
            st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        name = comparison.label(spec, field)
        st.markdown(f"No run of this sweep yet: **{name}**.", width="content")
        if st.button("Measure it", icon=":material/play_arrow:", key=f"{field}_start"):
            with guarded("The sweep cannot be started"):
                url_state.put("run", launch.start_sweep(current.store, spec, roots=session.roots()))
                st.rerun()


def say_gaps(run: RunRow, found: Sequence[Variant]) -> None:
    """Say how far the run and each of its variants are apart."""
    points = session.points(run)
    said = [
        comparison.gap_sentence(run.spec, points, variant, session.points(variant.run))
        for variant in found
    ]
    if any(said):
        st.caption("  \n".join(f":material/compare_arrows: {text}" for text in said if text))


def choose_compared(found: Sequence[Variant]) -> None:
    """Ask which variant the run is compared with; nothing to ask without any."""
    if found:
        url_state.choice(
            "beside",
            "Drawn beside",
            [*(variant.name for variant in found), NOTHING],
            format_func=str.capitalize,
            help="A second curve: the chosen criterion in another run of this sweep.",
        )


def compared_variant(found: Sequence[Variant]) -> Variant | None:
    """Return the variant that the run is compared with, as the store has it now."""
    chosen = url_state.value("beside")
    if not found or chosen == NOTHING:
        return None
    variant = next((item for item in found if item.name == chosen), found[0])
    return dataclasses.replace(variant, run=session.store().runs.get(variant.run.run_id))


def is_live(found: Sequence[Variant]) -> bool:
    """Return whether one of the variants is still being measured."""
    return any(session.store().runs.get(variant.run.run_id).is_live for variant in found)
