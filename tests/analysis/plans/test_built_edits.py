"""Edits of a plan: each entry's is built once, and is what it would be if built anew."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import random
from collections import Counter
from typing import Any

import pytest
import torch

from analysis import plans
from analysis.edits import target
from analysis.edits.edit import Edit
from analysis.edits.prepared import PreparedSubject
from analysis.plans import apply
from analysis.plans.built_edits import BuiltEdits
from analysis.records.plan import Plan
from tests.helpers.contexts import sample_context

MODELS = ["vit_tiny", "densenet_small", "resnet20"]


def subject(name: str) -> PreparedSubject:
    """A subject that has built nothing yet."""
    return dataclasses.replace(sample_context(name))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often edits are built, scores are ranked, and targets are made."""
    counts: Counter[str] = Counter()
    for module, name in ((apply, "edit_for"), (apply, "kept_units"), (target, "Target")):
        original = getattr(module, name)

        def counted(*args: Any, name: str = name, original: Any = original, **more: Any) -> Any:
            counts[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(module, name, counted)
    return counts


def uniform(prepared: PreparedSubject, **options: Any) -> Plan:
    plan = plans.start_plan(prepared, criterion="l1", **options)
    for entry in plan.entries:
        plan = plans.set_ratio(plan, entry.name, 0.4)
    return plan


def equal(one: Edit, other: Edit) -> bool:
    return (
        one.kept == other.kept
        and one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


@pytest.mark.parametrize("name", MODELS)
def test_an_edit_of_one_entry_builds_its_edit_alone(name: str, calls: Counter[str]) -> None:
    """Found in review: all edits were built again, all targets listed once per entry."""
    prepared = subject(name)
    plan = uniform(prepared)
    every = sum(group.kind == "channel" for group in prepared.require_structure().groups)
    count = len(plans.pruned_entries(plan))
    plans.plan_edit(prepared, plan)
    assert calls == {"edit_for": count, "kept_units": count, "Target": every}
    plans.plan_edit(prepared, plan)
    plans.plan_edit(prepared, plans.lock(plan, plan.entries[0].name))
    assert calls["edit_for"] == count
    last = plan.entries[-1].name
    plans.plan_edit(prepared, plans.set_ratio(plan, last, 0.6))
    assert calls == {"edit_for": count + 1, "kept_units": count + 1, "Target": every}


@pytest.mark.parametrize("semantics", ["removal", "weights"])
@pytest.mark.parametrize("name", MODELS)
def test_edits_that_were_kept_are_those_that_would_be_built(name: str, semantics: str) -> None:
    prepared, chance = subject(name), random.Random(0)
    plan = uniform(prepared, semantics=semantics)
    for _ in range(12):
        key = chance.choice(plan.entries).name
        plan = plans.set_ratio(plan, key, chance.choice([0.0, 0.2, 0.4, 0.6]))
        if chance.random() < 0.3:
            plan = plans.set_criterion(plan, key, chance.choice(["l1", "fpgm"]))
        assert equal(plans.plan_edit(prepared, plan), plans.plan_edit(subject(name), plan))


def test_what_other_plans_left_in_a_weight_is_gone_with_them() -> None:
    """Found with measured plans: an edit that another plan had begun was taken for one from dense.

    The first plan prunes two groups that edit one weight; the second the first group otherwise, so
    that nobody holds what the other one started from; the third the other group alone.
    """
    prepared = subject("densenet_small")
    dense = plans.start_plan(prepared, criterion="l1")
    alone = {entry.name: plans.set_ratio(dense, entry.name, 0.5) for entry in dense.entries}
    edited = {key: plans.plan_edit(prepared, plan).tensors.keys() for key, plan in alone.items()}
    pairs = [
        pair for pair in itertools.combinations(edited, 2) if edited[pair[0]] & edited[pair[1]]
    ]
    assert pairs
    for one, other in pairs[:: len(pairs) // 5]:
        both = plans.set_ratio(alone[one], other, 0.5)
        for plan in (both, plans.set_ratio(dense, one, 0.25), alone[other]):
            found = plans.plan_edit(prepared, plan)
            assert equal(found, plans.plan_edit(subject("densenet_small"), plan))
            del found
            gc.collect()


@pytest.mark.parametrize("name", MODELS)
def test_plans_that_have_nothing_in_common_follow_each_other(name: str) -> None:
    prepared, chance = subject(name), random.Random(1)
    dense = plans.start_plan(prepared, criterion="l1")
    for _ in range(12):
        plan = dense
        for key in chance.sample([item.name for item in dense.entries], 4):
            plan = plans.set_ratio(plan, key, chance.choice([0.2, 0.5]))
        assert equal(plans.plan_edit(prepared, plan), plans.plan_edit(subject(name), plan))


def test_weights_and_channels_of_one_layer_start_from_each_other() -> None:
    prepared = subject("lenet5")
    channels = uniform(prepared)
    weights = uniform(prepared, granularity="element")
    both = dataclasses.replace(channels, entries=(*channels.entries, *weights.entries))
    first = plans.plan_edit(prepared, both)
    assert equal(first, plans.plan_edit(subject("lenet5"), both))
    other = plans.set_ratio(channels, channels.entries[0].name, 0.8)
    changed = dataclasses.replace(both, entries=(*other.entries, *weights.entries))
    found = plans.plan_edit(prepared, changed)
    assert equal(found, plans.plan_edit(subject("lenet5"), changed))
    assert not equal(found, first)
    assert equal(plans.plan_edit(prepared, both), first)


def test_edits_beyond_the_memory_are_built_each_time() -> None:
    entry = uniform(subject("lenet5")).entries[0]
    weight = torch.zeros(10)
    built: list[int] = []

    def build() -> Edit:
        built.append(1)
        return Edit({"weight": weight.clone()})

    for max_bytes, count in ((40, 1), (39, 3)):
        built.clear()
        held = BuiltEdits(max_bytes=max_bytes)
        for _ in range(3):
            assert set(held.edit(entry, "removal", {}, build).tensors) == {"weight"}
        assert len(built) == count
    held.edit(entry, "removal", {}, build)
