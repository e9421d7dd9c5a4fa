"""A training as far as it got: curves, time that is left, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pandas as pd
import streamlit as st

from analysis import figures
from analysis.records import Evaluation
from analysis.recovery import repaired_plan
from analysis.recovery.training import FINETUNE, TRAINING_METHODS, training_cost
from analysis.retraining import Job, Jobs, Order, training_table
from analysis.sentences import capital, plural
from analysis.tasks import Words
from pages.components.plan import answer
from pages.components.state import Session, session, tolerance, url_state
from pages.components.widgets import charts, formatting, go, refreshed, unfinished

COST = "recover_told_cost"
POLL_SECONDS = 1.0
# How soon a page sees that another one goes on with a stopped training.
NOTICE_SECONDS = 5.0
Again = Callable[[Order], None]


def follow(current: Session, job: Job, *, again: Again) -> None:
    """Draw a training: live while it runs, else its end."""
    with st.container(border=True):
        if job.is_live:
            refreshed(
                _live, job.job_id, every=POLL_SECONDS, title="The training cannot be followed"
            )
            return
        if job.is_done:
            _answer(job, again)
        else:
            _ended(job, again)
            refreshed(_notice, job.job_id, every=NOTICE_SECONDS, title="The training is not seen")
        _curves(job)


def cost(order: Order) -> str:
    """Time a few steps and say what a training takes, in words."""
    subject = session.loaded(order.subject)
    start = repaired_plan(subject.prepared, order.plan)
    found = training_cost(
        subject.prepared, order.plan, order.recipe, start=start, roots=session.roots()
    )
    seconds = found.seconds * len(order.seeds)
    each = f", {plural(len(order.seeds), 'seed')}" if len(order.seeds) > 1 else ""
    return (
        f"About **{formatting.duration(seconds)}** for {plural(found.steps, 'step')}{each} "
        f"({formatting.milliseconds(found.step_seconds)} each, {found.timed} timed). "
        + formatting.message(" ".join(found.notes))
    )


def _live(name: str) -> None:
    jobs = Jobs(session.workspace())
    job = jobs.get(name)
    if not job.is_live:
        st.rerun()
    st.markdown(f"**{_title(job)}**")
    parts = [job.stage]
    if job.progress.total:
        parts.append(formatting.progress(job.progress))
    if job.point is not None and job.point.images_per_second:
        parts.append(f"{job.point.images_per_second:,.0f} samples/s")
    if job.eta_seconds is not None:
        parts.append(f"about {formatting.duration(job.eta_seconds)} left")
    st.progress(job.progress.fraction, text=" \N{MIDDLE DOT} ".join(parts))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_start_line(job), width="stretch")
        is_asked = jobs.is_stopped(name)
        st.button(
            "Stopping" if is_asked else "Stop, keep the checkpoint",
            icon=":material/stop_circle:",
            key=f"recover_stop_{name}",
            on_click=jobs.stop,
            args=(name,),
            disabled=is_asked,
        )
    _curves(job)
    st.caption(formatting.message(" ".join(("It goes on when you leave this page.", *job.notes))))


def _notice(name: str) -> None:
    job = Jobs(session.workspace()).get(name)
    if job.is_live or job.is_done:
        st.rerun()


def _title(job: Job) -> str:
    recipe = job.order.recipe
    subject = formatting.escaped(formatting.title_of_subject(job.order.subject))
    return f"Training {subject} ({TRAINING_METHODS.get(recipe.method).label})"


def _start_line(job: Job) -> str:
    """Return the scores on the evaluation samples before the training."""
    words = tolerance.words_of(job.order.subject.task)
    named = (("dense", job.dense), ("pruned", job.pruned), ("start", job.repaired))
    parts = [f"{name} {formatting.score(score, words)}" for name, score in named if score]
    return f"On the evaluation samples: {', '.join(parts)}." if parts else ""


def _curves(job: Job) -> None:
    """Draw score and loss beside each other."""
    table = training_table(session.workspace(), job)
    if table.empty and not job.lines:
        return
    words = tolerance.words_of(job.order.subject.task)
    dense, accepted = job.lines.get("dense"), tolerance.accepted(job.order.subject.task)
    left, right = st.columns(2)
    with left:
        charts.show(
            figures.training_score(
                table,
                label=f"{words.label} ({words.unit})" if words.unit else words.label,
                scale=words.scale,
                lines=job.lines,
                tolerated=None if dense is None else words.after(dense, accepted),
                theme=charts.theme(),
            ),
            key="recover_score",
            file_name="training-score",
        )
    with right:
        charts.show(
            figures.training_loss(table, theme=charts.theme()),
            key="recover_loss",
            file_name="training-loss",
        )
    if job.lines:
        st.caption(
            f"{capital(words.label)}: on the selection samples, which are training data that is "
            "not learned from, with 95 % intervals; the lines are of the same samples. Loss: on "
            "the batches."
        )


def _answer(job: Job, again: Again) -> None:
    assert job.evaluation is not None
    found = Evaluation.from_dict(job.evaluation)
    words = tolerance.words_of(job.order.subject.task)
    epochs = _epochs(job.results[0].epochs)
    st.markdown(
        f":green[:material/check_circle:] **{_title(job)}: done** after {epochs}, measured "
        f"on {formatting.plural(found.samples, 'sample')} that it did not see."
    )
    _cards(job, found, words)
    if len(job.results) > 1:
        _seeds(job, words)
    with st.container(horizontal=True, vertical_alignment="center"):
        first = job.plan_ids[0]
        is_used = url_state.value("plan") == first
        if is_used:
            st.markdown(":green-badge[:material/check: this model is used]")
        elif st.button(
            "Use this model", type="primary", icon=":material/check:", key="recover_use"
        ):
            answer.adopt(first, found)
            st.rerun()
        if is_used and st.button(
            "Export", type="primary", icon=":material/ios_share:", key="recover_export"
        ):
            go("Export")
        if st.button(
            "Train longer",
            icon=":material/more_time:",
            key="recover_longer",
            help="The same recipe once more, from the trained weights; what is pruned stays, so "
            f"{FINETUNE} takes the place of a method that moves masks.",
        ):
            again(_longer(job, first))
        st.caption(f"Plan `{first}` \N{MIDDLE DOT} {formatting.duration(job.seconds)}")


def _longer(job: Job, plan_id: str) -> Order:
    """Return the order of a training that goes on from what a job trained."""
    recipe = job.order.recipe
    if TRAINING_METHODS.get(recipe.method).regrows:
        recipe = dataclasses.replace(recipe, method=FINETUNE, regrow=False)
    return dataclasses.replace(
        job.order, plan=session.store().plans.get(plan_id), recipe=recipe, rounds=1
    )


def _epochs(count: float) -> str:
    return plural(int(count), "epoch") if count == int(count) else f"{count:.2f} epochs"


def _cards(job: Job, found: Evaluation, words: Words) -> None:
    drop, low, high = job.drop or 0.0, job.drop_low or 0.0, job.drop_high or 0.0
    several = len(job.results) > 1
    with st.grid(4, min_column_width=180):
        for name, score in (
            ("Dense", job.dense),
            ("Pruned", job.pruned),
            ("Before training", job.repaired),
        ):
            st.metric(
                name,
                "-" if score is None else formatting.score(score, words),
                border=True,
                height="stretch",
            )
        st.metric(
            f"{capital(words.label)} after training" + (", mean" if several else ""),
            formatting.score(job.accuracy or 0.0, words),
            **formatting.drop_card(drop, low, high, words),
            help=f"{capital(words.drop_noun)} against dense with its 95 % interval, "
            + ("over the seeds." if several else "paired over the samples."),
            border=True,
            height="stretch",
        )


def _seeds(job: Job, words: Words) -> None:
    rows = [
        {
            "seed": item.seed,
            words.label: formatting.score(item.accuracy, words),
            words.drop_noun: formatting.drop(item.drop, words),
            "95 % interval": formatting.drop_range(item.drop_low, item.drop_high, words),
            "epochs": f"{item.epochs:.2f}",
            "time": formatting.duration(item.seconds),
            "plan": item.plan_id,
        }
        for item in job.results
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="recover_seed_table")


def _ended(job: Job, again: Again) -> None:
    why = job.error or "its process stopped answering"
    is_kept = Jobs(session.workspace()).has_checkpoint(job.job_id)
    said = {
        "failed": ("The training failed", job.error or "no reason was recorded"),
        "cancelled": ("Not finished", job.error or "stopped before the end"),
        "interrupted": ("Interrupted", f"{why}; the checkpoint is kept" if is_kept else why),
    }
    unfinished(
        job.state,
        said,
        comes_again=job.comes_again,
        key=f"recover_resume_{job.job_id}",
        again=lambda: again(job.order),
    )
