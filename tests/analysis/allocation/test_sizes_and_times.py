"""Budgets in bytes and in time: against files that are written, and against a clock."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from analysis import allocation, interop, search
from analysis.allocation import Budget, filling, parse_budget
from analysis.measuring import (
    TORCH,
    LatencyTable,
    Runtime,
    RuntimeTimes,
    estimated,
    latency_table,
)
from analysis.plans import meter, removed_model, start_plan
from analysis.plans.editing import set_kept
from analysis.plans.entries import kept_counts
from analysis.records.plan import Plan, Recipe
from analysis.search.goal import goal_of, timing_of
from analysis.sentences import percent
from analysis.tasks import RIGHT_ANSWERS
from pruners.errors import InputError, UnsupportedError
from tests.analysis.points_tables import curve
from tests.helpers.contexts import sample_context

NAMES = ["lenet5", "resnet20", "densenet_small", "vit_tiny"]


def some_counts(plan: Plan, seed: int) -> Plan:
    source = random.Random(seed)
    for entry in plan.entries:
        plan = set_kept(plan, entry.name, source.randint(1, entry.total))
    return plan


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    prepared = sample_context(name)
    plan = some_counts(start_plan(prepared, criterion="l1"), 1)
    path = tmp_path / "weights.safetensors"
    state = removed_model(prepared, plan).state_dict()
    save_file({key: item.contiguous() for key, item in state.items()}, str(path))
    assert meter(prepared).amount(plan, "bytes") == path.stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up(name: str) -> None:
    prepared = sample_context(name)
    sizes, first = meter(prepared), start_plan(prepared, criterion="l1")
    plans = [some_counts(first, seed) for seed in range(4)]
    choices = {
        entry.name: [plan.entries[place].kept for plan in plans]
        for place, entry in enumerate(first.entries)
    }
    source = np.random.default_rng(0)
    for kind in ("params", "macs", "bytes"):
        parts = sizes.amounts(first, kind, choices)
        for _ in range(5):
            at = dict(zip(choices, source.integers(0, 4, len(choices)).tolist(), strict=True))
            plan = first
            for group, place in at.items():
                plan = set_kept(plan, group, choices[group][place])
            changed = sum(
                float(values[tuple(at[group] for group in scope)])
                for scope, values in parts.items()
            )
            # Of the file's header only the digits of its numbers get fewer.
            slack = 2000 if kind == "bytes" else 0
            left = sizes.dense(kind) + changed - sizes.amount(plan, kind)
            assert 0 <= left <= slack
    half = sizes.with_saving("bytes", 0.5)
    assert half.dense("bytes") == sizes.dense("bytes")
    assert half.amount(plan, "bytes") == (sizes.amount(plan, "bytes") + sizes.dense("bytes")) / 2
    halves = half.amounts(first, "bytes", choices)
    assert halves.keys() == parts.keys()
    assert all(torch.equal(2 * halves[scope], values) for scope, values in parts.items())


def curves_of(plan: Plan) -> pd.DataFrame:
    return pd.concat(
        curve([step / 100 for step in range(9)], layer=entry.layer, total=entry.total)
        for entry in plan.entries
    )


def test_a_budget_in_bytes() -> None:
    prepared = sample_context("resnet20")
    plan = start_plan(prepared, criterion="l1")
    for name in ("uniform", "dp", "greedy", "threshold"):
        recipe = Recipe(budgets=("bytes=0.5", "macs=0.6"))
        found = allocation.fill_plan(prepared, plan, name, recipe, points=curves_of(plan))
        assert found.feasible
        assert found.spent["bytes"] <= 0.5
        assert found.spent["macs"] <= 0.6
    whole = meter(prepared).dense("bytes")
    recipe = Recipe(budgets=(f"bytes={whole / 2000}kB",))
    found = allocation.fill_plan(prepared, plan, "uniform", recipe)
    assert 0.45 < found.spent["bytes"] <= 0.5
    zeroed = start_plan(prepared, criterion="l1", granularity="element")
    with pytest.raises(UnsupportedError, match="bytes of the file do not fall"):
        allocation.fill_plan(prepared, zeroed, "uniform", Recipe(budgets=("bytes=0.5",)))


def test_limits_with_units() -> None:
    assert parse_budget("latency=12ms") == Budget("latency", 12.0, "ms")
    assert str(parse_budget("latency=12ms")) == "latency=12.0ms"
    assert parse_budget("latency=12ms").text(RIGHT_ANSWERS.words) == "at most 12 ms"
    assert parse_budget("latency=12ms").share(lambda: 0.048) == pytest.approx(0.25)
    assert parse_budget("bytes=1.5MB").share(lambda: 3e6) == pytest.approx(0.5)
    assert parse_budget("latency=0.5") == Budget("latency", 0.5)
    for text in ("latency=12", "latency=0ms", "latency=ms", "bytes=5ms", "macs=5MB"):
        with pytest.raises(InputError, match="budget"):
            parse_budget(text)


def test_times_of_several_groups_are_not_counted_twice() -> None:
    """A model whose time is its multiply-adds: the estimate is then exact."""
    prepared = sample_context("resnet20")
    cost, plan = prepared.cost, start_plan(prepared, criterion="l1")
    rate = 1e-9
    groups = {
        entry.name: {
            str(kept): rate * cost.predict({entry.name: kept}).macs
            for kept in range(1, entry.total)
        }
        for entry in plan.entries
    }
    table = LatencyTable(batch=1, threads=1, dense=rate * cost.dense.macs, groups=groups)
    as_it_says = RuntimeTimes(dense=table.dense, saved=1.0)
    table = dataclasses.replace(table, runtimes={"torch": as_it_says})
    amount, parts = estimated(table, prepared)
    kept = kept_counts(some_counts(plan, 3))
    assert amount(kept) == pytest.approx(rate * cost.predict(kept).macs)
    choices = {name: [count] for name, count in kept.items()}
    total = table.dense + sum(float(item.sum()) for item in parts(choices).values())
    assert total == pytest.approx(amount(kept))


# Seconds by runtime.
DENSE = {"torch": 1.0, "onnx": 2.0}


def test_a_budget_in_time_holds_for_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock gives half of what the table promises: rounds tighten the limit until it holds.

    Criteria that need no data leave no folder of statistics, which was missed.
    """
    folder = tmp_path / "statistics"
    prepared = dataclasses.replace(sample_context("lenet5"), cache_folder=folder)
    plan = start_plan(prepared, criterion="l1")
    table = latency_table(prepared, [entry.name for entry in plan.entries])
    kept = list(folder.glob("latency-*.json"))
    assert len(kept) == 1
    assert LatencyTable.from_json(kept[0].read_bytes()) == table
    monkeypatch.setattr("analysis.measuring.group_times.compare_latency", None)
    assert latency_table(prepared, [entry.name for entry in plan.entries]) == table

    kept[0].write_text("{}")
    monkeypatch.undo()
    assert latency_table(prepared, ["conv1"]).groups.keys() == {"conv1"}
    # What a runtime saves is measured with the groups of the plan, not of one that came before.
    wider = latency_table(prepared, ["conv2", "conv1"])
    assert wider.runtimes["torch"].groups == ("conv1", "conv2")
    monkeypatch.setattr("analysis.measuring.group_times.compare_latency", None)
    assert latency_table(prepared, ["conv1", "conv2"]) == wider
    monkeypatch.undo()

    by_macs = LatencyTable(
        batch=1,
        threads=1,
        dense=1.0,
        groups={
            entry.name: {
                str(count): prepared.cost.predict({entry.name: count}).macs
                / prepared.cost.dense.macs
                for count in range(1, entry.total)
            }
            for entry in plan.entries
        },
        runtimes={name: RuntimeTimes(dense=seconds, saved=1.0) for name, seconds in DENSE.items()},
    )
    monkeypatch.setattr(filling, "latency_table", lambda prepared, names, runtime: by_macs)
    shares, runtimes = [], set()

    def clock(prepared: object, model: object, runtime: Runtime) -> tuple[float, float]:
        runtimes.add(runtime.name)
        macs = meter_share(model)
        shares.append(1 - (1 - macs) / 2)
        return shares[-1] * DENSE[runtime.name], DENSE[runtime.name]

    sizes = meter(prepared)

    def meter_share(model: object) -> float:
        left = dict(model.named_parameters())  # type: ignore[attr-defined]
        counts = {entry.name: left[f"{entry.layer}.weight"].shape[0] for entry in plan.entries}
        return sizes.predict(counts)[1] / sizes.predict({})[1]

    monkeypatch.setattr(filling, "measured_seconds", clock)
    recipe = Recipe(budgets=("latency=0.7", "params=0.9"))
    found = allocation.fill_plan(prepared, plan, "uniform", recipe)
    assert shares[0] > 0.7
    assert found.feasible
    assert 0.6 < found.spent["latency"] <= 0.7
    assert "measured: " in found.message
    assert found.plan.recipe is not None
    assert found.plan.recipe.budgets == ("latency=0.7", "params=0.9")
    none = allocation.fill_plan(prepared, plan, "uniform", Recipe(budgets=("latency=0.3",)))
    assert not none.feasible
    assert "out of reach" in none.message
    assert none.spent["latency"] > 0.3
    # A first measurement beside a busy machine says that nothing is saved; the next one is right.
    times = iter([1.2, 0.5, 0.5, 0.5])
    monkeypatch.setattr(filling, "measured_seconds", lambda *_: (next(times), 1.0))
    late = allocation.fill_plan(prepared, plan, "uniform", Recipe(budgets=("latency=0.9",)))
    assert late.feasible, late.message
    assert late.spent["latency"] == 0.5
    assert "out of reach" not in late.message
    monkeypatch.setattr(filling, "measured_seconds", clock)
    # Another runtime has another dense time, which seconds are a share of.
    other = interop.RUNTIMES.get("onnx")
    recipe = Recipe(budgets=("latency=1600ms",))
    found = allocation.fill_plan(prepared, plan, "uniform", recipe, runtime=other)
    assert found.feasible
    assert 0.7 < found.spent["latency"] <= 0.8
    assert "measured by ONNX Runtime: " in found.message
    assert found.plan.recipe is not None
    assert (found.plan.recipe.runtime, runtimes) == ("onnx", {"torch", "onnx"})


