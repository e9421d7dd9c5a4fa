"""The form that names a subject: model, data, evaluation."""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from analysis.records import SubjectSpec
from analysis.subjects import calibration_of
from analysis.tasks import TASKS
from pages.components.setup import fields
from pages.components.setup.draft import CALIBRATION, DATA, MODEL, Draft
from pages.components.state import DEMO, check, shared_subject

# The subject that the form was filled with.
ORIGIN = "setup_origin"
# Choice of the task that the data are for.
OF_DATA = ""


def form(present: SubjectSpec | None) -> SubjectSpec | None:
    """Draw the form.

    Args:
        present: What to fill it with.

    Returns:
        The subject, when the form was sent.
    """
    start = present or DEMO
    _fill(start)
    model_column, data_column = st.columns(2)
    with model_column:
        model = fields.draw(MODEL)
    with data_column:
        data = fields.draw(DATA)
    with st.expander("Other data for calibration", expanded=start.calibration_data is not None):
        calibration = fields.draw(CALIBRATION)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Evaluation samples",
            min_value=1,
            step=500,
            key="setup_samples",
            width=190,
            disabled=bool(st.session_state["setup_all"]),
            help="All points share this seeded subset; more samples narrow the intervals.",
            persist_state="session",
        )
        everything = st.toggle(
            "All samples", key="setup_all", width="content", persist_state="session"
        )
        advanced = _advanced(start, shared_subject.task_of(data.strip() or None))
        sent = st.button(
            "Check and measure baseline",
            type="primary",
            icon=":material/task_alt:",
            key="setup_check",
            on_click=check.begin,
        )
    if not sent:
        return None
    return dataclasses.replace(
        start,
        model=model.strip(),
        data=data.strip() or None,
        calibration_data=calibration.strip() or None,
        samples=None if everything else int(count),
        **advanced,
    )


def begin_own(present: SubjectSpec | None) -> None:
    """Let the form ask for a model and data of the user's, where a sample stands.

    Args:
        present: What the form will be filled with.
    """
    _fill(present or DEMO)
    for part, usual in ((MODEL, "file"), (DATA, "imagefolder")):
        draft = fields.draft_of(part)
        if draft.kind == "sample":
            fields.put(part, Draft(usual, draft.values))


def _fill(start: SubjectSpec) -> None:
    """Fill the fields with a subject, unless they were filled with it and then changed."""
    if st.session_state.get(ORIGIN) == start and "setup_samples" in st.session_state:
        return
    st.session_state[ORIGIN] = start
    fields.put(MODEL, Draft.of(start.model, MODEL))
    fields.put(DATA, Draft.of(start.data or "", DATA))
    fields.put(CALIBRATION, Draft.of(start.calibration_data or "", CALIBRATION))
    st.session_state["setup_samples"] = start.samples or DEMO.samples
    st.session_state["setup_all"] = start.samples is None
    st.session_state["setup_seed"] = start.seed
    st.session_state["setup_batch"] = start.batch_size or 0
    is_usual = start.calibration_samples == calibration_of(start.task)
    st.session_state["setup_calibration"] = None if is_usual else start.calibration_samples
    st.session_state["setup_memory"] = _mib(start.memory_limit)
    is_of_data = start.task == shared_subject.task_of(start.data)
    st.session_state["setup_task"] = OF_DATA if is_of_data else start.task
    st.session_state["setup_device"] = start.device


def _mib(size: int | None) -> int:
    """Return a memory limit as the form has it, 0 for none."""
    return (size or 0) // 2**20


def _advanced(start: SubjectSpec, task_of_data: str) -> dict[str, Any]:
    def number(label: str, name: str, unset: int | None = None, **options: Any) -> int:
        # Only a field that begins empty may be emptied.
        empty: dict[str, Any] = {} if unset is None else {"value": None, "placeholder": str(unset)}
        key = f"setup_{name}"
        found = st.number_input(label, key=key, persist_state="session", **empty, **options)
        return int(found) if found is not None else int(unset or 0)

    task = st.session_state["setup_task"] or task_of_data
    with st.popover("Advanced", icon=":material/settings:"):
        memory = number(
            "Memory limit (MiB)",
            "memory",
            min_value=0,
            step=256,
            help="For the values kept of a batch; what does not fit is measured in parts. 0 takes "
            "1 GiB of a processor's memory, half of what is free elsewhere.",
        )
        return {
            "memory_limit": start.memory_limit
            if memory == _mib(start.memory_limit)
            else memory * 2**20 or None,
            "seed": number(
                "Seed",
                "seed",
                min_value=0,
                step=1,
                help="Chooses the evaluation subset and the calibration samples.",
            ),
            "batch_size": number(
                "Batch size",
                "batch",
                min_value=0,
                step=50,
                help="0 takes what suits the device.",
            )
            or None,
            "calibration_samples": number(
                "Calibration samples",
                "calibration",
                unset=calibration_of(task),
                min_value=0,
                step=128,
                help="Criteria that need data read these; never the evaluation subset. Empty "
                "takes what is usual for the task. With 0, all samples can be evaluated.",
            ),
            "task": _task() or task_of_data,
            "device": st.text_input(
                "Device",
                key="setup_device",
                help="cpu, cuda, cuda:1 or mps; several, joined by commas, share a sweep.",
                persist_state="session",
            ),
        }


def _task() -> str:
    """Ask what the model answers; empty for what the data are for."""
    chosen: str = st.selectbox(
        "Task",
        (OF_DATA, *TASKS.names()),
        format_func=lambda name: TASKS.get(name).label if name else "What the data are for",
        key="setup_task",
        help="What the model answers. Of data of your own it is classification unless you choose.",
        persist_state="session",
    )
    return chosen
