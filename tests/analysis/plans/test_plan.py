"""Plans: pure edits, locks, conflicts, files, undo and redo, predictions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest

from analysis import plans
from analysis.curves.tolerance import tolerated
from analysis.plans.entries import pruned_entries
from analysis.plans.history import MAX_STEPS, History
from analysis.plans.prediction import (
    Prediction,
    entry_drop,
    envelopes,
    plan_table,
    predict,
    predict_from,
)
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from analysis.uncertainty.intervals import Interval
from pruners.errors import InputError, PlanError, UnknownNameError
from tests.analysis.points_tables import GRID, curve, table
from tests.helpers.plans import at_ratio

RISING = [0.0, 0.01, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]


def start(granularity: str = "channel") -> Plan:
    return plans.new_plan(
        SubjectSpec(model="sample:lenet5"),
        fingerprint="f" * 64,
        units=[("conv1", "conv1", 6), ("conv2", "conv2", 16), ("fc1", "fc1", 120)],
        criterion="l1",
        granularity=granularity,
    )


def test_a_new_plan_removes_nothing() -> None:
    assert plans.pruned_entries(start()) == ()
    assert plans.kept_counts(start()) == {}


def test_edits_are_pure() -> None:
    before = start()
    after = plans.set_ratio(before, "conv2", 0.5)
    assert plans.find(before, "conv2").kept == 16
    assert plans.find(after, "conv2").kept == 8
    assert after.entries[0] is before.entries[0]


def test_requested_and_achieved_ratio() -> None:
    entry = plans.find(plans.set_ratio(start(), "conv1", 0.4), "conv1")
    assert (entry.ratio, entry.kept) == (0.4, 4)
    assert plans.achieved(entry) == pytest.approx(1 / 3)


def test_one_channel_stays_but_every_weight_may_go() -> None:
    assert plans.find(plans.set_ratio(start(), "conv1", 1.0), "conv1").kept == 1
    assert plans.find(plans.set_ratio(start("element"), "conv1", 1.0), "conv1").kept == 0


def test_a_pattern_has_one_ratio() -> None:
    after = plans.set_ratio(start("2:4"), "conv2", 0.1)
    assert plans.find(after, "conv2").ratio == 0.5
    assert plans.find(plans.set_ratio(after, "conv2", 0.0), "conv2").kept == 16


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_ratios_outside_are_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        plans.set_ratio(start(), "conv1", ratio)


def test_kept_outside_is_refused() -> None:
    with pytest.raises(InputError, match="conv1: 0 kept asked for, possible are 1 to 6"):
        plans.set_kept(start(), "conv1", 0)


def test_unknown_layers_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"conv9.*known: conv1, conv2, fc1"):
        plans.set_ratio(start(), "conv9", 0.5)


def test_indices_survive_only_what_keeps_them_true() -> None:
    before = plans.set_ratio(start(), "conv1", 0.5)
    entry = dataclasses.replace(plans.find(before, "conv1"), indices=(0, 1, 2))
    before = dataclasses.replace(before, entries=(entry, *before.entries[1:]))
    assert plans.find(plans.lock(before, "conv1"), "conv1").indices == (0, 1, 2)
    assert plans.find(plans.set_ratio(before, "conv1", 0.45), "conv1").indices == (0, 1, 2)
    assert plans.find(plans.set_ratio(before, "conv1", 0.2), "conv1").indices is None
    assert plans.find(plans.set_criterion(before, "conv1", "fpgm"), "conv1").indices is None


def test_bulk_edits_leave_locked_entries() -> None:
    locked = plans.lock(plans.set_ratio(start(), "fc1", 0.2), "fc1")
    after = plans.set_ratio(locked, "conv1", 0.5)
    assert [plans.achieved(entry) for entry in after.entries] == [0.5, 0.0, 0.2]
    assert plans.scale(after, 0.5).entries[2].ratio == 0.2
    assert plans.scale(after, 0.5).entries[0].ratio == 0.25
    assert plans.scale(after, 9, most=0.8).entries[0].ratio == 0.8
    assert [entry.ratio for entry in plans.clear(after).entries] == [0.0, 0.0, 0.2]


def test_conflicting_requests_in_one_group_name_both_layers() -> None:
    groups = {"layer1.conv2": "conv1", "conv1": "conv1"}
    with pytest.raises(PlanError) as caught:
        plans.from_requests(start(), {"conv1": 0.5, "layer1.conv2": 0.3}, group_of=groups.get)
    message = str(caught.value)
    assert "conv1 (ratio 0.5)" in message
    assert "layer1.conv2 (ratio 0.3)" in message
    after = plans.from_requests(start(), {"layer1.conv2": 0.5, "conv1": 0.5}, group_of=groups.get)
    assert plans.find(after, "conv1").kept == 3


def test_requests_for_what_cannot_be_pruned() -> None:
    with pytest.raises(PlanError, match=r"head: a ratio of 0\.5"):
        plans.from_requests(start(), {"head": 0.5}, group_of={}.get)


def test_round_trip(tmp_path: Path) -> None:
    plan = plans.lock(plans.set_ratio(start(), "conv2", 0.5), "conv1")
    path = plans.write_plan(plan, tmp_path / "deep" / "plan.json")
    assert plans.read_plan(path) == plan
    assert json.loads(path.read_text())["schema_version"] == 2
    assert [item.name for item in path.parent.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected object"),
        ('{"subject": {"model": "m"}, "fingerprint": ""}', "missing field entries"),
        ('{"subject": 1, "entries": [], "fingerprint": ""}', "Plan.subject: expected object"),
        ('{"subject": {"model": "m"}, "entries": [], "fingerprint": "", "new": 1}', "unknown"),
        (
            '{"subject": {"model": "m"}, "entries": [], "fingerprint": "", "schema_version": 9}',
            "schema version 9",
        ),
        (
            '{"subject": {"model": "m"}, "entries": [], "fingerprint": "", "semantics": "no"}',
            "unknown semantics 'no'",
        ),
        (
            '{"subject": {"model": "m"}, "entries": [], "fingerprint": "", "reduction": "no"}',
            "unknown reduction 'no'",
        ),
        (
            '{"subject": {"model": "m"}, "entries": [], "fingerprint": "", "repair": "no", '
            '"schema_version": 2}',
            "unknown repair 'no'",
        ),
        ('{"subject": {"model": "m"}, "entries": [{"layer": "a"}], "fingerprint": ""}', "missing"),
    ],
)
def test_bad_plans_give_one_line(text: str, message: str) -> None:
    """Semantics "nope" were taken, a wrong subject was a traceback."""
    with pytest.raises(PlanError, match=message) as caught:
        plans.from_json(text)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read the plan"):
        plans.read_plan(tmp_path / "none.json")


def entry(**changes: object) -> PlanEntry:
    values: dict[str, object] = {
        "layer": "a",
        "group": "a",
        "criterion": "l1",
        "granularity": "channel",
        "ratio": 0.5,
        "kept": 2,
        "total": 4,
    }
    return PlanEntry(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(kept=0)], "keeps 0 of 4"),
        ([entry(indices=(0,))], "1 kept indices listed for a kept count of 2"),
        ([entry(indices=(1, 0))], "different and rising"),
        ([entry(indices=(1, 4))], r"must lie in 0\.\.3"),
        ([entry(), entry(layer="b", kept=3)], "a .keeps 2. and b .keeps 3."),
    ],
)
def test_plans_that_contradict_themselves(entries: list[PlanEntry], message: str) -> None:
    plan = Plan(subject=SubjectSpec(model="m"), fingerprint="f", entries=tuple(entries))
    with pytest.raises(PlanError, match=message):
        plans.check(plan)


def test_masked_weights_and_removed_channels_of_one_layer_go_together() -> None:
    mixed = (entry(), entry(granularity="element", group=None))
    plans.check(Plan(subject=SubjectSpec(model="m"), fingerprint="f", entries=mixed))


def test_a_plan_for_other_weights_or_groups_is_refused() -> None:
    plan = start()
    totals = {("channel", "conv1"): 6, ("channel", "conv2"): 16, ("channel", "fc1"): 120}
    assert plans.check_fits(plan, fingerprint="f" * 64, totals=totals) is plan
    with pytest.raises(PlanError, match=r"made for weights ffffffffffff.*has 000000000000"):
        plans.check_fits(plan, fingerprint="0" * 64, totals=totals)
    with pytest.raises(PlanError, match="conv2 has 16 units, the model has 8"):
        plans.check_fits(plan, fingerprint="f" * 64, totals={**totals, ("channel", "conv2"): 8})
    with pytest.raises(PlanError, match="prunes 'conv2'"):
        plans.check_fits(plan, fingerprint="f" * 64, totals={("channel", "conv1"): 6})
    # The group was right, and the layer that pages and files name was not.
    with pytest.raises(PlanError, match="at 'conv1', which is no layer of"):
        plans.check_fits(plan, fingerprint="f" * 64, totals=totals, layers=["conv2", "fc1"])


def test_compact_and_expand_are_inverse() -> None:
    plan = plans.set_ratio(start(), "conv2", 0.5)
    small = plans.compact(plan)
    assert [item.layer for item in small.entries] == ["conv2"]
    assert plans.expand(small, start()) == plan


def test_history() -> None:
    one = start()
    two = plans.set_ratio(one, "conv1", 0.5)
    three = plans.set_ratio(two, "conv2", 0.5)
    history = History.start(one).do(two, action="conv1 to 50 %").do(three, action="uniform")
    assert history.plan == three
    assert history.undo_action == "uniform"
    back = history.undo()
    assert back.plan == two
    assert back.redo_action == "uniform"
    assert back.redo() == history
    assert back.undo().undo().plan == one
    assert not back.undo().can_undo
    assert history.redo() == history
    other = back.do(one, action="clear")
    assert not other.can_redo
    assert other.undo().plan == two
    assert history.do(three, action="nothing") is history


def test_other_samples_are_no_step_of_a_history() -> None:
    """Undo brought the samples of before back, and pages the new ones: it took nothing back."""
    one = start()
    two = plans.set_ratio(one, one.entries[0].name, 0.5)
    past = History.start(one).do(two, action="half").undo()
    other = dataclasses.replace(one.subject, samples=60, seed=9)
    moved = past.on(other)
    assert (moved.at, moved.redo_action) == (0, "half")
    assert [step.plan.subject for step in moved.steps] == [other, other]
    assert moved.redo().plan == dataclasses.replace(two, subject=other)
    assert past.plan == one


def test_history_is_bounded() -> None:
    history = History.start(start())
    for step in range(MAX_STEPS + 20):
        history = history.do(dataclasses.replace(start(), note=str(step)), action="note")
    assert len(history.steps) == MAX_STEPS
    assert history.plan.note == str(MAX_STEPS + 19)


def measured() -> pd.DataFrame:
    return pd.concat(
        [
            curve(RISING, layer="conv1", total=6, half_width=0.005),
            curve(RISING[:5], layer="conv2", total=16, ratios=GRID[:5], half_width=0.005),
        ],
        ignore_index=True,
    )


def test_prediction_adds_single_drops() -> None:
    plan = plans.set_ratio(plans.set_ratio(start(), "conv1", 0.5), "conv2", 0.5)
    found = predict(plan, measured())
    assert found.drop == pytest.approx(0.03 + 0.03)
    assert found.low == pytest.approx(2 * 0.025)
    assert found.high == pytest.approx(2 * 0.035)
    assert found.unmeasured == found.extrapolated == ()
    assert "assumed" in found.explanation


def test_prediction_says_what_it_does_not_know() -> None:
    plan = at_ratio(start(), ["conv2", "fc1"], 0.8)
    found = predict(plan, measured())
    assert found.unmeasured == ("fc1",)
    assert found.extrapolated == ("conv2",)
    assert found.drop == pytest.approx(0.03)
    assert predict(start(), measured()).drop == 0.0


@pytest.mark.parametrize("dense", [0.0, 0.4, 0.9385, 1.0])
@pytest.mark.parametrize("drop", [-3.1, -0.2, 0.0, 0.3, 3.1535])
def test_a_predicted_accuracy_is_an_accuracy(dense: float, drop: float) -> None:
    """Found in the browser (2): sums of single drops came to -221.5 % accuracy."""
    found = Prediction(drop=drop, low=drop - 0.1, high=drop + 0.1).within(dense)
    assert found.low <= found.drop <= found.high
    for end in (found.low, found.drop, found.high):
        assert -1e-12 <= dense - end <= 1 + 1e-12
    if 0.1 <= dense - drop <= 0.9:
        assert (found.drop, found.low, found.high) == (drop, drop - 0.1, drop + 0.1)


def test_a_prediction_ends_at_no_accuracy_at_all() -> None:
    points = pd.concat(
        [curve([0.7] * 9, layer=name, total=16, dense=0.9) for name in ("conv2", "fc1")],
        ignore_index=True,
    )
    plan = at_ratio(start(), ["conv2", "fc1"], 0.5)
    found, added = predict(plan, points), predict_from(plan, envelopes(points))
    assert found.drop == found.high == pytest.approx(0.9)
    # What the lower ends add up to is impossible, so it is no lower end.
    assert added.low > 0.9
    singles = [entry_drop(entry, envelopes(points)) for entry in pruned_entries(plan)]
    assert found.low == max(single[1] for single in singles if single is not None) < 0.9


def test_a_measurement_outside_of_the_predicted_interval_contradicts_it() -> None:
    found = Prediction(drop=0.03, low=0.02, high=0.04)
    assert found.is_contradicted(Interval(0.05, 0.07, "paired", 100))
    assert found.is_contradicted(Interval(0.0, 0.01, "paired", 100))
    assert not found.is_contradicted(Interval(0.035, 0.07, "paired", 100))
    assert not found.is_contradicted(Interval(0.0, 0.02, "paired", 100))


def laid_out(plan: Plan, points: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    limits = tolerated(points, tolerance=tolerance)
    return plan_table(plan, envelopes(points), limits, tolerance=tolerance)


def test_plan_table() -> None:
    plan = at_ratio(start(), ["conv1", "conv2", "fc1"], 0.8)
    found = laid_out(plan, measured(), tolerance=0.02).set_index("key")
    assert found.loc["conv1", "note"] == "beyond the tolerance of 2 pp"
    assert found.loc["conv2", "note"].endswith("the curve ends at 50\N{NO-BREAK SPACE}%")
    assert found.loc["fc1", "note"] == "not measured by L1 norm"
    # 0.8 and 0.9 of six channels are both five: the envelope takes the larger drop.
    assert found.loc["conv1", "drop"] == pytest.approx(0.07)
    tiny = plans.set_ratio(start(), "conv1", 0.05)
    note = laid_out(tiny, measured(), tolerance=0.02).set_index("key").loc["conv1", "note"]
    assert note == "nothing removed: rounding keeps all 6"


def test_plan_table_without_points() -> None:
    empty = table({("l1", "conv1"): RISING}).iloc[:0]
    found = laid_out(plans.set_ratio(start(), "conv1", 0.5), empty, tolerance=0.01)
    assert found["tolerated"].isna().all()
