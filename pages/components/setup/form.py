"""The form that names a subject: model, data, evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import streamlit as st

from analysis.records import SubjectSpec
from analysis.subjects import DATA_SCHEMES, MODEL_SCHEMES, Scheme
from analysis.tasks import TASKS
from pruners.registry import Registry

SAMPLE = "sample"
T = TypeVar("T")


def form(present: SubjectSpec | None, *, samples: tuple[str, ...]) -> SubjectSpec | None:
    """Draw the form.

    Args:
        present: What to fill it with.
        samples: Names of the sample models.

    Returns:
        The subject, when the form was sent.
    """
    start = present or SubjectSpec(
        model="sample:resnet20", data="sample:fashion-mnist", samples=2000, batch_size=100
    )
    model_column, data_column = st.columns(2)
    with model_column:
        model = _address("Model", MODEL_SCHEMES, start.model, samples=samples)
    with data_column:
        data = _address("Data", DATA_SCHEMES, start.data or "", samples=("fashion-mnist",))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Evaluation samples",
            min_value=1,
            value=start.samples or 2000,
            step=500,
            key="setup_samples",
            width=190,
            help="All points share this seeded subset; more samples narrow the intervals.",
        )
        everything = st.toggle(
            "All samples", value=start.samples is None, key="setup_all", width="content"
        )
        advanced = _advanced(start)
        sent = st.button(
            "Check and measure baseline",
            type="primary",
            icon=":material/task_alt:",
            key="setup_check",
        )
    if not sent:
        return None
    return SubjectSpec(
        model=model.strip(),
        data=data.strip() or None,
        samples=None if everything else int(count),
        **advanced,
    )


def _task(present: str) -> str:
    """Ask what the model answers, where there is more than one task."""
    if len(TASKS) == 1:
        return present
    chosen: str = st.selectbox(
        "Task",
        TASKS.names(),
        index=TASKS.names().index(present),
        format_func=lambda name: TASKS.get(name).label,
        key="setup_task",
        help="What the model answers.",
    )
    return chosen


def _address(
    label: str, schemes: Registry[Scheme[T]], present: str, *, samples: tuple[str, ...]
) -> str:
    """Draw the choice of a scheme and the fields of its address."""
    key = f"setup_{label.lower()}"
    offered = {scheme.label: scheme for scheme in schemes if scheme.example}
    kind = st.segmented_control(
        label,
        list(offered),
        default=_kind_of(present, offered.values()),
        required=True,
        key=f"{key}_kind",
        persist_state="session",
    )
    scheme = offered.get(kind or "") or next(iter(offered.values()))
    if scheme.name == SAMPLE:
        name = present.removeprefix(f"{SAMPLE}:")
        chosen = st.selectbox(
            f"Sample {label.lower()}",
            samples,
            index=samples.index(name) if name in samples else 0,
            key=f"{key}_sample",
            help=scheme.help,
            persist_state="session",
        )
        return f"{SAMPLE}:{chosen}"
    same_kind = _kind_of(present, offered.values()) == kind
    return st.text_input(
        f"{label} address",
        value=present if same_kind else "",
        placeholder=scheme.example,
        help=scheme.help,
        key=f"{key}_{kind}",
        persist_state="session",
    )


def _kind_of(address: str, offered: Iterable[Scheme[T]]) -> str:
    """Return the label of the scheme that an address begins with; else that of factories."""
    labels = {scheme.name: scheme.label for scheme in offered if not scheme.is_factory}
    factory = next(scheme.label for scheme in offered if scheme.is_factory)
    return labels.get(address.split(":")[0], factory) if address else labels[SAMPLE]


def _advanced(start: SubjectSpec) -> dict[str, Any]:
    with st.popover("Advanced", icon=":material/settings:"):
        return {
            "seed": int(
                st.number_input(
                    "Seed",
                    value=start.seed,
                    min_value=0,
                    step=1,
                    key="setup_seed",
                    help="Chooses the evaluation subset and the calibration samples.",
                )
            ),
            "batch_size": int(
                st.number_input(
                    "Batch size",
                    value=start.batch_size or 0,
                    min_value=0,
                    step=50,
                    key="setup_batch",
                    help="0 takes what suits the device.",
                )
            )
            or None,
            "calibration_samples": int(
                st.number_input(
                    "Calibration samples",
                    value=start.calibration_samples,
                    min_value=0,
                    step=128,
                    key="setup_calibration",
                    help="Criteria that need data read these; never the evaluation subset.",
                )
            ),
            "calibration_data": st.text_input(
                "Calibration data",
                value=start.calibration_data or "",
                placeholder="an address, as for data",
                key="setup_calibration_data",
                help="Samples for calibration alone. Without, data that has no calibration set of "
                "its own gives up some of those to evaluate.",
            ).strip()
            or None,
            "memory_limit": int(
                st.number_input(
                    "Memory limit (MiB)",
                    value=(start.memory_limit or 0) // 2**20,
                    min_value=0,
                    step=256,
                    key="setup_memory",
                    help="For the values kept of a batch; what does not fit is measured in parts. "
                    "0 takes 1 GiB of a processor's memory, half of what is free elsewhere.",
                )
            )
            * 2**20
            or None,
            "task": _task(start.task),
            "device": st.text_input(
                "Device", value=start.device, key="setup_device", help="cpu, cuda, cuda:1 or mps."
            ),
        }
