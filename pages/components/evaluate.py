"""The Evaluate page: dense and pruned side by side, on the same samples."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis import figures, snippets
from analysis.evaluation import LoadedSubject, evaluate_plan, measures
from analysis.records import (
    DEFAULT_TASK,
    Evaluation,
    Latency,
    MeasuredModel,
    Plan,
    Progress,
)
from analysis.recovery import repaired_plan
from analysis.repairs import NO_REPAIR
from analysis.sentences import capital
from analysis.store import content_of
from analysis.tasks import Scoring, scoring_of
from pages.components import int8, report
from pages.components.plan import gate, repair
from pages.components.state import Session, evaluations, session, url_state
from pages.components.widgets import answers, charts, code, formatting, go, ribbon, size_card

LATENCY_SECONDS = 3.0
# How shares in percent, and drops of them, are written.
POINTS = scoring_of(DEFAULT_TASK).words


def draw(current: Session, plan: Plan) -> None:
    """Draw the page."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.spinner("Loading the subject", show_time=True):
            subject = session.loaded(current.chosen)
        last = evaluations.of(plan)
        is_new = last is None or not last.is_current
        repair.choose(subject, plan, width=380)
        if (plan_id := url_state.value("plan")) is not None:
            place = session.named_workspace()
            is_in_8_bits = last is not None and last.evaluation.deployment is not None
            code.offer(snippets.evaluate_plan(plan_id, plan, place, int8=is_in_8_bits))
        sent = st.button(
            "Evaluate the plan" if is_new else "Evaluate again",
            type="primary" if is_new else "secondary",
            icon=":material/play_arrow:",
            key="evaluate_start",
        )
        if not is_new and st.button(
            "Go to export", icon=":material/ios_share:", type="primary", key="evaluate_export"
        ):
            go("Export")
        if last is not None and last.is_current:
            report.offer(current, subject, plan, last.evaluation, key="evaluate_report")
    st.caption(
        "Your model stays as it is: the plan is applied to a copy. " + repair.reason(subject, plan)
    )
    if sent:
        evaluations.keep(subject, plan, _evaluate(subject, plan))
        st.rerun()
    scoring = scoring_of(plan.subject.task)
    if last is None:
        st.info(
            f"{capital(scoring.words.label)} of the masked and of the physically smaller model, "
            "change per class where there are classes, parameters, MACs, file size and latency: "
            "about ten seconds on the samples.",
            icon=":material/info:",
        )
        return
    gate.say_unkept("These numbers are", last.unkept)
    if last.plan == plan and is_new:
        ribbon(
            "The files of the subject have changed since this evaluation; the numbers are those of "
            "the old ones."
        )
    elif is_new and last.plan.repaired_by(NO_REPAIR) == plan.repaired_by(NO_REPAIR):
        ribbon(
            f"These numbers are of the model {formatting.escaped(last.evaluation.recovery_words)}."
        )
    elif is_new:
        ribbon("The plan has changed since this evaluation; the numbers are those of the old one.")
    _report(last.evaluation, scoring)
    int8.draw(subject, last, scoring.words)
    _answers(last, subject)
    _history(current, subject)


def _evaluate(subject: LoadedSubject, plan: Plan) -> Evaluation:
    """Measure a plan, under a progress bar."""
    bar = st.progress(0.0, text="Measuring dense, masked and removed on the same samples")
    recovery = repaired_plan(
        subject.prepared, plan, progress=lambda now: _advance_repair(bar, plan.repair, now)
    )
    found = evaluate_plan(
        subject.prepared,
        plan,
        recovery=recovery,
        latency_seconds=LATENCY_SECONDS,
        progress=lambda now: _advance(bar, now),
    )
    bar.empty()
    return found


def _advance_repair(bar: DeltaGenerator, method: str, now: Progress) -> None:
    bar.progress(now.fraction, text=f"Repairing by {method}: {now.done} of {now.total}")


