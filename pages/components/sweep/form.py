"""The form of a sweep, with its cost before the start."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.edits import REPAIR_HELP, SWEEP_REPAIRS, PreparedSubject
from analysis.engine import PRECISION_HELP, PRECISIONS
from analysis.evaluation import LoadedSubject
from analysis.records import SweepSpec
from analysis.sweeps import SweepEstimate, estimate_cost, parse_ratios, plan_sweep
from analysis.worker import known_points, launch
from pages.components.state import Session, session, url_state
from pages.components.widgets import formatting
from pruners.criteria import REDUCTION_HELP, REDUCTIONS, registry
from pruners.groups import SEMANTICS, SEMANTICS_HELP, SEMANTICS_LABEL
from pruners.selection import granularity as granularities

GRIDS = {
    "Nine ratios": "0.1:0.9:0.1",
    "Quick look": "0.25,0.5,0.75",
    "Own grid": "",
}
FEW = 4
DEFAULTS = ("l1", "fpgm", "taylor")
EFFORTS = {"exhaustive": "All points, all samples", "adaptive": "Up to the tolerance"}


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
        estimate = _estimate(subject, spec.to_json(), _measured(current))
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
            "Granularity",
            granularities.PRESETS if prepared.structure is not None else ("element",),
            key="sweep_granularity",
            help="What one pruning decision removes.",
            format_func=lambda name: f"{name}: {granularities.parse(name).description}",
            persist_state="session",
        )
        kind = granularities.parse(granularity).kind
        offered = [name for name in registry.names() if kind in registry.get(name).granularities]
        criteria = st.multiselect(
            "Criteria",
            offered,
            default=[name for name in DEFAULTS if name in offered],
            format_func=lambda name: registry.get(name).label,
            key=f"sweep_criteria_{kind}",
            help="How the importance of a channel or weight is judged.",
            persist_state="session",
        )
    with right:
        ratios = _ratios(granularities.parse(granularity).fixed_ratio)
        layers = st.text_input(
            "Layers",
            value="*",
            key="sweep_layers",
            help="A pattern over layer names, such as layer3.*; * takes all.",
            persist_state="session",
        )
    mode, precision = _mode()
    semantics, repair, reduction = _methods(granularities.parse(granularity).is_structured)
    _explain(criteria)
    return SweepSpec(
        subject=prepared.subject.spec,
        criteria=tuple(criteria),
        granularity=granularity,
        ratios=ratios,
        layers=layers.strip() or "*",
        semantics=semantics,
        repair=repair,
        reduction=reduction,
        mode=mode,
        precision=precision,
        tolerance=float(url_state.value("tolerance")) / 100,
    )


def _explain(criteria: Sequence[str]) -> None:
    """Say what each chosen criterion does; out of the way where they are many."""
    many = len(criteria) > FEW
    with st.expander("What the criteria do", icon=":material/help:") if many else st.container():
        for name in criteria:
            entry = registry.get(name)
            st.caption(f"**{entry.label}**: {entry.help} {entry.caution}".strip())


def _mode() -> tuple[str, str]:
    """Ask how much is measured, and in which precision."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        mode = st.segmented_control(
            "Effort",
            list(EFFORTS),
            default="exhaustive",
            required=True,
            format_func=lambda name: EFFORTS[name],
            key="sweep_mode",
            help="All of it gives whole curves. Up to the tolerance only answers how much each "
            "layer tolerates, at 95 % confidence, and leaves out what is decided already.",
            persist_state="session",
        )
        if mode == "adaptive":
            url_state.number(
                "tolerance",
                "Tolerance (pp)",
                min_value=0.0,
                max_value=100.0,
                step=0.25,
                width=150,
                help="Accuracy drop that the sweep decides on.",
            )
        precision = st.segmented_control(
            "Precision",
            PRECISIONS,
            default=PRECISIONS[0],
            required=True,
            key="sweep_precision",
            help="  \n".join(f"**{name}**: {PRECISION_HELP[name]}" for name in PRECISIONS),
            persist_state="session",
        )
    return mode or "exhaustive", precision or PRECISIONS[0]


def _methods(is_structured: bool) -> tuple[str, str, str]:
    """Ask what a pruned channel means, how it is repaired, and how a group's layers join."""
    left, middle, right = st.columns(3)
    semantics = left.selectbox(
        "A pruned channel is",
        SEMANTICS if is_structured else SEMANTICS[:1],
        format_func=lambda name: SEMANTICS_LABEL[name],
        key=f"sweep_semantics_{is_structured}",
        help="  \n".join(
            f"**{SEMANTICS_LABEL[name]}**: {SEMANTICS_HELP[name]}" for name in SEMANTICS
        ),
        persist_state="session",
    )
    repairs = SWEEP_REPAIRS if semantics == "removal" else ("none", "bn")
    repair = middle.selectbox(
        "Repair of each point",
        repairs,
        format_func=lambda name: f"{name}: {REPAIR_HELP[name]}",
        key=f"sweep_repair_{semantics}",
        help="Recovery without training, on the calibration set; points take longer.",
        persist_state="session",
    )
    reduction = right.selectbox(
        "Layers of a group join by",
        REDUCTIONS if is_structured else REDUCTIONS[:1],
        format_func=lambda name: f"{name}: {REDUCTION_HELP[name]}",
        key=f"sweep_reduction_{is_structured}",
        help="How the scores of coupled layers become one score per channel.",
        persist_state="session",
    )
    return semantics, repair, reduction


def _ratios(fixed: float | None) -> tuple[float, ...]:
    if fixed is not None:
        st.text_input("Ratios removed", value=f"{fixed:g}", disabled=True)
        return (fixed,)
    grid = st.segmented_control(
        "Ratios removed",
        list(GRIDS),
        default="Nine ratios",
        required=True,
        key="sweep_grid",
        help="Fractions of the original, from first to last by step, or listed.",
        persist_state="session",
    )
    given = GRIDS[grid or "Nine ratios"]
    if not given:
        given = st.text_input(
            "Own grid",
            value="0.1:0.9:0.1",
            key="sweep_ratios",
            persist_state="session",
            help="first:last:step, or a list such as 0.2,0.5,0.8",
        )
    return parse_ratios(given)


@st.cache_data(max_entries=64, show_spinner="Estimating the cost")
def _estimate(_subject: LoadedSubject, spec_json: str, known: int) -> SweepEstimate:
    spec = SweepSpec.from_json(spec_json)
    with _subject.lock:
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
        f"{'at most' if spec.mode == 'adaptive' else 'about'} "
        f"**{formatting.duration(estimate.seconds)}** on {spec.subject.device}"
    )
