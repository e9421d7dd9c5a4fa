"""The form of a sweep, with its cost before the start."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.edits import PreparedSubject
from analysis.engine.precisions import runs_in
from analysis.evaluation import LoadedSubject
from analysis.records import Identity, SweepSpec
from analysis.repairs import sweep_repairs
from analysis.snippets import run_sweep
from analysis.sweeps import (
    MODES,
    OPTIONS,
    Option,
    SweepEstimate,
    estimate_cost,
    parse_ratios,
    plan_sweep,
)
from analysis.worker import known_points, launch
from pages.components.state import Session, session, tolerance, url_state
from pages.components.widgets import code, formatting
from pruners.criteria import CRITERIA, label_of, scoring
from pruners.granularity import parse, presets
from pruners.registry import Entry
from pruners.semantics import SEMANTICS

GRIDS = {
    "Nine ratios": OPTIONS.get("ratios").default,
    "Quick look": "0.25,0.5,0.75",
    "Own grid": "",
}
FEW = 4
SURE_SECONDS = 10.0


def draw(current: Session, subject: LoadedSubject) -> None:
    """Draw form, cost and start button.

    Raises:
        PruneScopeError: The choices make no sweep; the message says why.
    """
    started = current.run is not None and not current.is_stale
    with st.expander(
        "New sweep" if started else "What to measure",
        expanded=not started,
        icon=":material/tune:",
        key="sweep_form",
    ):
        spec = _spec(subject.prepared)
        code.offer(run_sweep(spec, session.named_workspace()))
        estimate = _estimate(subject, subject.identity, spec.to_json(), _measured(current))
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(
                "Start sweep", type="primary", icon=":material/play_arrow:", key="sweep_start"
            ):
                url_state.put("run", launch.start_sweep(current.store, spec, roots=session.roots()))
                st.rerun()
            st.markdown(_cost_line(spec, estimate), width="stretch")


def _spec(prepared: PreparedSubject) -> SweepSpec:
    left, right = st.columns(2)
    with left:
        granularity = st.selectbox(
            OPTIONS.get("granularity").label,
            presets() if prepared.structure is not None else ("element",),
            key="sweep_granularity",
            help=OPTIONS.get("granularity").help + ".",
            format_func=lambda name: f"{name}: {parse(name).description}",
            persist_state="session",
        )
        chosen = parse(granularity)
        offered = scoring(chosen.kind)
        option = OPTIONS.get("criteria")
        criteria = st.multiselect(
            option.label,
            offered,
            default=[name for name in option.parse(option.default) if name in offered],
            format_func=label_of,
            key=f"sweep_criteria_{chosen.kind}",
            help=option.help + ".",
            persist_state="session",
        )
    with right:
        ratios = _ratios(chosen.fixed_ratio)
        layers = st.text_input(
            OPTIONS.get("layers").label,
            value=OPTIONS.get("layers").default,
            key="sweep_layers",
            help=OPTIONS.get("layers").help + ".",
            persist_state="session",
        )
    mode, precision, rounding = _mode(prepared)
    semantics, repair, reduction = _methods(chosen.is_structured)
    _explain(criteria)
    return SweepSpec(
        subject=prepared.subject.spec,
        criteria=tuple(criteria),
        granularity=granularity,
        ratios=ratios,
        rounding=rounding,
        layers=layers.strip() or OPTIONS.get("layers").default,
        semantics=semantics,
        repair=repair,
        reduction=reduction,
        mode=mode,
        precision=precision,
        tolerance=tolerance.accepted(prepared.subject.spec.task),
    )


def _explain(criteria: Sequence[str]) -> None:
    """Say what each chosen criterion does; out of the way where they are many."""
    many = len(criteria) > FEW
    with st.expander("What the criteria do", icon=":material/help:") if many else st.container():
        for name in criteria:
            entry = CRITERIA.get(name)
            st.caption(f"**{entry.label}**: {entry.help} {entry.caution}".strip())


def entries_of(option: Option) -> dict[str, Entry]:
    """Return what can be chosen, by name."""
    return {entry.name: entry for entry in option.choices()} if option.choices else {}


def explained(option: Option, offered: Sequence[Entry]) -> str:
    """Return the help of an option and of what is offered."""
    lines = [f"**{entry.label}**: {entry.help}" for entry in offered]
    return "  \n".join([f"{option.help}.", *lines])


def _mode(prepared: PreparedSubject) -> tuple[str, str, str]:
    """Ask how much is measured, in which precision, and how ratios round."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        mode = _segments(OPTIONS.get("mode"))
        if MODES.get(mode).stops_early:
            task = prepared.subject.spec.task
            tolerance.ask(task, width=150, help="that the sweep decides on.")
        precision = OPTIONS.get("precision")
        names = [name for name in entries_of(precision) if runs_in(prepared.evaluator, name)]
        return mode, _segments(precision, names), _segments(OPTIONS.get("rounding"))


