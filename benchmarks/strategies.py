"""Strategies against each other: accuracy on untouched samples at equal MACs, raw and repaired.

For each sample and each share of the MACs every strategy makes a plan from curves of single layers;
the plan is measured raw and after each repair. ``search`` measures plans itself, after ``lsq``.
Curves and search see the same samples; accuracy is of others that no choice was made on.

Run ``python -m benchmarks.strategies``. With ``--out FILE`` each result is kept there, and a run
that was stopped goes on. Several processes share the work by ``--models`` and ``--shares``, a file
each; ``--out`` of their lines put together prints the tables of all.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import sample_models
from analysis import plans, search
from analysis.allocation import BEST, FIXED, STRATEGIES, fill_plan
from analysis.edits import PreparedSubject, edited_model, prepare
from analysis.records import Plan, Progress, Recipe, SubjectSpec
from analysis.recovery import Repairer
from analysis.repairs import NO_REPAIR
from analysis.search.alone import measured_alone
from analysis.search.data import on_search_data
from analysis.subjects import load_subject
from analysis.uncertainty import paired_drop
from benchmarks.card import card_name
from pruners.errors import PruneScopeError

SHARES = (0.7, 0.5, 0.35)
REPAIRS = (NO_REPAIR, "bn", "lsq")
CRITERIA = ("l1", "taylor")
# Rules of other tools; dp and search are this project's.
PEERS = ("threshold", "greedy", "uniform", "global")
Result = dict[str, Any]


class Study:
    """Plans of one sample, measured on samples that no choice is made on."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        spec = SubjectSpec(
            model=f"sample:{name}", data="sample:fashion-mnist", device=options.device
        )
        aside = search.set_aside(load_subject(spec))
        self.prepared: PreparedSubject = prepare(
            load_subject(dataclasses.replace(spec, samples=aside))
        )
        self.searched = on_search_data(self.prepared, search.search_data(self.prepared.subject))
        self._options = options
        self._repairers = {name: Repairer(self.prepared, name) for name in REPAIRS[1:]}
        self._points: pd.DataFrame | None = None

    def points(self) -> pd.DataFrame:
        """Return the curves of single layers, raw, as the rules of other tools read them."""
        if self._points is None:
            for found in measured_alone(
                self.searched, self.start(NO_REPAIR), CRITERIA, cancel=lambda: False
            ):
                if not isinstance(found, Progress):
                    self._points = found
        assert self._points is not None
        return self._points

    def start(self, repair: str) -> Plan:
        """Return a plan that prunes nothing yet."""
        plan = plans.start_plan(self.prepared, criterion=CRITERIA[0])
        return dataclasses.replace(plan, repair=repair)

    def filled(self, strategy: str, share: float) -> Plan:
        """Return the plan of a strategy that reads curves."""
        reads = "points" in STRATEGIES.get(strategy).needs
        recipe = Recipe(budgets=(f"macs={share}",), criteria=BEST if reads else FIXED)
        found = fill_plan(
            self.prepared, self.start(NO_REPAIR), strategy, recipe, points=self.points()
        )
        return found.plan

    def found(self, share: float) -> Plan:
        """Return what a search finds."""
        aim = search.Aim(
            recipe=Recipe(budgets=(f"macs={share}",)),
            criteria=CRITERIA,
            trials=self._options.trials,
        )
        *_, last = search.iter_search(self.prepared, self.start("lsq"), aim)
        assert last.plan is not None
        return last.plan

    @torch.no_grad()
    def answers(self, plan: Plan, repair: str) -> list[bool]:
        """Return which untouched samples a plan answers rightly."""
        plan = plans.resolve(self.prepared, plan)
        if repair == NO_REPAIR:
            edit = plans.plan_edit(self.prepared, plan)
        else:
            edit = self._repairers[repair].repair(plan).edit
        model = edited_model(self.prepared, edit)
        split = self.prepared.subject.evaluation
        assert split is not None
        right: list[bool] = []
        for inputs, targets in split.batches(500):
            right += (model(inputs).argmax(1) == targets).tolist()
        return right

    def dense(self) -> list[bool]:
        """Return which untouched samples the dense model answers rightly."""
        return self.answers(self.start(NO_REPAIR), NO_REPAIR)

    def share(self, plan: Plan) -> float:
        """Return the MACs that a plan leaves."""
        return plans.meter(self.prepared).share(plan, "macs")


