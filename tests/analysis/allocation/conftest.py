"""Strategies on plans that are of no model."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.allocation.scored.ranked import global_plan
from analysis.records.plan import Plan
from tests.analysis.allocation.chain import ranked_by_hand


@pytest.fixture(autouse=True)
def scores_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank by chance where the plans are of no model: the subject is a seed, or ranks itself."""
    real = global_plan

    def by_hand(prepared: Any, plan: Plan, *, ratio: float, normalizer: str | None = None) -> Plan:
        if isinstance(prepared, int):
            return ranked_by_hand(plan, ratio, prepared)
        if callable(prepared):
            ranked: Plan = prepared(plan, ratio)
            return ranked
        return real(prepared, plan, ratio=ratio, normalizer=normalizer)

    monkeypatch.setattr("analysis.allocation.scored.ranked.global_plan", by_hand)
