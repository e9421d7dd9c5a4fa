"""What the Setup page finds: checklist, baseline with its interval, map of the model."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis import figures
from analysis.edits import PreparedSubject
from analysis.evaluation import LoadedSubject
from analysis.records import SubjectSpec
from pages.components.state import DEMO, Session, session
from pages.components.widgets import charts, formatting, go
from pruners.errors import PruneScopeError


def first_use() -> None:
    """Say what to do when nothing was chosen yet."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**First time here?** The demo subject is ResNet-20 on 2,000 Fashion-MNIST images; "
            "both come with PruneScope and load in seconds.",
            width="stretch",
        )
        st.button(
            "Use the demo subject",
            icon=":material/rocket_launch:",
            on_click=session.choose_subject,
            args=(DEMO,),
            key="setup_demo",
        )


def checklist(spec: SubjectSpec) -> LoadedSubject:
    """Load the subject step by step, ticking off what holds.

    Raises:
        PruneScopeError: A step failed; the ticks before it stay on the page.
    """
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Checklist**")
        try:
            with st.spinner("Loading model and data, capturing the graph", show_time=True):
                subject = session.loaded(spec)
        except PruneScopeError:
            st.markdown(":red[:material/cancel:] Loads and answers: no, for the reason below")
            raise
        _loaded(subject.prepared)
        _traced(subject.prepared)
        _baseline(subject)
    return subject


def tick(line: str, *, fine: bool = True) -> None:
    """Write one line of the checklist."""
    icon = ":green[:material/check_circle:]" if fine else ":orange[:material/warning:]"
    st.markdown(f"{icon} {line}")


def _loaded(prepared: PreparedSubject) -> None:
    subject = prepared.subject
    shape = " x ".join(str(size) for size in subject.example.shape[1:])
    classes = formatting.plural(subject.num_classes, "class", "classes")
    tick(f"Loads and answers: input {shape}" + (f", {classes}" if subject.num_classes else ""))
    for name, split in (("Evaluation", subject.evaluation), ("Calibration", subject.calibration)):
        if split is None:
            tick(f"No {name.lower()} data: what needs it is not offered", fine=False)
        else:
            tick(f"{name}: {formatting.plural(len(split), 'sample')}")


def _traced(prepared: PreparedSubject) -> None:
    if prepared.structure is None:
        tick(
            f"Not captured ({prepared.capture_reason}). Granularity element works, with full "
            "forward passes; channels and heads do not.",
            fine=False,
        )
        return
    groups = prepared.structure.groups
    fixed = [group for group in groups if group.kept_whole]
    tick(f"{formatting.plural(len(groups), 'group')} of coupled channels traced")
    if fixed:
        names = formatting.code_list([group.layer for group in fixed])
        reason = f": {fixed[0].kept_whole}" if len(fixed) == 1 else ", reasons below"
        tick(f"{len(fixed)} not prunable ({names}{reason})", fine=False)
    mixed = [group.id for group in groups if not group.kept_whole and not group.exact]
    if mixed:
        names = formatting.code_list(mixed)
        tick(f"{len(mixed)} mixed by a norm or mean, evaluated by physical removal ({names})")
    if not prepared.evaluator.is_incremental:
        tick(f"Full forward passes: {prepared.evaluator.fallback_reason}", fine=False)


def _baseline(subject: LoadedSubject) -> None:
    if subject.prepared.subject.evaluation is None:
        return
    result = subject.baseline()
    task = subject.prepared.subject.task
    interval = task.score_interval(result.sums)
    tick(
        f"Baseline **{formatting.score(result.accuracy, task.words)}** "
        f"({task.evidence(result.sums)}, 95 % interval "
        f"{formatting.score_range(interval.low, interval.high, task.words)})"
    )


def model_map(subject: LoadedSubject) -> None:
    """Draw size and table of the model's layers."""
    found = subject.inventory
    with st.container(horizontal=True):
        st.metric(
            "Parameters",
            formatting.si(found.params),
            help=formatting.thousands(found.params),
            border=True,
        )
        st.metric(
            "MACs per sample",
            formatting.si(found.macs),
            help=formatting.thousands(found.macs),
            border=True,
        )
        st.metric("Layers", str(len(found.layers)), border=True)
        st.metric(
            "Prunable groups", str(sum(group.prunable for group in found.groups)), border=True
        )
    table = pd.DataFrame([layer.to_dict() for layer in found.layers]).rename(
        columns={"name": "layer"}
    )
    st.subheader("Model map", anchor=False)
    value = st.segmented_control(
        "Size in",
        ["params", "macs"],
        default="params",
        required=True,
        format_func=lambda name: SIZES[name],
        key="setup_size",
    )
    charts.show(
        figures.size_bars(table, value=value or "params", theme=charts.theme()), key="setup_bars"
    )
    st.dataframe(_shown(table), hide_index=True, key="setup_map", column_config=COLUMNS)


SIZES = {"params": "Parameters", "macs": "MACs"}
COLUMNS: dict[str, Any] = {
    "layer": st.column_config.TextColumn("Layer", pinned=True, width="medium"),
    "type": "Type",
    "params": st.column_config.NumberColumn("Parameters", format="localized"),
    "macs": st.column_config.NumberColumn("MACs", format="localized"),
    "output_shape": "Output shape",
    "group": "Group",
    "prunable": st.column_config.CheckboxColumn("Prunable"),
    "reason": "Why not",
}


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shapes = table["output_shape"].map(lambda shape: " x ".join(str(size) for size in shape))
    return table.assign(output_shape=shapes)


def next_step(current: Session) -> None:
    """Lead on to the sweep."""
    if (current.run is None or current.is_stale) and st.button(
        "Plan a sweep", type="primary", icon=":material/arrow_forward:", key="setup_next"
    ):
        go("Sweep")
