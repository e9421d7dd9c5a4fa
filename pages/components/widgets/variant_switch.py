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

    Only what was measured can be chosen, and opens its run; the rest is offered to be measured.
    """
    run = current.run
    assert run is not None
    runs = current.store.runs.all()
    others = [item for item in comparison.beside(run, runs) if _share_layers(run, item.run)]
    if run.source is not None:
        return others
    found = comparison.siblings(run, runs)
    missing = [(field, value) for field in SETTINGS for value in _switch(run, field, found)]
    if missing:
        _offer(current, run, missing)
    return [*found, *others]


def _share_layers(run: RunRow, other: RunRow) -> bool:
    """Say whether they may be of one network: every other one has a ``conv1``."""
    mine, its = (set(session.points(row)["layer"]) for row in (run, other))
    return 2 * len(mine & its) > min(len(mine), len(its))


def _switch(run: RunRow, field: str, found: Sequence[Variant]) -> list[str]:
    """Ask which of the measured variants is shown; return those that were not measured."""
    setting, names = SETTINGS[field], comparison.choices(run.spec, field)
    present = getattr(run.spec, field)
    runs = {
        getattr(variant.run.spec, field): variant.run.run_id
        for variant in found
        if variant.field == field
    }
    runs[present] = run.run_id
    measured = [name for name in names if name in runs]
    if len(measured) > 1:
        chosen = st.segmented_control(
            setting.question,
            measured,
            default=present,
            required=True,
            format_func=lambda name: setting.labels[name],
            key=f"{field}_{run.run_id}",
            help="  \n".join(f"**{setting.labels[name]}**: {setting.help[name]}" for name in names),
        )
        if chosen != present:
            url_state.put("run", runs[str(chosen)])
            st.rerun()
    return [name for name in names if name not in runs]


def _offer(current: Session, run: RunRow, missing: Sequence[tuple[str, str]]) -> None:
    """Say which variant is shown, and offer to measure the others."""
    shown = ", ".join(
        SETTINGS[field].labels[getattr(run.spec, field)]
        for field in SETTINGS
        if len(comparison.choices(run.spec, field)) > 1
    )
    with st.popover(
        f"Shown: {shown}",
        icon=":material/compare_arrows:",
        key="variants_missing",
        help="Other variants of this sweep were not measured yet.",
    ):
        st.caption("No run of this sweep yet; points of the same content are not measured again.")
        for field, value in missing:
            setting = SETTINGS[field]
            st.button(
                f"Measure: {setting.labels[value].lower()}",
                key=f"{field}_{value}_start",
                icon=":material/play_arrow:",
                help=setting.help[value],
                on_click=_start,
                args=(current, run, field, value),
                width="stretch",
            )


def _start(current: Session, run: RunRow, field: str, value: str) -> None:
    spec = comparison.with_value(run.spec, field, value)
    with guarded("The sweep cannot be started"):
        url_state.put("run", launch.start_sweep(current.store, spec, roots=session.roots()))


def say_gaps(run: RunRow, found: Sequence[Variant]) -> None:
    """Say how far the run and each of its variants are apart."""
    points = session.points(run)
    said = [
        comparison.gap_sentence(run.spec, points, variant, session.points(variant.run))
        for variant in found
        if variant.field in SETTINGS
    ]
    if any(said):
        st.caption("  \n".join(f":material/compare_arrows: {text}" for text in said if text))


def choose_compared(found: Sequence[Variant]) -> None:
    """Ask which variant the run is compared with; nothing to ask without any."""
    if found:
        # Names of files and runs stay as they are.
        files = {variant.name for variant in found if variant.field == comparison.SOURCE}
        url_state.choice(
            "beside",
            "Drawn beside",
            [*(variant.name for variant in found), NOTHING],
            format_func=lambda name: name if name in files else name.capitalize(),
            help="A second curve: the chosen criterion in another run.",
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
