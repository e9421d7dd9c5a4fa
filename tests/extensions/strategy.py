"""A strategy: every second entry is pruned."""

from __future__ import annotations

import dataclasses

from analysis.allocation import STRATEGIES, Allocation, Request, Strategy
from analysis.plans import set_ratio


def every_second(request: Request) -> Allocation:
    """Prune every second unlocked entry at the ratio."""
    assert request.ratio is not None
    plan = request.plan
    for entry in [entry for entry in plan.entries if not entry.locked][::2]:
        plan = set_ratio(plan, entry.name, request.ratio)
    plan = dataclasses.replace(request.finish(plan), strategy="alternate")
    return Allocation(plan=plan, level=request.ratio)


STRATEGIES.register(
    Strategy(
        "alternate",
        "Alternate",
        "Every second layer at one ratio.",
        needs=frozenset({"ratio"}),
        fn=every_second,
    )
)
