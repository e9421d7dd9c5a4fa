"""How well plans are predicted: by layers pruned together, calibrated, against adding their drops.

For each sample a sweep is run, then plans are measured: those of every strategy at many levels, and
random ones that are meant to lose 0 to 40 pp. Of each such set some plans calibrate, as measured
plans of a workspace do, and the others are predicted; the split is drawn anew by several seeds.

Run ``python -m benchmarks.prediction``. With ``--workspace`` what was measured is kept there and
taken from there.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

import sample_models
from analysis import plans
from analysis.allocation import STRATEGIES, fill_plan
from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import LiveEvaluator
from analysis.records import MeasuredPlan, Plan, Recipe, RunRow, SubjectSpec, SweepSpec
from analysis.store import Store
from analysis.subjects import load_subject
from analysis.worker import run_to_end
from pruners.errors import InputError

CRITERIA = ("l1", "taylor")
RANDOM, MOST = 48, 0.4
LEVELS = {
    "tolerance": (0.0005, 0.002, 0.005),
    "ratio": (0.03, 0.07, 0.15),
    "budget": (0.95, 0.85, 0.75),
}
# A random plan is led to its drop on this many samples.
ROUGH = 200


def sweep(store: Store, model: str, options: argparse.Namespace) -> RunRow:
    """Return the run of a sample, measured now if the workspace has none."""
    address = f"sample:{model}"
    for row in store.runs.all():
        if row.spec.subject.model == address and row.state == "done":
            return row
    spec = SweepSpec(
        subject=SubjectSpec(
            model=address,
            data="sample:fashion-mnist",
            samples=options.samples,
            calibration_samples=512,
        ),
        criteria=CRITERIA,
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

    def start(self, criterion: str) -> Plan:
        return plans.start_plan(self.prepared, criterion=criterion, run=self._row.run_id)

    def drop(self, plan: Plan, *, samples: int | None = None) -> float:
        """Measure a plan on the first samples, or on all of them, and note it then."""
        for result in self._live.evaluate(plans.resolve(self.prepared, plan)):
            if samples is not None and result.samples >= samples:
                return result.drop
        self._store.measurements.add(plan, self.prepared.identity, result.sums)
        return result.drop

    def by_strategies(self) -> Iterator[Plan]:
        """Yield the plans of every strategy at every level, by each criterion and the best."""
        for strategy in STRATEGIES:
            for need in sorted(strategy.needs & LEVELS.keys()):
                for level in LEVELS[need]:
                    asked = f"macs={level}" if need == "budget" else level
                    for criterion in CRITERIA:
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
        criterion = chance.choice((*CRITERIA, None))
        start = self.start(CRITERIA[0])
        names = [item.name for item in start.entries]
        weights = {
            name: (chance.random(), criterion or chance.choice(CRITERIA))
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


def measured(store: Store, model: str, options: argparse.Namespace) -> tuple[RunRow, list[MeasuredPlan]]:
    """Return the run of a sample and its measured plans, those that prune something."""
    row = sweep(store, model, options)
    if len(store.measurements.all(row.identity)) < options.random:
        work = Measuring(store, row)
        chance = random.Random(options.seed)
        for plan in work.by_strategies():
            work.drop(plan)
        for _ in range(options.random):
            work.drop(work.at_random(chance))
    found = store.measurements.all(row.identity)
    return row, [item for item in found if plans.pruned_entries(item.plan)]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names()))
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--random", type=int, default=RANDOM)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(options.workspace or Path(folder))
        for model in options.models.split(","):
            row, found = measured(store, model, options)
            print(model, len(found))
        store.close()


if __name__ == "__main__":
    main()
