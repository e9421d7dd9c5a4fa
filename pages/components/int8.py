"""A pruned model in 8 bits beside float32 and dense: what Evaluate and Trade-off show of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.evaluation import LoadedSubject, deploy_plan
from analysis.records import Deployment, Latency, Plan, Progress
from analysis.recovery import repaired_plan
from analysis.sentences import capital
from analysis.tasks import Words, scoring_of
from pages.components.state import evaluations
from pages.components.widgets import formatting
from pruners.errors import PruneScopeError

LATENCY_SECONDS = 3.0
NAMES = {"dense": "Dense", "removed": "Pruned", "int8": "Pruned, 8 bits"}


def draw(subject: LoadedSubject, last: evaluations.Evaluated, words: Words) -> None:
    """Draw the three models of an evaluation side by side, and what measures them."""
    st.subheader("In 8 bits", anchor=False)
    found = last.evaluation.deployment
    if last.is_current and st.button(
        "Measure in 8 bits" if found is None else "Measure 8 bits again",
        icon=":material/memory:",
        key="evaluate_int8",
    ):
        try:
            _measure(subject, last)
        except PruneScopeError as error:
            # What else the page has does not hang on it.
            st.error(f"{formatting.message(capital(str(error)))}.", icon=":material/error:")
        else:
            st.rerun()
    if found is None:
        st.caption(
            "Dense, pruned, and pruned with int8 weights and activations in ONNX Runtime: score "
            "on the same samples, bytes, latency. Takes half a minute, the extra onnx and "
            "calibration samples."
        )
        return
    st.dataframe(
        table({"": found}, words).drop(columns="Plan").set_index("Model").T,
        key="evaluate_int8_table",
        alt="Dense, pruned, and pruned in 8 bits",
    )
    scoring = scoring_of(last.plan.subject.task)
    same = scoring.told_agreement(found.agreement, last.evaluation.samples)
    answers = f"The answers to {same} are those of the pruned model in float32. " if same else ""
    st.caption(
        f"{answers}Outputs in 8 bits differ from float32 by "
        f"{formatting.percent(found.difference, digits=1)} of the largest at most. Activations are "
        f"calibrated on {formatting.plural(found.calibration, 'sample')} that are not evaluated. "
        + _how(found.int8.latency, found.runtime)
    )


def _how(latency: Latency | None, runtime: str) -> str:
    how = "" if latency is None else f": {latency.text}, in turn"
    return f"Run by {runtime}{how}."


def _measure(subject: LoadedSubject, last: evaluations.Evaluated) -> None:
    """Measure a plan in 8 bits, and keep it with its evaluation."""
    plan: Plan = last.plan
    bar = st.progress(0.0, text="Writing the models as ONNX")
    try:
        found = deploy_plan(
            subject.prepared,
            plan,
            recovery=repaired_plan(subject.prepared, plan),
            latency_seconds=LATENCY_SECONDS,
            progress=lambda now: _advance(bar, now),
        )
    finally:
        bar.empty()
    evaluations.keep(subject, plan, dataclasses.replace(last.evaluation, deployment=found))


def _advance(bar: DeltaGenerator, now: Progress) -> None:
    what = "Measuring latency" if now.is_complete else "Measuring in ONNX Runtime"
    bar.progress(now.fraction, text=f"{what}: {formatting.progress(now)}")


def table(found: Mapping[str, Deployment], words: Words) -> pd.DataFrame:
    """Return one row a plan and model; the dense model comes once.

    Args:
        found: Deployments by the name of the plan.
        words: Of the task.
    """
    rows: list[dict[str, str]] = []
    lost = capital(words.drop_noun)
    for plan, deployment in found.items():
        for item in deployment.models:
            if item.name == "dense" and rows:
                continue
            latency = item.latency
            rows.append(
                {
                    "Plan": formatting.DASH if item.name == "dense" else plan,
                    "Model": NAMES[item.name],
                    capital(words.label): formatting.score(item.accuracy, words),
                    "95 % interval": formatting.score_range(item.low, item.high, words),
                    lost: formatting.drop(item.drop, words),
                    f"{lost}, 95 % interval": formatting.drop_range(
                        item.drop_low, item.drop_high, words
                    ),
                    "File": formatting.file_size(item.file_bytes),
                    "Gzipped": formatting.file_size(item.gzip_bytes),
                    "Latency, median": _time(None if latency is None else latency.median),
                    "Least": _time(None if latency is None else latency.least),
                }
            )
    return pd.DataFrame(rows)


def _time(seconds: float | None) -> str:
    return formatting.DASH if seconds is None else formatting.milliseconds(seconds)
