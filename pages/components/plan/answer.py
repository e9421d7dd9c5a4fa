"""What a job found: the model before and after, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import streamlit as st

from analysis import search
from analysis.records import Evaluation
from analysis.sentences import capital
from analysis.shrinking import Job, missed_drop
from analysis.tasks import Words
from pages.components.state import Session, evaluations, plan_state, session, tolerance, url_state
from pages.components.widgets import formatting, go, size_card


def draw(current: Session, job: Job, *, again: Callable[[], None]) -> None:
    """Draw the answer of a job.

    Args:
        current: The session.
        job: It is done, and has a plan.
        again: Searches longer.
    """
    assert job.evaluation is not None
    found = Evaluation.from_dict(job.evaluation)
    words = tolerance.words_of(job.order.subject.task)
    for sentence in _verdict(job, found, words):
        st.markdown(sentence)
    _cards(found, words)
    worst = _worst(found)
    if worst:
        st.markdown(worst)
    if job.news:
        # Whether a time holds is told there.
        is_open = search.limits_time(job.order.recipe)
        with st.expander(
            "How it was found", icon=":material/history:", key="goal_news", expanded=is_open
        ):
            st.markdown("\n".join(f"- {formatting.message(item)}" for item in job.news))
    with st.container(horizontal=True, vertical_alignment="center"):
        _actions(job, found, again)


def _verdict(job: Job, found: Evaluation, words: Words) -> Iterator[str]:
    """Yield what was found, and whether it is what was asked for."""
    title = formatting.escaped(formatting.title_of_subject(job.order.subject))
    how = f", {formatting.escaped(found.recovery_words)}" if found.is_recovered else ""
    how += "" if found.trained or not found.is_recovered else " without training"
    missed = missed_drop(job.order.recipe, found)
    sign = ":green[:material/check_circle:]"
    if missed or found.is_dense:
        sign = ":orange[:material/warning:]"
    name = "The dense" if found.is_dense else "A smaller"
    yield (
        f"{sign} **{name} {title}**{how}. Measured on "
        f"{formatting.plural(found.samples, 'sample')} that the search did not see."
    )
    if found.is_dense:
        yield (
            "Nothing smaller was found that holds: search longer, or allow a larger "
            f"{words.drop_noun}."
        )
    if missed is not None:
        yield (
            f"There it loses more than the {formatting.drop(missed, words)} that were asked for, "
            f"{_why_missed(job, found)}"
        )
    if job.order.recover and not found.trained and not job.stopped:
        yield "It is not trained: *How it was found* says why."


def _actions(job: Job, found: Evaluation, again: Callable[[], None]) -> None:
    """Draw what to do with the answer."""
    to_export = st.button("Export", type="primary", icon=":material/ios_share:", key="goal_export")
    to_plan = st.button(
        "Adjust",
        icon=":material/tune:",
        key="goal_adjust",
        help="Makes it the plan of this session: table, ratios and repair.",
    )
    if to_export or to_plan:
        adopt(job.plan_ids[0], found)
        go("Export" if to_export else "Plan")
    if st.button(
        "Search a minute longer",
        icon=":material/more_time:",
        key="goal_longer",
        help="Goes on where the search ended.",
    ):
        again()
    early = ", stopped early" if job.stopped else ""
    st.caption(f"Plan `{job.plan_ids[0]}` \N{MIDDLE DOT} {formatting.duration(job.seconds)}{early}")


def _why_missed(job: Job, found: Evaluation) -> str:
    """Return why a drop does not hold, and what to do."""
    if job.order.recover and job.stopped and not found.trained:
        return "since it was stopped before the training that gives it back. Let it go on to train."
    return "which held on the samples of the search. Ask for a little less, or search longer."


def adopt(plan_id: str, found: Evaluation | None = None) -> None:
    """Make a saved plan the session's plan, with what was measured of it.

    Raises:
        PruneScopeError: The plan is not there any more, or its subject cannot be loaded.
    """
    plan = session.store().plans.get(plan_id)
    with st.spinner("Loading the plan", show_time=True):
        subject = session.loaded(plan.subject)
        session.choose_subject(plan.subject)
        url_state.put("plan", plan_id)
        plan_state.leave()
        plan = plan_state.ensure(session.open_session(), subject.prepared)
        if found is not None:
            evaluations.keep(subject, plan, found)


def _cards(found: Evaluation, words: Words) -> None:
    dense, removed = found.dense, found.removed
    word = capital(words.label) if found.labelled else "Same answer as dense"
    with st.grid(4, min_column_width=200):
        st.metric(
            word,
            formatting.score(removed.accuracy, words),
            **formatting.drop_card(removed.drop, removed.drop_low, removed.drop_high, words),
            help=f"Dense: {formatting.score(dense.accuracy, words)}. 95 % interval of the smaller "
            f"model: {formatting.score_range(removed.low, removed.high, words)}.",
            border=True,
            height="stretch",
        )
        size_card("MACs per sample", dense.macs, removed.macs)
        size_card("Parameters", dense.params, removed.params)
        if dense.latency is not None and removed.latency is not None:
            before, after = dense.latency, removed.latency
            st.metric(
                "Latency, median",
                formatting.milliseconds(after.median),
                **formatting.time_change(before, after, is_same=found.is_dense),
                help=f"A batch of {after.batch} on {after.device}. "
                f"{formatting.time_share(before, after)}",
                border=True,
                height="stretch",
            )


def _worst(found: Evaluation) -> str:
    """Return what happens to the class that loses most; empty without classes."""
    if not found.classes:
        return ""
    worst = min(found.classes, key=lambda item: item.change)
    if worst.change >= 0:
        return "No class loses."
    chance = "" if worst.clear else " (within chance)"
    return (
        f"Worst class: **{formatting.escaped(worst.class_name)}**, "
        f"{formatting.percent(worst.dense, digits=1)} \N{RIGHTWARDS ARROW} "
        f"{formatting.percent(worst.pruned, digits=1)}, "
        f"{formatting.signed(100 * worst.change, digits=1)}{formatting.SPACE}pp{chance}."
    )
