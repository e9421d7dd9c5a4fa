"""Goal first: what is asked for, one button, and the job that looks for it."""

from __future__ import annotations

import dataclasses

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis import allocation, interop
from analysis.measuring import TORCH
from analysis.records import QUEUED, Plan, Recipe, SubjectSpec
from analysis.retraining import PRESETS
from analysis.sentences import plural
from analysis.shrinking import ANSWER, LOOSER, MOST, STEPS, TRADE_OFF, Job, Jobs, Order
from analysis.tasks import Words
from pages.components.plan import answer, options
from pages.components.state import Session, session, tolerance, url_state
from pages.components.widgets import formatting, guarded, refreshed, unfinished
from pruners.errors import PruneScopeError

# Size -> how it is called, and which way round a job makes it small.
SIZES = {"macs": "MACs", "params": "parameters", "latency": "latency"}
POLL_SECONDS = 1.0
# What the bar leaves for a stage that does not say how long it takes.
LAST_SECONDS = 8.0
NO_TRAINING = ""
# Of the searches before trainings, all together.
TRAINED_SECONDS = 120.0


def jobs() -> Jobs:
    """Return the jobs of the workspace."""
    return Jobs(session.workspace())


def current_job(spec: SubjectSpec | None, kind: str = ANSWER) -> Job | None:
    """Return the job of the address; else the last one of a subject; None without one."""
    name = url_state.value("goal")
    if name is not None and kind == ANSWER:
        try:
            return jobs().get(name)
        except PruneScopeError:
            url_state.put("goal", None)
    return None if spec is None else jobs().newest(spec, kind)


def ask(spec: SubjectSpec, *, label: str, plan: Plan | None = None) -> None:
    """Draw the goal and its button.

    Args:
        spec: The subject.
        label: What the goal is for, above it.
        plan: Its locked entries stay, and its repair holds; None: all that can be pruned.
    """
    if label:
        st.markdown(label)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        # What belongs together stays together where the page is narrow.
        with _row():
            drop = _drop(tolerance.words_of(spec.task))
        with _row():
            size, measure, runtime = _size()
        recover = _recover()
    train_data = _training(recover, by_drop=bool(drop)) if recover else ""
    budgets = tuple(filter(None, (size, drop)))
    if st.button(
        "Find a smaller model",
        type="primary",
        icon=":material/bolt:",
        key="goal_start",
        disabled=not budgets,
    ):
        order = Order(
            subject=spec,
            recipe=Recipe(budgets=budgets, criteria=allocation.BEST, runtime=runtime),
            measure=measure if measure in ("macs", "params") else "macs",
            plan=plan,
            recover=recover,
            train_data=train_data,
        )
        if recover:
            order = dataclasses.replace(order, seconds=TRAINED_SECONDS)
        start(order)


def _row() -> DeltaGenerator:
    return st.container(horizontal=True, vertical_alignment="bottom", width="content")


def _drop(words: Words) -> str:
    """Ask what may be lost; return it as a budget, empty where all may be."""
    is_asked = st.checkbox(
        "Lose at most", value=True, key="goal_by_drop", width="content", persist_state="session"
    )
    drop = st.number_input(
        words.drop_unit or "Drop",
        min_value=0.0,
        value=words.tolerance * words.drop_scale,
        step=0.25,
        key=f"goal_drop_{words.drop_unit}",
        disabled=not is_asked,
        width=110,
        persist_state="session",
    )
    return f"drop={float(drop) / words.drop_scale:.6g}" if is_asked else ""


def _size() -> tuple[str, str, str]:
    """Ask how small; return it as a budget or empty, with its measure and runtime."""
    is_asked = st.checkbox(
        "Make it", value=False, key="goal_by_size", width="content", persist_state="session"
    )
    times = st.number_input(
        "times smaller",
        min_value=1.0,
        max_value=100.0,
        value=2.0,
        step=0.5,
        key="goal_times",
        disabled=not is_asked,
        width=110,
        persist_state="session",
    )
    measure = st.selectbox(
        "in",
        list(SIZES),
        format_func=SIZES.__getitem__,
        key="goal_measure",
        width=140,
        persist_state="session",
        help="Without *Make it*, this is what gets as small as the drop allows; latency counts "
        "as MACs there.",
    )
    is_timed = is_asked and measure == options.LATENCY
    runtime = options.runtime("goal_runtime") if is_timed else TORCH.name
    return (f"{measure}={1 / float(times):.6g}" if is_asked else ""), measure, runtime


def _recover() -> str:
    """Ask for a training after the search; return the name of its preset."""
    return st.selectbox(
        "then train",
        [NO_TRAINING, *PRESETS.names()],
        format_func=lambda name: PRESETS.get(name).label if name else "No",
        key="goal_recover",
        width=140,
        persist_state="session",
        help="A training gives back much of what pruning loses, so the model gets smaller at "
        "the same drop.  \n" + "  \n".join(f"**{item.label}**: {item.help}." for item in PRESETS),
    )