def _advance(bar: DeltaGenerator, now: Progress) -> None:
    what = "Measuring latency" if now.is_complete else "Measuring the score"
    bar.progress(now.fraction, text=f"{what}: {formatting.progress(now)}")


def _report(found: Evaluation, scoring: Scoring) -> None:
    dense, removed, words = found.dense, found.removed, scoring.words
    word = capital(words.label) if found.labelled else "Same answer as dense"
    word += f" after {found.recovered_by}" if found.is_recovered else ""
    with st.grid(4, min_column_width=200):
        st.metric(
            word,
            formatting.score(removed.accuracy, words),
            **formatting.drop_card(removed.drop, removed.drop_low, removed.drop_high, words),
            help=f"{scoring.evidence(removed.sums)}, "
            f"95 % interval {formatting.score_range(removed.low, removed.high, words)}. "
            f"Dense: {formatting.score(dense.accuracy, words)}.",
            border=True,
            height="stretch",
        )
        size_card("Parameters", dense.params, removed.params)
        size_card("MACs per sample", dense.macs, removed.macs)
        _latency_card(dense.latency, removed.latency, is_same=found.is_dense)
    _agreement(found)
    for item in found.whole:
        st.markdown(
            f"**{capital(item.label)}**: {formatting.percent(item.pruned)} "
            f"(dense {formatting.percent(item.dense)}), drop {formatting.drop(item.drop, POINTS)}, "
            "95 % interval "
            f"{formatting.drop_range(item.drop_low, item.drop_high, POINTS)} by {item.method}."
        )
    for note in found.notes:
        st.caption(f":material/info: {formatting.message(capital(note))}.")
    side_by_side, by_class = st.container(), st.container()
    if found.classes and not scoring.has_positions:
        by_class, side_by_side = charts.beside(3, 4)
    if found.classes:
        with by_class:
            _classes(found, scoring)
    with side_by_side:
        st.subheader("Side by side", anchor=False)
        # On a phone the first two are seen.
        variants = [item for item in (dense, removed, found.masked) if item is not None]
        table = _table(variants, scoring, labelled=found.labelled)
        st.dataframe(table, height="content", key="evaluate_table", alt="Dense beside pruned")
        _latency(dense.latency, removed.latency)


def _latency_card(dense: Latency | None, removed: Latency | None, *, is_same: bool) -> None:
    if dense is None or removed is None:
        st.metric("Latency, median", formatting.DASH, border=True, height="stretch")
        return
    st.metric(
        "Latency, median",
        formatting.milliseconds(removed.median),
        **formatting.time_change(dense, removed, is_same=is_same),
        help=f"Per pass: {removed.text}. 90 % of the passes took at most "
        f"{formatting.milliseconds(removed.p90)} (dense {formatting.milliseconds(dense.p90)}). "
        f"{formatting.time_share(dense, removed)}",
        border=True,
        height="stretch",
    )


def _agreement(found: Evaluation) -> None:
    if found.agrees is None:
        return
    same = (
        f"{formatting.thousands(found.same_answers or 0)} of "
        f"{formatting.plural(found.samples, 'sample')}"
    )
    if found.agrees:
        st.markdown(
            f":green[:material/check_circle:] Masked and physically removed agree on {same}; "
            f"largest relative difference of the outputs {found.largest_difference:.1e}."
        )
    else:
        ribbon(
            f"Masked and physically removed agree on {same} only; the numbers above are those of "
            "the removed model.",
            icon="difference",
        )


def _classes(found: Evaluation, scoring: Scoring) -> None:
    st.subheader("Change per class", anchor=False)
    table = pd.DataFrame([item.to_dict() for item in found.classes])
    charts.show(
        figures.class_change(
            table, theme=charts.theme(), score=scoring.of_class, counted=scoring.answered
        ),
        key="evaluate_classes",
        file_name="change-per-class",
    )
    st.caption("Filled: the interval of the change excludes 0. Hollow: it may be chance.")
    charts.as_table(table, key="evaluate_class_table", file_name="change-per-class")


