"""The switch between the two semantics of a pruned channel: two runs of one sweep."""

from __future__ import annotations

import dataclasses

import streamlit as st

from analysis import jobs
from analysis.run_record import RunRow
from analysis.semantics_gap import semantics_gap
from pages.components import address, session
from pages.components.session import Session
from pages.components.states import guarded
from pruners import granularity as granularities
from pruners.semantics import SEMANTICS, SEMANTICS_HELP, SEMANTICS_LABEL


def draw(current: Session) -> None:
    """Draw the switch for a run of channels or heads; elements know only one semantics."""
    run = current.run
    assert run is not None
    if not granularities.parse(run.spec.granularity).is_structured:
        return
    chosen = st.segmented_control(
        "A pruned channel is",
        list(SEMANTICS),
        default=run.spec.semantics,
        required=True,
        format_func=lambda name: SEMANTICS_LABEL[name],
        key=f"semantics_{run.run_id}",
        help="  \n".join(
            f"**{SEMANTICS_LABEL[name]}**: {SEMANTICS_HELP[name]}" for name in SEMANTICS
        ),
    )
    other = _sibling(current, run, _opposite(run.spec.semantics))
    if chosen != run.spec.semantics:
        if other is not None:
            address.put("run", other.run_id)
            st.rerun()
        _offer(current, run, str(chosen))
    elif other is not None:
        _gap(run, other)


def _opposite(semantics: str) -> str:
    return next(name for name in SEMANTICS if name != semantics)


def _sibling(current: Session, run: RunRow, semantics: str) -> RunRow | None:
    """Return the newest run of the same sweep under the other semantics."""
    wanted = dataclasses.replace(run.spec, semantics=semantics)
    rows = [row for row in current.store.runs() if row.spec == wanted]
    return max(rows, key=lambda row: row.created, default=None)


def _offer(current: Session, run: RunRow, semantics: str) -> None:
    """Offer to measure what was not measured yet."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"No run of this sweep has **{SEMANTICS_LABEL[semantics].lower()}** yet.",
            width="content",
        )
        if st.button("Measure it", icon=":material/play_arrow:", key="semantics_start"):
            with guarded("The sweep cannot be started"):
                spec = dataclasses.replace(run.spec, semantics=semantics)
                address.put("run", jobs.start_sweep(current.store, spec, roots=session.roots()))
                st.rerun()


def _gap(run: RunRow, other: RunRow) -> None:
    """Say how far the two are apart."""
    gap = semantics_gap(session.points(run), session.points(other))
    if gap is not None:
        st.caption(
            f":material/compare_arrows: {SEMANTICS_LABEL[run.spec.semantics]} and "
            f"{SEMANTICS_LABEL[other.spec.semantics].lower()} differ by {100 * gap.mean:.1f} pp of "
            f"accuracy on average over {gap.points} points, at most {100 * gap.largest:.1f} pp "
            f"({gap.layer} at {gap.ratio:.2f})."
        )