def test_a_search_keeps_to_times_of_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that saves half of what PyTorch saves: 0.6 of the time there is 0.8 of its own."""
    prepared = sample_context("lenet5")
    plan = start_plan(prepared, criterion="l1")
    sizes = meter(prepared)
    opened: dict[str, int] = {}

    def clock(models: dict[str, nn.Module], *_: object, **options: Any) -> dict[str, Any]:
        runtime = options.get("runtime", TORCH)
        opened[runtime.name] = opened.get(runtime.name, 0) + len(models)
        found = {}
        for name, model in models.items():
            left = dict(model.named_parameters())
            kept = {item.name: left[f"{item.layer}.weight"].shape[0] for item in plan.entries}
            share = sizes.predict(kept)[1] / sizes.predict({})[1]
            seconds = share if runtime is TORCH else 1 + share
            # Other programs only make passes longer; the fastest one tells.
            found[name] = SimpleNamespace(least=seconds)
        return found

    monkeypatch.setattr("analysis.measuring.group_times.compare_latency", clock)
    small = some_counts(plan, 2)
    torch_share = sizes.share(small, "macs")
    for name, share in (("torch", torch_share), ("onnx", (1 + torch_share) / 2)):
        for asked, fits in ((share + 0.005, True), (share - 0.005, False)):
            recipe = Recipe(budgets=(f"latency={asked}",), runtime=name)
            goal = goal_of(prepared, plan, search.Aim(recipe=recipe))
            assert goal.fits(small) is fits, (name, asked)
    # Two models say how the runtime differs; the table of groups stays PyTorch's.
    assert opened["onnx"] == 4
    timing = timing_of(prepared, small, search.Aim(recipe=recipe))
    assert timing is not None
    assert timing.estimate == pytest.approx(timing.share, abs=1e-3)
    assert "by ONNX Runtime" in timing.told
    # An estimate that does not hold is said.
    assert f"more than the {percent(asked, digits=1)} that were asked for" in timing.told
    met = dataclasses.replace(recipe, budgets=(f"latency={asked + 0.01}",))
    timing = timing_of(prepared, small, search.Aim(recipe=met))
    assert timing is not None
    assert "more than" not in timing.told
    assert timing_of(prepared, small, search.Aim(recipe=Recipe(budgets=("macs=0.5",)))) is None