def _answers(last: evaluations.Evaluated, subject: LoadedSubject) -> None:
    found = last.evaluation
    if found.answers is None:
        st.caption("Which answers change is shown of tasks that answer classes.")
        return
    answers.draw(
        found.answers,
        subject,
        is_labelled=found.labelled,
        is_same=last.is_current,
    )


def _table(variants: list[MeasuredModel], scoring: Scoring, *, labelled: bool) -> pd.DataFrame:
    words = scoring.words
    columns = {
        item.name.capitalize(): {
            capital(words.label): formatting.score(item.accuracy, words),
            "95 % interval": formatting.score_range(item.low, item.high, words),
            capital(words.drop_noun): formatting.drop(item.drop, words),
            "Parameters": formatting.thousands(item.params),
            "Not zero": formatting.thousands(item.nonzero),
            "MACs per sample": formatting.thousands(item.macs),
            "Weights file": formatting.file_size(item.file_bytes),
            **{
                capital(name): value
                for name, value in measures(scoring, item.sums, labelled=labelled).items()
            },
        }
        for item in variants
    }
    return pd.DataFrame(columns)


def _latency(dense: Latency | None, removed: Latency | None) -> None:
    if dense is None or removed is None:
        return
    charts.show(
        figures.latency_chart(
            {"dense": dense.repeats, "pruned": removed.repeats},
            note=f"batch {removed.batch}, {removed.device}",
            theme=charts.theme(),
        ),
        key="evaluate_latency",
        file_name="latency",
    )


def _record(current: Session, plan: Plan, found: Evaluation) -> dict[str, object]:
    """Return the row that the plan gets in the charts over all evaluated plans."""
    removed = found.removed
    row: dict[str, object] = {
        "drop": removed.drop,
        "drop_low": removed.drop_low,
        "drop_high": removed.drop_high,
        "params": removed.params / found.dense.params,
        "macs": removed.macs / max(found.dense.macs, 1),
        "measured": removed.drop,
        "measured_low": removed.drop_low,
        "measured_high": removed.drop_high,
        "predicted": float("nan"),
        "predicted_low": float("nan"),
        "predicted_high": float("nan"),
    }
    if current.run is not None and not current.is_stale and current.run.predicts:
        foreseen = session.forecaster(current.run).predict(plan)
        is_of = foreseen is not None and foreseen.repair == found.recovered_by
        if foreseen is not None and is_of and not foreseen.unmeasured:
            row |= {
                "predicted": foreseen.drop,
                "predicted_low": foreseen.low,
                "predicted_high": foreseen.high,
            }
    return row


def _history(current: Session, subject: LoadedSubject) -> None:
    """Draw all plans of this subject that the workspace has evaluated."""
    known = current.store.evaluations.all(subject.identity)
    if len(known) < 2:
        return
    names = {content_of(row.plan): row.label for row in reversed(current.store.plans.saved())}
    rows = [
        {
            "plan": names.get(content_of(item.plan), f"#{number + 1}"),
            **_record(current, item.plan, item.evaluation),
        }
        for number, item in enumerate(known)
    ]
    table, task = pd.DataFrame(rows), subject.prepared.subject.spec.task
    st.subheader("All evaluated plans of this subject", anchor=False)
    # What is predicted has a chart of its own; where nothing is, a sentence says it.
    is_predicted = bool(table["predicted"].notna().any())
    left, right = st.columns(2, gap="medium") if is_predicted else (st.container(), st.container())
    with left:
        charts.show(
            figures.pareto(table, task=task, theme=charts.theme()),
            key="evaluate_pareto",
            file_name="plans",
        )
    with right:
        if not is_predicted:
            st.caption("No measured plan is predicted by curves after its repair.")
            return
        charts.show(
            figures.predicted_measured(table, task=task, theme=charts.theme()),
            key="evaluate_predicted",
            file_name="predicted-measured",
        )