def _segments(option: Option, names: Sequence[str] | None = None) -> str:
    """Ask for one of the choices, of all or of some."""
    entries = entries_of(option)
    offered = [entries[name] for name in names or entries]
    chosen = st.segmented_control(
        option.label,
        [entry.name for entry in offered],
        default=option.default,
        required=True,
        format_func=lambda name: entries[name].label,
        key="_".join(["sweep", option.name, *(names or ())]),
        help=explained(option, offered),
        persist_state="session",
    )
    return chosen or str(option.default)


def _methods(is_structured: bool) -> tuple[str, str, str]:
    """Ask what a pruned channel means, how it is repaired, and how a group's layers join."""
    left, middle, right = st.columns(3)
    shape = f"_{is_structured}"
    with left:
        semantics = _select(OPTIONS.get("semantics"), shape, is_open=is_structured)
    with middle:
        names = sweep_repairs(removes=SEMANTICS.get(semantics).removes)
        repair = _select(OPTIONS.get("repair"), f"_{semantics}", names=names)
    with right:
        reduction = _select(OPTIONS.get("reduction"), shape, is_open=is_structured)
    return semantics, repair, reduction


def _select(
    option: Option, key: str, *, names: Sequence[str] | None = None, is_open: bool = True
) -> str:
    """Ask for one of the choices; of the default alone where the option means nothing."""
    entries = entries_of(option)
    return st.selectbox(
        option.label,
        (names or list(entries)) if is_open else [option.default],
        format_func=lambda name: entries[name].label,
        key=f"sweep_{option.name}{key}",
        help=option.help + ".",
        persist_state="session",
    )


def _ratios(fixed: float | None) -> tuple[float, ...]:
    if fixed is not None:
        st.text_input(OPTIONS.get("ratios").label, value=f"{fixed:g}", disabled=True)
        return (fixed,)
    grid = st.segmented_control(
        OPTIONS.get("ratios").label,
        list(GRIDS),
        default="Nine ratios",
        required=True,
        key="sweep_grid",
        help=OPTIONS.get("ratios").text,
        persist_state="session",
    )
    given = GRIDS[grid or "Nine ratios"]
    if not given:
        given = st.text_input(
            "Own grid",
            value=OPTIONS.get("ratios").default,
            key="sweep_ratios",
            persist_state="session",
            help="first:last:step, or a list such as 0.2,0.5,0.8",
        )
    return parse_ratios(given)


@st.cache_data(max_entries=64, show_spinner="Estimating the cost")
def _estimate(
    _subject: LoadedSubject, identity: Identity, spec_json: str, known: int
) -> SweepEstimate:
    spec = SweepSpec.from_json(spec_json)
    planned = plan_sweep(_subject.prepared, spec)
    return estimate_cost(planned, known_points(session.store(), planned))


def _measured(current: Session) -> int:
    """Return what makes an estimate stale: how much the workspace has measured."""
    return sum(row.samples for row in current.store.runs.all())


def _cost_line(spec: SweepSpec, estimate: SweepEstimate) -> str:
    total = estimate.points_new + estimate.points_cached
    return (
        f"**{formatting.plural(total, 'point')}**: "
        f"{formatting.thousands(estimate.points_new)} new, "
        f"{formatting.thousands(estimate.points_cached)} known already \N{MIDDLE DOT} "
        f"{'at most' if MODES.get(spec.mode).stops_early else 'about'} "
        f"**{formatting.duration(estimate.seconds)}** on {spec.subject.device}{_range(estimate)}"
    )


def _range(estimate: SweepEstimate) -> str:
    """Return the range of the time; the load of the machine moves it. None of what is short."""
    if estimate.high < SURE_SECONDS:
        return ""
    ends = (formatting.duration(seconds) for seconds in (estimate.low, estimate.high))
    return f" :small[({' to '.join(ends)}, by how busy the machine is)]"
