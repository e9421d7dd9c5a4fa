"""The Recover page: what is trained, how it goes, and what came of it."""

from __future__ import annotations

import streamlit as st

from analysis.plans import pruned_entries
from analysis.records import Plan
from analysis.recovery.training import TRAINING_METHODS
from analysis.retraining import Job, Jobs, Order
from analysis.sentences import plural
from analysis.store import content_of
from pages.components.recover import recipe, running
from pages.components.state import Session, session, url_state
from pages.components.widgets import formatting, guarded, ribbon
from pruners.errors import PruneScopeError


def draw(current: Session, plan: Plan) -> None:
    """Draw the page."""
    job = _job(plan)
    if job is not None:
        if not _is_of(job, plan):
            ribbon("This training is of another plan than the one of this session.")
        running.follow(current, job, again=_start)
        if job.is_live:
            return
    with st.container(border=True):
        _order(plan, is_new=job is None)


def _job(plan: Plan) -> Job | None:
    """Return the training of the address; else the last one of this plan."""
    name = url_state.value("training")
    jobs = Jobs(session.workspace())
    if name is not None:
        try:
            return jobs.get(name)
        except PruneScopeError:
            url_state.put("training", None)
    return next((job for job in jobs.all() if _is_of(job, plan)), None)


def _is_of(job: Job, plan: Plan) -> bool:
    """Return whether a training began with a plan, or made it."""
    if job.order.subject != plan.subject:
        return False
    if url_state.value("plan") in job.plan_ids:
        return True
    return content_of(job.order.plan) == content_of(plan)


def _order(plan: Plan, *, is_new: bool) -> None:
    """Draw what can be ordered, and the button."""
    st.markdown("**Train the pruned model**" if is_new else "**Train again**")
    start = st.empty()
    chosen, seeds = recipe.choose(plan)
    start.caption(_starts_from(plan, chosen.method))
    order = Order(subject=plan.subject, plan=plan, recipe=chosen, seeds=seeds)
    with st.container(horizontal=True, vertical_alignment="center"):
        icon = ":material/model_training:"
        if st.button("Train", type="primary", icon=icon, key="recover_start"):
            _start(order)
        if st.button(
            "Tell the cost",
            icon=":material/timer:",
            key="recover_cost",
            help="Times a few steps of this recipe; nothing of them is kept.",
        ):
            with st.spinner("Timing a few steps", show_time=True):
                st.session_state[running.COST] = (order.job_id, running.cost(order))
        told = st.session_state.get(running.COST)
        if told is not None and told[0] == order.job_id:
            st.markdown(told[1], width="stretch")


def _starts_from(plan: Plan, method: str) -> str:
    count = plural(len(pruned_entries(plan)), "pruned layer")
    if TRAINING_METHODS.get(method).regrows:
        return f"{count}; {method} prunes on the way, so it starts from the dense weights."
    if plan.trained:
        return f"{count}; it goes on from the trained weights ({formatting.escaped(plan.trained)})."
    if plan.is_recovered:
        return f"{count}; it starts from the weights repaired by {plan.repair}."
    return f"{count}; it starts from the weights as they are, without repair."


def _start(order: Order) -> None:
    """Start a training, or go on with it, and make the session look at it."""
    with guarded("The training cannot be started"):
        url_state.put("training", Jobs(session.workspace()).start(order, roots=session.roots()))
        st.rerun()
