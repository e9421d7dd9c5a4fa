"""The Trade-off page: what each size costs, of plans that were measured; one becomes the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from analysis import figures, interop, search
from analysis.evaluation import LoadedSubject
from analysis.measuring import TORCH, compare_latency
from analysis.plans import pruned_entries, removed_model
from analysis.records import Deployment, MeasuredPlan
from analysis.search import LEVELS
from analysis.sentences import capital
from analysis.shrinking import TRADE_OFF, Order
from analysis.store import content_of
from analysis.tasks import Task
from pages.components import int8
from pages.components.plan import answer, goal, options
from pages.components.state import Session, plan_state, session
from pages.components.widgets import charts, formatting, guarded
from pruners.errors import InputError

SECONDS = 20.0
LATENCY_SECONDS = 0.6
SEARCHED = "search"
CHOSEN = "trade_off_chosen"
FILE = "file"
SIZES = {**goal.SIZES, FILE: "file size"}


def draw(current: Session) -> None:
    """Draw the page."""
    with st.spinner("Loading the subject", show_time=True):
        subject = session.loaded(current.chosen)
    if subject.prepared.subject.evaluation is None:
        raise InputError("a trade-off is measured on data, but the subject has none; see Setup")
    job = goal.current_job(current.chosen, TRADE_OFF)
    found = _measured(current, subject)
    deployed = _deployed(current, subject, found)
    _order(current, subject, is_new=job is None or not job.is_done)
    if job is not None and (job.is_live or not job.is_done):
        goal.follow(current, job)
    elif job is not None:
        for sentence in job.news:
            st.caption(f"Left out: {formatting.message(sentence)}.")
    if not found:
        if job is None or not job.is_live:
            _say_nothing_yet()
        return
    size, table = _size(subject, found, deployed)
    task = subject.prepared.subject.task
    left, right = charts.beside(2, 1)
    with right:
        chosen = _slider(found, table[~table["int8"]], size, task)
    with left:
        charts.show(
            figures.trade_off(
                table,
                size=size,
                label=f"{task.words.label} ({task.words.unit})"
                if task.words.unit
                else task.words.label,
                scale=task.words.scale,
                dense=_dense(subject),
                present=chosen,
                theme=charts.theme(),
            ),
            key="trade_off_chart",
            on_pick=lambda data: _pick(found, data),
            file_name="trade-off",
        )
        st.caption(
            "Filled: found by a search. Hollow: other plans that were measured. Bars are 95 % "
            "intervals. A click makes a plan the session's plan. Points in 8 bits, and sizes of "
            "files, are of plans that Evaluate measured in 8 bits."
        )
    charts.as_table(table, key="trade_off_table", file_name="trade-off")
    _in_8_bits(deployed, task)


def _say_nothing_yet() -> None:
    st.info(
        "Nothing was measured yet. The button searches a plan at each size, without and with "
        "repair, and measures it on samples that the search does not see: some minutes. Plans "
        "that you measure on Plan or Evaluate appear here too.",
        icon=":material/info:",
    )


def _order(current: Session, subject: LoadedSubject, *, is_new: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Measure the trade-off" if is_new else "Measure it for longer",
            type="primary" if is_new else "secondary",
            icon=":material/scatter_plot:",
            key="trade_off_start",
        ):
            last = goal.current_job(current.chosen, TRADE_OFF)
            seconds = SECONDS if is_new or last is None else last.order.seconds + SECONDS
            spec = current.chosen
            if (fewer := search.set_aside(subject.prepared.subject)) is not None:
                # What the search sees is not evaluated: this page shows what is.
                spec = dataclasses.replace(spec, samples=fewer)
                session.choose_subject(spec)
            goal.start(Order(subject=spec, kind=TRADE_OFF, levels=LEVELS, seconds=seconds))
        levels = formatting.listed(
            [formatting.percent(level, digits=0) for level in LEVELS], most=len(LEVELS)
        )
        st.caption(f"Searches at {levels} of the MACs, without and with repair.")


def _measured(current: Session, subject: LoadedSubject) -> dict[str, MeasuredPlan]:
    """Return the measured plans that remove something, by a name."""
    found = [
        item
        for item in current.store.measurements.all(subject.identity)
        if pruned_entries(item.plan)
    ]
    return {f"#{place + 1}": item for place, item in enumerate(found)}


def _deployed(
    current: Session, subject: LoadedSubject, found: dict[str, MeasuredPlan]
) -> dict[str, Deployment]:
    """Return what was measured of the plans in 8 bits, by the same names."""
    kept = {
        content_of(item.plan): item.evaluation.deployment
        for item in current.store.evaluations.all(subject.identity)
    }
    by_name = {name: kept.get(content_of(item.plan)) for name, item in found.items()}
    return {name: item for name, item in by_name.items() if item is not None}


def _in_8_bits(found: dict[str, Deployment], task: Task) -> None:
    st.subheader("In 8 bits", anchor=False)
    if not found:
        st.caption("Evaluate measures a plan in 8 bits; what it finds is compared here.")
        return
    st.dataframe(
        int8.table(found, task.words),
        hide_index=True,
        key="trade_off_int8",
        alt="Plans in float32 and in 8 bits",
    )
    st.caption(
        "All in ONNX Runtime on the processor, on the same samples; the three models of a plan "
        "were timed in turn."
    )


def _table(
    subject: LoadedSubject,
    found: dict[str, MeasuredPlan],
    deployed: dict[str, Deployment],
    runtime: str,
) -> pd.DataFrame:
    task = subject.prepared.subject.task
    all_params, all_macs = subject.dense_size
    times: dict[str, float] = st.session_state.get(_times_key(subject, runtime), {})
    rows = []
    for name, item in found.items():
        params, macs = subject.size(item.plan)
        score, drop = task.score_interval(item.sums, 0.95), task.drop_interval(item.sums, 0.95)
        rows.append(
            {
                "plan": name,
                "name": f"{name} {item.plan.strategy}",
                "recovery": item.plan.recovery_words,
                "way": "trained" if item.plan.trained else item.plan.recovery_words,
                "searched": item.plan.strategy == SEARCHED,
                "macs": macs / max(all_macs, 1),
                "params": params / max(all_params, 1),
                "latency": times.get(item.plan.to_json(), float("nan")),
                "score": task.score(item.sums),
                "low": score.low,
                "high": score.high,
                "drop": task.drop(item.sums),
                "drop_low": drop.low,
                "drop_high": drop.high,
                "samples": item.sums.samples,
                "file": float("nan"),
                "int8": False,
            }
        )
        if name in deployed:
            whole = deployed[name].dense.file_bytes
            rows[-1]["file"] = deployed[name].removed.file_bytes / whole
            rows.append({**rows[-1], **_in_8_bits_row(deployed[name], rows[-1])})
    return pd.DataFrame(rows)


def _in_8_bits_row(found: Deployment, row: dict[str, Any]) -> dict[str, Any]:
    """Return what differs in the row of a plan when its model is in 8 bits."""
    item = found.int8
    time, whole = (
        float("nan") if latency is None else latency.median
        for latency in (item.latency, found.dense.latency)
    )
    return {
        "name": f"{row['name']}, 8 bits",
        "way": f"{row['way']}, 8 bits",
        "latency": time / whole,
        "score": item.accuracy,
        "low": item.low,
        "high": item.high,
        "drop": item.drop,
        "drop_low": item.drop_low,
        "drop_high": item.drop_high,
        "samples": item.sums.samples,
        "file": item.file_bytes / found.dense.file_bytes,
        "int8": True,
    }


def _dense(subject: LoadedSubject) -> float | None:
    return subject.prepared.subject.task.score(subject.baseline().sums)


def _size(
    subject: LoadedSubject, found: dict[str, MeasuredPlan], deployed: dict[str, Deployment]
) -> tuple[str, pd.DataFrame]:
    """Ask for the size that the page shows; return it with the table of the plans."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        size = st.segmented_control(
            "Size",
            list(SIZES) if deployed else [name for name in SIZES if name != FILE],
            default="macs",
            required=True,
            format_func=lambda name: capital(SIZES[name]),
            key="trade_off_size",
            persist_state="session",
        )
        is_time = size == options.LATENCY
        runtime = options.runtime("trade_off_runtime") if is_time else TORCH.name
        table = _table(subject, found, deployed, runtime)
        missing = int(table.loc[~table["int8"], "latency"].isna().sum())
        if is_time and missing:
            if st.button(
                f"Measure latency of {formatting.plural(missing, 'plan')}",
                icon=":material/timer:",
                key="trade_off_latency",
            ):
                with guarded("Latency cannot be measured"):
                    _time(subject, found, runtime)
                    st.rerun()
            st.caption(f"About {formatting.duration(missing * LATENCY_SECONDS)}, on this machine.")
    return str(size), table