def results(options: argparse.Namespace, known: dict[str, Result]) -> Iterator[Result]:
    """Yield the results that are not known yet, one a sample, share, strategy and repair."""
    for name in options.models.split(","):
        study: Study | None = None
        for share in map(float, options.shares.split(",")):
            for strategy in (item.name for item in STRATEGIES if "budgets" in item.needs):
                repairs = ("lsq",) if strategy == "search" else REPAIRS
                missing = [
                    item for item in repairs if _key(name, share, strategy, item) not in known
                ]
                if not missing:
                    continue
                study = study or Study(name, options)
                dense, start = study.dense(), time.perf_counter()
                try:
                    is_search = strategy == "search"
                    plan = study.found(share) if is_search else study.filled(strategy, share)
                except PruneScopeError as error:
                    plan, reason = None, str(error)
                seconds = time.perf_counter() - start
                for repair in missing:
                    told: Result = {
                        "model": name,
                        "share": share,
                        "strategy": strategy,
                        "repair": repair,
                        "device": card_name(options.device),
                        "trials": options.trials,
                        "seconds": seconds,
                    }
                    try:
                        assert plan is not None, reason
                        right = study.answers(plan, repair)
                    except (PruneScopeError, AssertionError) as error:
                        yield told | {"failed": str(error)}
                        continue
                    yield told | {
                        "left": study.share(plan),
                        "dense": sum(dense) / len(dense),
                        "accuracy": sum(right) / len(right),
                        "wrong": [at for at, item in enumerate(right) if not item],
                        "samples": len(right),
                        "dense_wrong": [at for at, item in enumerate(dense) if not item],
                    }


def _key(model: str, share: float, strategy: str, repair: str) -> str:
    return f"{model}/{share}/{strategy}/{repair}"


def key(result: Result) -> str:
    """Return what tells results apart."""
    return _key(result["model"], result["share"], result["strategy"], result["repair"])


def difference(result: Result, other: Result) -> tuple[float, float, float]:
    """Return how much more often one plan is right than another, with the 95 % interval."""
    first, second = set(result["wrong"]), set(other["wrong"])
    found, interval = paired_drop(len(first - second), len(second - first), result["samples"], 0.95)
    return -found, -interval.high, -interval.low


def report(known: dict[str, Result]) -> str:
    """Return the tables."""
    lines, tied, better, cells = [], 0, 0, 0
    for model in sample_models.names(data="fashion-mnist"):
        for share in SHARES:
            rows = [
                item
                for item in known.values()
                if (item["model"], item["share"]) == (model, share) and "accuracy" in item
            ]
            if not rows:
                continue
            lines.append(f"\n{model}, MACs left {share:.0%}, dense {rows[0]['dense']:.2%}")
            for item in rows:
                low, high = _interval(item)
                lines.append(
                    f"  {item['strategy']:10s} {item['repair']:5s} {item['accuracy']:7.2%} "
                    f"(drop {low:.2f} to {high:.2f} pp) at {item['left']:.1%}, "
                    f"{item['seconds']:.0f} s on {item.get('device', 'cpu')}"
                )
            own = known.get(_key(model, share, "search", "lsq"))
            if own is None or "accuracy" not in own:
                continue
            cells += 1
            others = [item for item in rows if item["strategy"] != "search"]
            best = max(others, key=lambda item: item["accuracy"])
            peer = max(
                (item for item in others if item["strategy"] in PEERS),
                key=lambda item: item["accuracy"],
            )
            tied += difference(own, best)[2] >= 0
            gain, low, high = difference(own, peer)
            better += low > 0
            lines.append(
                f"  search against {peer['strategy']} {peer['repair']}: "
                f"{100 * gain:+.2f} pp ({100 * low:+.2f} to {100 * high:+.2f})"
            )
    lines.append(
        f"\nsearch with lsq: best or tied in {tied} of {cells} cells; better than the best rule "
        f"of other tools in {better}"
    )
    return "\n".join(lines)


def _interval(item: Result) -> tuple[float, float]:
    dense = {"wrong": item["dense_wrong"], "samples": item["samples"]}
    _, low, high = difference(dense, item)
    return 100 * low, 100 * high


def main() -> None:
    """Measure what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--shares", default=",".join(map(str, SHARES)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known: dict[str, Result] = {}
    if options.out is not None and options.out.exists():
        known = {key(item): item for item in map(json.loads, options.out.read_text().splitlines())}
    for result in results(options, known):
        known[key(result)] = result
        print(key(result), result.get("accuracy", result.get("failed")), flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
    print(report(known))


if __name__ == "__main__":
    main()
