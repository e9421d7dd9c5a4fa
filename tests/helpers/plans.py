"""Edits of plans that tests need often."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.plans.editing import lock, set_ratio
from analysis.records.plan import Plan


def at_ratio(plan: Plan, names: Iterable[str], ratio: float) -> Plan:
    """Ask for one ratio at several entries."""
    for name in names:
        plan = set_ratio(plan, name, ratio)
    return plan


def kept_dense(plan: Plan, name: str) -> Plan:
    """Keep an entry dense and locked."""
    return lock(set_ratio(plan, name, 0.0), name)