def _times_key(subject: LoadedSubject, runtime: str) -> str:
    return f"trade_off_times_{subject.identity.weights}_{runtime}"


def _time(subject: LoadedSubject, found: dict[str, MeasuredPlan], name: str) -> None:
    """Measure plans in turn with the dense model; repair changes no latency."""
    times = st.session_state.setdefault(_times_key(subject, name), {})
    runtime = interop.RUNTIMES.get(name)
    split, prepared = subject.prepared.subject.evaluation, subject.prepared
    assert split is not None
    inputs, _ = next(iter(split.batches(prepared.batch_size)))
    bar = st.progress(0.0, text="Measuring latency")
    for place, item in enumerate(found.values()):
        key = item.plan.to_json()
        if key not in times:
            models = {"dense": prepared.model, "pruned": removed_model(prepared, item.plan)}
            timed = compare_latency(models, inputs, seconds=LATENCY_SECONDS, runtime=runtime)
            times[key] = timed["pruned"].least / timed["dense"].least
        bar.progress((place + 1) / len(found), text="Measuring latency")


def _slider(
    found: dict[str, MeasuredPlan], table: pd.DataFrame, size: str, task: Task
) -> str | None:
    """Draw the budget, which moves along measured plans; return the chosen one."""
    best = figures.best_plans(table, size)
    # Of all kinds: what no smaller plan beats.
    best = best.sort_values(size)
    best = best[best["score"].eq(best["score"].cummax()) & ~best["score"].cummax().duplicated()]
    if best.empty:
        return None
    names = list(best["plan"])
    rows = best.set_index("plan")
    shares = rows[size]
    with st.container(border=True):
        if len(names) > 1:
            if st.session_state.get(CHOSEN) not in names:
                st.session_state[CHOSEN] = names[len(names) // 2]
            name = st.select_slider(
                f"{capital(SIZES[size])} left, measured plans",
                names,
                key=CHOSEN,
                format_func=lambda item: formatting.percent(float(shares[item]), digits=0),
            )
        else:
            name = names[0]
        row, words = rows.loc[name], task.words
        st.metric(
            f"{capital(words.label)}, {row['recovery']}",
            formatting.score(row["score"], words),
            **formatting.drop_card(row["drop"], row["drop_low"], row["drop_high"], words),
        )
        st.markdown(
            f"**{formatting.percent(row['macs'], digits=1)}** of the MACs, "
            f"**{formatting.percent(row['params'], digits=1)}** of the parameters left."
        )
        # Before the page is drawn: its sidebar is of the plan, too.
        st.button(
            "Make it the plan",
            type="primary",
            icon=":material/tune:",
            key="trade_off_use",
            on_click=_use,
            args=(found[name],),
            width="stretch",
        )
    return str(name)


def _pick(found: dict[str, MeasuredPlan], data: Sequence[Any]) -> None:
    if data[0] in found:
        _use(found[data[0]])


def _use(item: MeasuredPlan) -> None:
    """Make a measured plan the session's plan."""
    with guarded("The plan cannot be taken"):
        plan_id = session.store().plans.id_of(item.plan) or plan_state.save(item.plan)
        answer.adopt(plan_id)
        st.toast(f"Plan {plan_id} is the plan now.", icon=":material/tune:")
