"""Predictions from a small run: of one layer, of several, without a probe, after repair."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis import plans
from analysis.plans import ADDED, CURVE, TOGETHER
from analysis.prediction import Forecaster, ProbedCurves
from analysis.records import (
    Change,
    MeasuredPlan,
    Plan,
    PointKey,
    Probe,
    SubjectSpec,
    Sums,
    SweepSpec,
    columns_digest,
    columns_digests,
)
from analysis.tasks import CLASSIFICATION
from tests.analysis.points_tables import curve

SPEC = SweepSpec(subject=SubjectSpec(model="m", data="d"), criteria=("l1",))
RATIOS = [0.25, 0.5, 0.75]
LAYERS = {"a": 8, "b": 8, "c": 4}


def points() -> pd.DataFrame:
    drops = {"a": [-0.01, 0.02, 0.3], "b": [0.01, 0.05, 0.4], "c": [0.0, 0.1, 0.5]}
    tables = [
        curve(drops[name], layer=name, total=total, ratios=RATIOS, half_width=0.005)
        for name, total in LAYERS.items()
    ]
    return pd.concat(tables, ignore_index=True)


def probe(*, samples: int = 400, fewer: int | None = None) -> Probe:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, samples)
    dense = generator.normal(size=(samples, 4)).astype(np.float32)
    dense[np.arange(samples), truth] += 3
    changes = {}
    for layer, total in LAYERS.items():
        direction = generator.normal(size=(samples, 4))
        for ratio in RATIOS:
            key = PointKey(
                criterion="l1",
                granularity="channel",
                layer=layer,
                group=layer,
                ratio_requested=ratio,
                kept=round(total * (1 - ratio)),
                total=total,
            )
            count = fewer if layer == "c" and fewer else samples
            changes[key] = (2 * ratio * direction).astype(np.float16)[:count]
    return Probe(dense, truth, changes)


def probed(**options: int) -> ProbedCurves:
    return ProbedCurves(points(), probe(**options), CLASSIFICATION)


def plan(**ratios: float) -> Plan:
    found = plans.new_plan(
        SPEC.subject,
        fingerprint="f",
        units=[(name, name, total) for name, total in LAYERS.items()],
        criterion="l1",
        granularity="channel",
    )
    for name, ratio in ratios.items():
        found = plans.set_ratio(found, name, ratio)
    return found


def measured(item: Plan, lost: int, change: np.ndarray | None = None) -> MeasuredPlan:
    terms = {"correct": 900 - lost, "gained": 0, "lost": lost, "agree": 0, "loss": 0.0, "kl": 0.0}
    shown = None if change is None else Change("", change.astype(np.float16))
    return MeasuredPlan(item, Sums(samples=1000, terms=terms), shown)


def shown(item: Plan, *, together: float = 3.0) -> MeasuredPlan:
    """Return a plan whose layers do something together that no curve tells."""
    known, pruned = probe(), plans.pruned_entries(item)
    by_name = {(key.layer, key.kept): value for key, value in known.changes.items()}
    change = sum(by_name[entry.layer, entry.kept].astype(np.float32) for entry in pruned)
    size = np.prod([1 - entry.kept / entry.total for entry in pruned])
    direction = np.random.default_rng(1).normal(size=known.dense.shape)
    change = change + together * size * direction
    right = [
        (outputs.argmax(1) == known.truth).sum() for outputs in (known.dense, known.dense + change)
    ]
    return measured(item, int(right[0] - right[1]) * 1000 // len(change), change)


def test_of_one_layer_the_curve_is_told_below_zero_too() -> None:
    """Found in the browser: the prediction said 0 where Curves said that accuracy rises."""
    found = Forecaster(SPEC, points(), probed()).predict(plan(a=0.25))
    assert found is not None
    assert (found.drop, found.low, found.high) == pytest.approx((-0.01, -0.015, -0.005))
    assert found.basis == CURVE
    between = Forecaster(SPEC, points()).predict(plan(a=0.375))
    assert between is not None
    assert between.drop == pytest.approx(0.005)


def test_of_several_layers_changes_are_put_together() -> None:
    known, asked = probe(), plan(a=0.5, b=0.75)
    found = Forecaster(SPEC, points(), probed()).predict(asked)
    assert found is not None
    assert (found.basis, found.samples, found.calibrated) == (TOGETHER, 400, 0)
    # The slow way: outputs sample by sample, and what all samples tell of each layer alone.
    by_name = {(key.layer, key.ratio_requested): item for key, item in known.changes.items()}
    alone = [by_name["a", 0.5].astype(float), by_name["b", 0.75].astype(float)]
    signs = probed().signs(asked)
    assert signs is not None

    def lost(outputs: np.ndarray) -> float:
        right = [
            int(row.argmax()) == truth for row, truth in zip(outputs, known.truth, strict=True)
        ]
        before = [
            int(row.argmax()) == truth for row, truth in zip(known.dense, known.truth, strict=True)
        ]
        return (sum(before) - sum(right)) / len(right)

    singles = [lost(known.dense + change) for change in alone]
    joint = lost(_formula(known.dense.astype(float), alone))
    assert signs.added == pytest.approx(0.02 + 0.4)
    assert signs.together[0] == pytest.approx(0.02 + 0.4 + joint - sum(singles), abs=0.004)
    assert found.low < found.drop < found.high


def _formula(dense: np.ndarray, changes: list[np.ndarray]) -> np.ndarray:
    dense = dense - dense.mean(1, keepdims=True)
    changes = [change - change.mean(1, keepdims=True) for change in changes]
    one, other = (-(change * dense).sum() / (dense**2).sum() for change in changes)
    rests = [changes[0] + one * dense, changes[1] + other * dense]
    return (1 - one) * (1 - other) * dense + (1 - other) * rests[0] + (1 - one) * rests[1]


def test_between_points_changes_are_interpolated_and_beyond_the_last_they_end() -> None:
    """Of changes on a straight line drops bend: half of that counts."""
    known = probe()
    changes = {key.ratio_requested: item for key, item in known.changes.items() if key.layer == "a"}
    low, high = (changes[ratio].astype(np.float32) for ratio in (0.5, 0.75))

    def right(change: np.ndarray) -> float:
        return float(((known.dense + change).argmax(1) == known.truth).mean())

    bend = (right(low) + right(high)) / 2 - right((low + high) / 2)
    assert abs(bend) > 0.001
    signs = probed().signs(plan(a=0.625, b=0.875))
    assert signs is not None
    assert signs.bend == pytest.approx(bend, abs=1e-6)
    assert signs.added == pytest.approx((0.02 + 0.3) / 2 + 0.4 + 0.5 * bend)
    assert signs.extrapolated == ("b",)


def test_points_of_fewer_samples_are_put_together_on_those() -> None:
    """An adaptive sweep decides some points early."""
    few = probed(fewer=64).signs(plan(a=0.5, c=0.5))
    assert few is not None
    assert few.samples == 64
    assert probed(fewer=20).signs(plan(a=0.5, c=0.5)) is None


def test_without_a_probe_drops_are_added_and_said_so() -> None:
    """What is shown is never an accuracy outside of 0..100 %."""
    found = Forecaster(SPEC, points()).predict(plan(a=0.75, b=0.75, c=0.75))
    assert found is not None
    assert found.basis == ADDED
    assert "sum of the single drops" in found.explanation
    assert found.drop <= 1
    fresh = Forecaster(SPEC, points(), probed(fewer=20)).predict(plan(a=0.5, c=0.5))
    assert fresh is not None
    assert fresh.basis == ADDED


def test_measured_plans_teach_but_not_of_themselves() -> None:
    pairs = [(a, b) for a in RATIOS for b in RATIOS]
    lessons = [measured(plan(a=a, b=b), lost=300) for a, b in pairs]
    asked = plan(a=0.5, b=0.5)
    untaught = Forecaster(SPEC, points(), probed()).predict(asked)
    taught = Forecaster(SPEC, points(), probed(), lessons)
    found = taught.predict(asked)
    # A plan that was measured to lose much was chosen as one that loses little.
    own = Forecaster(SPEC, points(), probed(), [measured(asked, lost=300)])
    known = own.foresee(asked)
    assert known is not None
    assert own.predict(asked) == untaught
    assert abs(known.drop - 0.3) < abs(untaught.drop - 0.3)
    others = Forecaster(
        SPEC, points(), probed(), [item for item in lessons if item.plan != asked]
    ).predict(asked)
    assert untaught is not None
    assert found is not None
    assert found.calibrated == len(lessons) - 1
    assert found == others
    assert abs(found.drop - 0.3) < abs(untaught.drop - 0.3)


def test_after_repair_only_curves_after_that_repair_tell() -> None:
    repaired = dataclasses.replace(SPEC, repair="lsq")
    asked = plan(a=0.5, b=0.5)
    after = dataclasses.replace(asked, repair="lsq")
    raw = Forecaster(SPEC, points(), probed()).predict(after)
    assert raw is not None
    assert raw.repair == "none"
    assert Forecaster(repaired, points(), probed()).predict(asked) is None
    found = Forecaster(repaired, points(), probed(), [measured(asked, 300)]).predict(after)
    assert found is not None
    assert (found.repair, found.calibrated) == ("lsq", 0)
    other = dataclasses.replace(asked, semantics="weights")
    assert Forecaster(SPEC, points(), probed()).predict(other) is None


def test_a_trained_plan_teaches_nothing_of_pruned_ones() -> None:
    """What a trained model loses is not what the curves are about."""
    taught = [measured(plan(a=0.25, b=0.5), 300), measured(plan(b=0.75, c=0.25), 400)]
    bare = Forecaster(SPEC, points(), probed()).predict(plan(a=0.5, b=0.75))
    assert Forecaster(SPEC, points(), probed(), taught).predict(plan(a=0.5, b=0.75)) != bare
    trained = [
        MeasuredPlan(item.plan.trained_as("0" * 64, "finetune, 1 epoch"), item.sums)
        for item in taught
    ]
    assert Forecaster(SPEC, points(), probed(), trained).predict(plan(a=0.5, b=0.75)) == bare


def seen() -> pd.DataFrame:
    """The points of a run whose evaluation set is its probe."""
    known = probe()
    right = (known.dense.argmax(1) == known.truth).mean()
    drops: dict[str, list[float]] = {name: [] for name in LAYERS}
    for key, change in known.changes.items():
        drops[key.layer].append(right - ((known.dense + change).argmax(1) == known.truth).mean())
    tables = [
        curve(drops[name], layer=name, total=total, ratios=RATIOS) for name, total in LAYERS.items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_outputs_of_measured_plans_tell_what_layers_do_together() -> None:
    """Every measured plan calibrates, with all that it showed."""
    table = seen()
    probed = ProbedCurves(table, probe(), CLASSIFICATION)
    pairs = [(a, b) for a in RATIOS for b in RATIOS]
    errors: dict[str, list[float]] = {"drops": [], "outputs": []}
    for left_out in pairs:
        lessons = [shown(plan(a=a, b=b)) for a, b in pairs if (a, b) != left_out]
        asked = shown(plan(a=left_out[0], b=left_out[1]))
        by_drops = [dataclasses.replace(item, change=None) for item in lessons]
        for name, known in (("drops", by_drops), ("outputs", lessons)):
            found = Forecaster(SPEC, table, probed, known).predict(asked.plan)
            assert found is not None
            errors[name].append(abs(found.drop - asked.sums["lost"] / 1000))
    assert np.mean(errors["outputs"]) < 0.7 * np.mean(errors["drops"])


def test_a_plan_teaches_runs_with_smaller_probes() -> None:
    """The Plan page keeps of a plan what the largest probe has, a run as much as it may."""
    kept = np.random.default_rng(0).integers(0, 50, (1300, 4))
    outputs = np.zeros((1300, 4), np.float16)
    change = Change(columns_digests(kept), outputs)

    def asked(columns: np.ndarray) -> int:
        found = change.on(columns_digests(columns), len(columns))
        return 0 if found is None else len(found)

    assert [asked(kept[:count]) for count in (1300, 1024, 700, 512)] == [1300, 1024, 700, 512]
    # As old programs, which kept as many of all, named them.
    assert change.on(columns_digest(kept[:512]), 512) is not None
    # What cannot be told from another probe, and what is one.
    assert asked(kept[:100]) == 0
    assert asked(np.vstack([kept, kept[:1]])) == 0
    for first in (0, 600, 1200):
        other = kept.copy()
        other[first] += 1
        assert asked(other) == 0
        assert asked(other[:1024]) == (1024 if first == 1200 else 0)


@pytest.mark.parametrize(("columns", "samples"), [("other", 400), ("", 99)])
def test_outputs_of_another_probe_count_as_a_drop(columns: str, samples: int) -> None:
    lessons = [shown(plan(a=a, b=0.5)) for a in RATIOS]
    drops = [dataclasses.replace(item, change=None) for item in lessons]
    strange = [
        dataclasses.replace(item, change=Change(columns, item.change.outputs[:samples]))
        for item in lessons
        if item.change is not None
    ]
    asked = plan(a=0.5, b=0.75)
    found = Forecaster(SPEC, points(), probed(), strange).predict(asked)
    assert found == Forecaster(SPEC, points(), probed(), drops).predict(asked)
    assert found != Forecaster(SPEC, points(), probed(), lessons).predict(asked)


def test_outputs_of_a_plan_do_not_teach_of_itself() -> None:
    lessons = [shown(plan(a=a, b=b)) for a in RATIOS for b in RATIOS]
    for item in lessons[3:6]:
        others = [lesson for lesson in lessons if lesson is not item]
        aside = Forecaster(SPEC, points(), probed(), lessons).predict(item.plan)
        assert aside == Forecaster(SPEC, points(), probed(), others).predict(item.plan)
        known = Forecaster(SPEC, points(), probed(), lessons).foresee(item.plan)
        assert known is not None
        assert aside is not None
        lost = item.sums["lost"] / 1000
        assert abs(known.drop - lost) <= abs(aside.drop - lost)


def test_curves_of_fewer_samples_learn_from_drops_alone() -> None:
    """An adaptive sweep decides some points early; the others still teach."""
    lessons = [shown(plan(a=a, c=c)) for a in RATIOS for c in (0.5, 0.75)]
    asked = plan(a=0.5, c=0.5)
    few = ProbedCurves(points(), probe(fewer=64), CLASSIFICATION)
    drops = [dataclasses.replace(item, change=None) for item in lessons]
    assert Forecaster(SPEC, points(), few, lessons).predict(asked) == Forecaster(
        SPEC, points(), few, drops
    ).predict(asked)
    both = [*lessons, shown(plan(a=0.25, b=0.5))]
    assert Forecaster(SPEC, points(), few, both).predict(plan(a=0.5, b=0.5)) is not None


def test_a_small_probe_has_an_error_of_its_own() -> None:
    """Found on the demo: 512 of 2,000 samples promised at most 10 pp where 20 were lost."""
    table, known = seen(), probe()
    table["samples"] = 2000
    part = dataclasses.replace(
        known,
        dense=known.dense[:100],
        truth=known.truth[:100],
        changes={key: item[:100] for key, item in known.changes.items()},
    )
    asked = plan(a=0.5, b=0.75)
    signs = ProbedCurves(table, part, CLASSIFICATION).signs(asked)
    assert signs is not None
    by_name = {(key.layer, key.ratio_requested): item for key, item in part.changes.items()}
    alone = [by_name["a", 0.5].astype(float), by_name["b", 0.75].astype(float)]

    def wrong(outputs: np.ndarray) -> np.ndarray:
        return (outputs.argmax(1) != part.truth).astype(float)

    before = wrong(part.dense)
    joint = wrong(_formula(part.dense.astype(float), alone)) - before
    apart = joint - sum(wrong(part.dense + change) - before for change in alone)
    expected = (apart.var(ddof=1) / 100 * (1 - 100 / 2000)) ** 0.5
    assert expected > 0.01
    assert signs.error == pytest.approx(expected, rel=0.05)
    table["samples"] = 100
    exact = ProbedCurves(table, part, CLASSIFICATION).signs(asked)
    assert exact is not None
    assert exact.error == 0
