"""What a fill may be asked for besides its goal: further budgets, and what each layer keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from analysis import interop
from analysis.allocation import GOALS, STRATEGIES, budgets
from analysis.curves import costs
from analysis.measuring import TORCH
from analysis.sentences import capital
from pages.components.state import tolerance
from pages.components.widgets import formatting

LATENCY = "latency"
# Drop of accuracy that is accepted if nobody says otherwise.
DROP = 0.01


def targets(strategy: str) -> list[str]:
    """Return the goals that a strategy fills up to."""
    needs = STRATEGIES.get(strategy).needs
    found = [goal.name for goal in GOALS if goal.name in needs]
    if "budgets" in needs:
        # Drops are predicted from points, or measured.
        is_known = "points" in needs or STRATEGIES.get(strategy).measures
        found += [goal.name for goal in budgets() if is_known or not goal.is_drop]
    return found


def scale_of(target: str, task: str) -> tuple[float, str]:
    """Return by what pages multiply a goal's number, and its unit."""
    words = tolerance.words_of(task)
    return (
        (words.drop_scale, words.drop_unit or "drop") if GOALS.get(target).is_drop else (100, "%")
    )


def label_of(target: str, task: str) -> str:
    """Return what a goal is called; one in drop by the task's word for it."""
    label = GOALS.get(target).label
    if "drop" not in label.lower():
        return label
    return capital(label.lower().replace("drop", tolerance.words_of(task).drop_noun))


def usual_drops(task: str) -> float:
    """Return how many times as large as those of accuracy usual drops are."""
    return tolerance.words_of(task).tolerance / DROP


def ask(strategy: str, target: str, task: str) -> dict[str, Any]:
    """Draw the choices behind a button.

    Returns:
        Fields of the recipe that are not what they usually are.
    """
    with st.popover("Options", icon=":material/tune:"):
        also = _further(strategy, target, task)
        asked = {
            "budgets": also,
            "min_kept": _least(),
            "equal": st.toggle(
                "Equal counts in equal layers",
                key="plan_equal",
                help="Groups of equal shape and role keep equally many units, as models that are "
                "built from one width need it.",
                persist_state="session",
            ),
        }
        if LATENCY in (target, *(item.partition("=")[0] for item in also)):
            asked["runtime"] = runtime("plan_runtime")
        if "points" in STRATEGIES.get(strategy).needs:
            asked |= _of_curves(task)
    usual = {"budgets": (), "min_kept": 0.0, "cost": "drop", "runtime": TORCH.name}
    return {name: value for name, value in asked.items() if value != usual.get(name, False)}


def runtime(key: str) -> str:
    """Ask what runs the models whose time is measured; return its name."""
    return st.selectbox(
        "Timed by",
        interop.RUNTIMES.names(),
        format_func=lambda name: interop.RUNTIMES.get(name).label,
        key=key,
        width=150,
        persist_state="session",
        help="  \n".join(f"**{item.label}**: {item.help}." for item in interop.RUNTIMES),
    )


def _further(strategy: str, target: str, task: str) -> tuple[str, ...]:
    if not GOALS.get(target).words:
        return ()
    st.caption("The plan also holds to these, where they are given:")
    found = []
    for name in targets(strategy):
        if not GOALS.get(name).words or name == target:
            continue
        scale, unit = scale_of(name, task)
        limit = st.number_input(
            f"{label_of(name, task)}, at most ({unit})",
            min_value=0.0,
            max_value=100.0,
            value=None,
            placeholder="no limit",
            key=f"plan_also_{name}",
            persist_state="session",
        )
        if limit is not None:
            found.append(f"{name}={limit / scale}")
    return tuple(found)


def _least() -> float:
    share = st.number_input(
        "Each layer keeps at least (%)",
        min_value=0.0,
        max_value=99.0,
        value=0.0,
        step=5.0,
        key="plan_min_kept",
        persist_state="session",
    )
    return float(share) / 100


def _of_curves(task: str) -> dict[str, Any]:
    known = costs(task)
    return {
        "cost": st.selectbox(
            "Added up over layers",
            list(known),
            format_func=lambda name: known[name].label,
            key="plan_cost",
            help="What the fill takes for the cost of a layer, from its curve: the sum over all "
            "layers is kept small.",
            persist_state="session",
        ),
        "cautious": st.toggle(
            "Cautious",
            key="plan_cautious",
            help="Read curves at the upper ends of their intervals.",
            persist_state="session",
        ),
        "monotone": st.toggle(
            "Rising fit",
            key="plan_monotone",
            help="Fit rising curves through the points first.",
            persist_state="session",
        ),
    }


def said(extra: Mapping[str, Any], task: str) -> str:
    """Return what was asked in words."""
    parts = [_limit(item, task) for item in extra.get("budgets", ())]
    if "min_kept" in extra:
        parts.append(f"at least {formatting.percent(extra['min_kept'])} of each layer stay")
    words = {
        "equal": "equal counts in equal layers",
        "cautious": "upper ends of the intervals",
        "monotone": "rising curves",
    }
    parts += [text for name, text in words.items() if extra.get(name)]
    if "runtime" in extra:
        parts.append(f"times of {interop.RUNTIMES.get(extra['runtime']).label}")
    if "cost" in extra:
        parts.append(f"the sum of the {costs(task)[extra['cost']].label}")
    return ", ".join(parts)


def _limit(budget: str, task: str) -> str:
    name, _, value = budget.partition("=")
    scale, unit = scale_of(name, task)
    return f"{label_of(name, task)} at most {float(value) * scale:g}{formatting.SPACE}{unit}"