def _training(preset: str, *, by_drop: bool) -> str:
    """Draw what a training is of and what it will take; return the address of its data."""
    address = st.text_input(
        "Training data",
        placeholder="the training samples that come with the data",
        key="goal_train_data",
        width=420,
        persist_state="session",
        help="An address as for data: never what is evaluated. For Fashion-MNIST's 60,000 "
        "images: `fashion-mnist:FOLDER` with the original files. Few samples teach little: the "
        "2,000 that come with the sample models may give nothing back.",
    ).strip()
    most = plural(round(TRAINED_SECONDS / 60), "minute")
    about = (
        f"Searches for about {most} for a model that loses up to {LOOSER:g} times as much, and "
        f"trains it ({PRESETS.get(preset).help}). If it then still loses too much, again more "
        f"strictly: at most {plural(MOST, 'training')}."
        if by_drop
        else f"Searches for about {most}, and trains once ({PRESETS.get(preset).help})."
    )
    st.caption(f"{about} What a training takes is told once its first steps are timed.")
    return address


def start(order: Order) -> None:
    """Start a job, or go on with it, and make the session look at it."""
    with guarded("The search cannot be started"):
        name = jobs().start(order, roots=session.roots())
        if order.kind == ANSWER:
            url_state.put("goal", name)
        st.rerun()


def follow(current: Session, job: Job | None) -> None:
    """Draw how far a job is, or what it found."""
    if job is None:
        return
    with st.container(border=True):
        if job.is_live:
            refreshed(
                _progress, job.job_id, every=POLL_SECONDS, title="The search cannot be followed"
            )
        elif job.is_done:
            answer.draw(current, job, again=lambda: _longer(job))
        else:
            _ended(job)


def asked(order: Order) -> str:
    """Return what an order asks for, in words."""
    words = tolerance.words_of(order.subject.task)
    parts = []
    for budget in allocation.parse_budgets(order.recipe.budgets):
        if budget.is_drop:
            parts.append(f"at most {formatting.drop(budget.limit, words)} lost")
        else:
            size = SIZES.get(budget.kind, budget.kind)
            by = (
                f" by {interop.RUNTIMES.get(order.recipe.runtime).label}"
                if budget.kind == options.LATENCY
                else ""
            )
            parts.append(f"at most {formatting.percent(budget.limit, digits=0)} of the {size}{by}")
    if order.recover:
        parts.append(f"{PRESETS.get(order.recover).label.lower()} training")
    return ", ".join(parts)


def _progress(name: str) -> None:
    job = jobs().get(name)
    if not job.is_live:
        st.rerun()
    words = tolerance.words_of(job.order.subject.task)
    title = formatting.escaped(formatting.title_of_subject(job.order.subject))
    st.markdown(f"**Searching: {asked(job.order) or 'the trade-off'}** \N{MIDDLE DOT} {title}")
    left = LAST_SECONDS if job.eta_seconds is None else job.eta_seconds
    is_training = job.progress.unit == STEPS
    is_counted = job.order.kind == TRADE_OFF or is_training
    share = job.progress.fraction if is_counted else job.seconds / (job.seconds + left)
    # While its process starts nobody knows how long it takes.
    st.progress(0.0 if job.state == QUEUED else share, text=_stage(job))
    with st.container(horizontal=True, vertical_alignment="center"):
        is_goal = job.order.kind == ANSWER
        best = "No plan keeps to it yet." if is_goal else "No plan was measured yet."
        if job.share is not None and job.drop is not None:
            size = SIZES.get(_measure(job), "size")
            which = "Before the training" if is_training else "Best so far"
            best = (
                f"{which}: **{formatting.percent(job.share, digits=1)}** of the {size} left, "
                f"{formatting.drop(job.drop, words)} lost on the search data."
            )
        st.markdown(best, width="stretch")
        is_asked = jobs().is_stopped(name)
        st.button(
            "Stopping" if is_asked else "Stop, keep the best" if job.share is not None else "Stop",
            icon=":material/stop_circle:",
            key=f"goal_stop_{name}",
            on_click=jobs().stop,
            args=(name,),
            disabled=is_asked,
        )
    for sentence in job.news:
        st.caption(formatting.message(sentence))
    st.caption(
        "It goes on when you leave this page"
        + (f"; it sees only {formatting.escaped(job.searched_on)}." if job.searched_on else ".")
    )


def _stage(job: Job) -> str:
    parts = [job.stage]
    if job.progress.total:
        parts.append(formatting.progress(job.progress))
    if job.eta_seconds is not None:
        parts.append(f"about {formatting.duration(job.eta_seconds)} left")
    return " \N{MIDDLE DOT} ".join(parts)


def _measure(job: Job) -> str:
    kinds = [item.kind for item in allocation.parse_budgets(job.order.recipe.budgets)]
    return next((kind for kind in kinds if kind != "drop"), job.order.measure)


def _longer(job: Job) -> None:
    start(dataclasses.replace(job.order, seconds=job.order.seconds + 60))


def _ended(job: Job) -> None:
    said = {
        "failed": ("Nothing was found", job.error or "no reason was recorded"),
        "cancelled": ("Stopped", job.error or "stopped before a plan was found"),
        "interrupted": (
            "Interrupted",
            f"{job.error or 'its process stopped answering'}; what it tried is kept",
        ),
    }
    unfinished(
        job.state,
        said,
        about=asked(job.order),
        comes_again=job.comes_again,
        key=f"goal_resume_{job.job_id}",
        again=lambda: start(job.order),
    )
