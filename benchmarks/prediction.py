"""How well plans are predicted: by layers pruned together, calibrated, against adding their drops.

For each sample a sweep is run, then plans are measured: those of every strategy at many levels, and
random ones that are meant to lose 0 to 40 pp. Of each such set some plans calibrate, as measured
plans of a workspace do, and the others are predicted; the split is drawn anew by several seeds.

Run ``python -m benchmarks.prediction``. With ``--workspace`` what was measured is kept there and
taken from there. Below each sample stand the errors by what plans measure, with the largest number
of calibrating plans.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

import sample_models
from analysis import plans
from analysis.allocation import STRATEGIES, fill_plan
from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import LiveEvaluator
from analysis.prediction import Forecaster, ProbedCurves
from analysis.records import MeasuredPlan, Plan, Recipe, RunRow, SubjectSpec, SweepSpec
from analysis.store import Store
from analysis.subjects import load_subject
from analysis.sweeps import parse_ratios
from analysis.tasks import scoring_of, task_named
from analysis.worker import run_to_end
from pruners.errors import InputError

RANDOM, MOST = 280, 0.4
# Plans that are read: a workspace learns from the newest 200, the others are held out.
PLANS = 1000
# Bands of measured drops, by their upper ends: small errors of small drops say little of others.
BANDS = (0.01, 0.025, 0.1, MOST)
LEVELS = {
    "tolerance": (0.0005, 0.002, 0.005, 0.01, 0.02),
    "ratio": (0.03, 0.07, 0.15, 0.25),
    "budgets": (0.95, 0.85, 0.75, 0.6, 0.5),
}
# A random plan is led to its drop on this many samples.
ROUGH = 200


def sweep(store: Store, model: str, options: argparse.Namespace) -> RunRow:
    """Return the run of a sample, measured now if the workspace has none."""
    address, ratios = f"sample:{model}", parse_ratios(options.ratios)
    found = [
        row
        for row in store.runs.all()
        if (row.spec.subject.model, row.spec.ratios) == (address, ratios)
        and row.state == "done"
        and options.probe in (None, row.spec.probe)
    ]
    if found:
        # By default a probe is as large as it may be.
        return max(found, key=lambda row: row.spec.probe or 0)
    spec = SweepSpec(
        subject=SubjectSpec(
            model=address,
            data="sample:fashion-mnist",
            samples=options.samples,
            calibration_samples=512,
        ),
        criteria=tuple(options.criteria.split(",")),
        ratios=ratios,
        probe=options.probe,
    )
    row = run_to_end(store, store.runs.create(spec))
    if row.error:
        raise InputError(row.error)
    return row


class Measuring:
    """Makes plans of a run and measures them."""

    def __init__(self, store: Store, row: RunRow) -> None:
        self.prepared: PreparedSubject = prepare(load_subject(row.spec.subject))
        self.prepared.use_cache(store.statistics_folder)
        self._store, self._row = store, row
        self._points = store.points.table(row.run_id)
        self._live = LiveEvaluator(self.prepared)
        self._criteria = row.spec.criteria

    def start(self, criterion: str) -> Plan:
        """Return a plan that prunes nothing yet."""
        return plans.start_plan(self.prepared, criterion=criterion, run=self._row.run_id)

    def drop(self, plan: Plan, *, samples: int | None = None) -> float:
        """Measure a plan on the first samples, or on all of them, and note it then."""
        for result in self._live.evaluate(plans.resolve(self.prepared, plan)):
            if samples is not None and result.samples >= samples:
                return result.drop
        identity = self.prepared.identity
        self._store.measurements.add(plan, identity, result.sums, change=result.change)
        return result.drop

    def by_strategies(self) -> Iterator[Plan]:
        """Yield the plans of every strategy at every level, by each criterion and the best."""
        for strategy in (item for item in STRATEGIES if not item.measures):
            for need in sorted(strategy.needs & LEVELS.keys()):
                for level in LEVELS[need]:
                    asked = (f"macs={level}",) if need == "budgets" else level
                    for criterion in self._criteria:
                        yield from self._filled(strategy.name, criterion, {need: asked})

    def _filled(self, strategy: str, criterion: str, asked: dict[str, object]) -> Iterator[Plan]:
        recipe = Recipe(**asked)
        found = fill_plan(
            self.prepared, self.start(criterion), strategy, recipe, points=self._points
        )
        if found.feasible:
            yield found.plan

    def at_random(self, chance: random.Random) -> Plan:
        """Return a random plan that loses about a random drop, as far as few samples tell."""
        wanted = MOST * chance.random()
        criterion = chance.choice((*self._criteria, None))
        start = self.start(self._criteria[0])
        names = [item.name for item in start.entries]
        weights = {
            name: (chance.random(), criterion or chance.choice(self._criteria))
            for name in chance.sample(names, chance.randint(min(2, len(names)), len(names)))
        }

        def at(level: float) -> Plan:
            plan = start
            for name, (weight, own) in weights.items():
                plan = plans.set_criterion(plan, name, own)
                plan = plans.set_ratio(plan, name, min(0.9, level * weight))
            return plan

        low, high = 0.0, 1.0
        for _ in range(5):
            middle = (low + high) / 2
            if self.drop(at(middle), samples=ROUGH) > wanted:
                high = middle
            else:
                low = middle
        return at(high)


def measured(
    store: Store, model: str, options: argparse.Namespace
) -> tuple[RunRow, list[MeasuredPlan]]:
    """Return the run of a sample and its measured plans that prune several layers."""
    row = sweep(store, model, options)
    most = options.plans
    if len(store.measurements.all(row.identity, most=most)) < min(most, options.random):
        work = Measuring(store, row)
        chance = random.Random(options.seed)
        for plan in work.by_strategies():
            work.drop(plan)
        for _ in range(options.random):
            work.drop(work.at_random(chance))
    found = store.measurements.all(row.identity, most=most)
    return row, [item for item in found if len(plans.pruned_entries(item.plan)) > 1]


@dataclasses.dataclass
class Errors:
    """How far held-out plans are from what was predicted, over all splits.

    Attributes:
        plans: Plans that measure a drop from 0 to 40 pp.
        held_out: How many of them each split predicts.
        own: Errors of the prediction.
        added: Errors of the sum of single drops.
        inside: Whether the interval holds the measured drop.
        widths: Widths of the intervals.
        drops: What was measured.
    """

    plans: int
    held_out: int = 0
    own: list[float] = dataclasses.field(default_factory=list)
    added: list[float] = dataclasses.field(default_factory=list)
    inside: list[bool] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)
    drops: list[float] = dataclasses.field(default_factory=list)

    def bands(self) -> Iterator[tuple[str, float, float, float]]:
        """Yield each band of drops with its share of the plans, and the median errors there."""
        low = 0.0
        for high in BANDS:
            # A drop of 0 is of the first one.
            here = [
                at for at, drop in enumerate(self.drops) if low < drop <= high or low == drop == 0
            ]
            if here:
                own, added = (
                    statistics.median(abs(items[at]) for at in here)
                    for items in (self.own, self.added)
                )
                name = f"{100 * low:g} to {100 * high:g}"
                yield name, len(here) / len(self.drops), own, added
            low = high

    def row(self) -> dict[str, float]:
        """Return what is printed."""
        own, added = ([abs(item) for item in items] for items in (self.own, self.added))
        return {
            "plans": self.plans,
            "held_out": self.held_out,
            "coverage": statistics.mean(self.inside),
            "median": statistics.median(own),
            "median_added": statistics.median(added),
            "mean": statistics.mean(own),
            "mean_added": statistics.mean(added),
            "width": statistics.median(self.widths),
        }


def errors(
    store: Store, row: RunRow, found: Sequence[MeasuredPlan], *, calibrating: int, splits: int
) -> Errors:
    """Predict held-out plans by a random choice of the others, by as many splits."""
    points, probe = store.points.table(row.run_id), store.probes.load(row.run_id)
    assert probe is not None
    probed = ProbedCurves(points, probe, task_named(row.spec.subject.task))
    scoring = scoring_of(row.spec.subject.task)
    near = [item for item in found if 0 <= scoring.drop(item.sums) <= MOST]
    added = [plans.predict(item.plan, points).drop for item in near]
    result = Errors(len(near))
    for seed in range(splits):
        order = random.Random(seed).sample(range(len(near)), len(near))
        known = [near[at] for at in order[:calibrating]]
        forecaster = Forecaster(row.spec, points, probed, known)
        result.held_out = len(order[calibrating:])
        for at in order[calibrating:]:
            drop, foreseen = scoring.drop(near[at].sums), forecaster.predict(near[at].plan)
            assert foreseen is not None
            result.own.append(foreseen.drop - drop)
            result.added.append(added[at] - drop)
            result.inside.append(foreseen.low <= drop <= foreseen.high)
            result.widths.append(foreseen.high - foreseen.low)
            result.drops.append(drop)
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--criteria", default="l1,taylor")
    parser.add_argument("--ratios", default="0.1:0.9:0.1")
    parser.add_argument("--probe", type=int)
    parser.add_argument("--random", type=int, default=RANDOM)
    parser.add_argument("--plans", type=int, default=PLANS, help="the newest ones that are read")
    parser.add_argument("--calibrating", default="0,10,30,100,200")
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print(
        f"{'':44}{'median error (pp)':>22}{'mean error (pp)':>22}\n{'model':16}{'plans':>6}"
        f"{'known':>6}{'held out':>9}{'inside':>7}{'own':>11}{'adding':>11}{'own':>11}"
        f"{'adding':>11}{'width':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Store(options.workspace or Path(folder))
        for model in options.models.split(","):
            run, found = measured(store, model, options)
            for known in map(int, options.calibrating.split(",")):
                # Without measured plans every split is the same.
                splits = options.splits if known else 1
                result = errors(store, run, found, calibrating=known, splits=splits)
                row, bands = result.row(), list(result.bands())
                rows.append({"model": model, "known": known, **row, "bands": bands})
                print(
                    f"{model:16}{row['plans']:6}{known:6}{row['held_out']:9}"
                    f"{100 * row['coverage']:6.1f}%{100 * row['median']:11.2f}"
                    f"{100 * row['median_added']:11.2f}{100 * row['mean']:11.2f}"
                    f"{100 * row['mean_added']:11.2f}{100 * row['width']:7.1f}",
                    flush=True,
                )
            # With as many known as there are at most.
            for name, share, own, added in bands:
                print(
                    f"  measured {name:12} pp: {share:4.0%} of the plans, median error "
                    f"{100 * own:.2f}, of adding {100 * added:.2f}",
                    flush=True,
                )
        store.close()
    print(json.dumps({"benchmark": "prediction", "samples": options.samples, "rows": rows}))


if __name__ == "__main__":
    main()
