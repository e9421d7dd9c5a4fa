"""Plans of a workspace."""

from __future__ import annotations

import pytest

from analysis.records.plan import Plan, PlanEntry
from analysis.store.store import Store
from pruners.errors import (
    UnknownNameError,
)
from tests.helpers.store_writer import (
    SPEC,
)


class TestPlans:
    PLAN = Plan(
        subject=SPEC.subject,
        fingerprint="w",
        entries=(
            PlanEntry(
                layer="a",
                group="a",
                criterion="l1",
                granularity="channel",
                ratio=0.5,
                kept=2,
                total=4,
                indices=(1, 3),
            ),
        ),
    )

    def test_a_plan_is_known_by_what_its_model_is(self, store: Store) -> None:
        from dataclasses import replace

        kept = store.plans.save(replace(self.PLAN, note="mine"))
        (entry,) = self.PLAN.entries
        assert store.plans.id_of(self.PLAN) == kept
        assert store.plans.id_of(replace(self.PLAN, fingerprint="v")) is None
        assert store.plans.id_of(replace(self.PLAN, repair="bn")) is None
        other = replace(self.PLAN, entries=(replace(entry, indices=(0, 3)),))
        assert store.plans.id_of(other) is None

    def test_saved_changed_listed_deleted(self, store: Store) -> None:
        from dataclasses import replace

        first = store.plans.save(self.PLAN)
        second = store.plans.save(replace(self.PLAN, note="two", fingerprint="v"))
        assert store.plans.get(first) == self.PLAN
        changed = replace(self.PLAN, note="changed")
        assert store.plans.save(changed, plan_id=first) == first
        assert store.plans.get(first) == changed
        assert [item.plan_id for item in store.plans.saved()] == [first, second]
        store.plans.delete(first)
        with pytest.raises(UnknownNameError, match="unknown plan"):
            store.plans.get(first)
