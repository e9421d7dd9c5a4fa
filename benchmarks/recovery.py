"""Recovery training: what each way of training gives back, on all samples and several seeds.

Each sample is pruned once to half of its MACs (channels, uniformly, by L1) and repaired by least
squares; ``constant``, ``cosine`` and ``cosine_kd`` train it from there, ``scratch`` trains the same
small network from random weights. ``gmp``, ``acdc`` and ``movement`` prune to 90 % of the elements
on the way. Accuracy is of the 10,000 test images; the selection samples are of the training images.

Run ``python -m benchmarks.recovery --train-data fashion-mnist:/usr/share/datasets/fashion-mnist
--out FILE``. Each result is kept in the file, each training beside it, and a run that was stopped
goes on. ``--half channels`` removes half of the channels of each group instead. Several processes
share the work by ``--models``, ``--methods`` and ``--seeds``, a file each; ``--out`` of their lines
put together prints the table of all.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import sample_models
from analysis import plans
from analysis.allocation import FIXED, fill_plan
from analysis.edits import Edit, PreparedSubject, edited_model, prepare
from analysis.records import Plan, Recipe, SubjectSpec
from analysis.recovery import Recovery, recover_plan, recovered_model
from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.subjects import load_subject
from analysis.uncertainty import mean_interval, paired_drop
from benchmarks.card import card_name
from pruners.capture import named_state
from sample_models.architectures import ARCHITECTURES

ELEMENTS = 0.9
COMMON: dict[str, Any] = {"augment": ("shift", "flip"), "lr": 0.05}
# Attention was trained with AdamW, and SGD at its rates does not move it.
ADAPTIVE: dict[str, Any] = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05}
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {"lr": 0.1},
    "constant": {"schedule": "constant", "warm_up": 0.0, "lr": 1e-3},
    "cosine": {},
    "cosine_kd": {"distill": 0.9},
    "gmp": {"method": "gmp"},
    "acdc": {"method": "acdc", "phase_epochs": 0.25},
    "movement": {"method": "movement"},
}
OF_ELEMENTS = ("gmp", "acdc", "movement")
Result = dict[str, Any]


class Study:
    """One sample and its two pruned forms."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        spec = SubjectSpec(
            model=f"sample:{name}", data="sample:fashion-mnist", device=options.device
        )
        self.name, self._options = name, options
        self.prepared: PreparedSubject = prepare(load_subject(spec))
        self.dense = self._answers(self.prepared.model)

    def plan(self, method: str) -> Plan:
        """Return what is pruned before, or while, it is trained."""
        of_elements = method in OF_ELEMENTS
        start = plans.start_plan(
            self.prepared, criterion="l1", granularity="element" if of_elements else "channel"
        )
        if of_elements:
            recipe = Recipe(ratio=ELEMENTS, criteria=FIXED)
        elif self._options.half == "channels":
            recipe = Recipe(ratio=0.5, criteria=FIXED)
        else:
            recipe = Recipe(budgets=("macs=0.5",), criteria=FIXED)
        return plans.resolve(self.prepared, fill_plan(self.prepared, start, "uniform", recipe).plan)

    def start(self, method: str, plan: Plan, seed: int) -> Recovery | None:
        """Return the weights that a training sets out from; None for the dense ones."""
        if method in OF_ELEMENTS:
            return None
        if method != "scratch":
            return recover_plan(self.prepared, plan, method="lsq")
        torch.manual_seed(seed)
        model = ARCHITECTURES[self.name]().to(self._options.device)
        state = named_state(model)
        edit = plans.plan_edit(self.prepared, plan)
        return Recovery(plan, dataclasses.replace(edit, tensors=state))

    def recipe(self, method: str) -> TrainingRecipe:
        """Return how it is trained."""
        own = METHODS[method]
        values = {**COMMON, **own}
        if self.name in ("vit_tiny", "lenet5"):
            values |= ADAPTIVE
            if method == "constant":
                values["lr"] = 1e-4
        return TrainingRecipe(
            train_data=self._options.train_data, epochs=self._options.epochs, **values
        )

    def trained(self, method: str, seed: int, folder: Path | None) -> Result:
        """Train and measure."""
        plan, recipe = self.plan(method), self.recipe(method)
        start = self.start(method, plan, seed)
        before = self._answers(self._model(plan, start))
        last = None
        for last in iter_training(
            self.prepared, plan, recipe, seed=seed, start=start, folder=folder
        ):
            if last.selection is not None:
                print(
                    f"  {self.name} {method} seed {seed}: epoch {last.epoch:.2f}, "
                    f"selection {last.selection.score:.2%}, {last.seconds:.0f} s",
                    flush=True,
                )
        assert last is not None
        assert last.recovery is not None
        after = self._answers(recovered_model(self.prepared, last.recovery))
        lost = sum(old and not new for old, new in zip(self.dense, after, strict=True))
        gained = sum(new and not old for old, new in zip(self.dense, after, strict=True))
        return {
            "dense": sum(self.dense) / len(self.dense),
            "before": sum(before) / len(before),
            "accuracy": sum(after) / len(after),
            "lost": lost,
            "gained": gained,
            "samples": len(after),
            "seconds": last.seconds,
        }

    def _model(self, plan: Plan, start: Recovery | None) -> torch.nn.Module:
        if start is None:
            return edited_model(self.prepared, plans.plan_edit(self.prepared, plan))
        masked = plans.plan_edit(self.prepared, plan)
        own = {**masked.tensors, **start.edit.tensors}
        return recovered_model(
            self.prepared, dataclasses.replace(start, edit=Edit(own, start.edit.kept))
        )

    @torch.no_grad()
    def _answers(self, model: torch.nn.Module) -> list[bool]:
        split = self.prepared.subject.evaluation
        assert split is not None
        right: list[bool] = []
        for inputs, targets in split.batches(500):
            right += (model.eval()(inputs).argmax(1) == targets).tolist()
        return right


def key(result: Result) -> str:
    """Return what tells results apart."""
    return "/".join(str(result[name]) for name in ("model", "half", "epochs", "method", "seed"))


def results(options: argparse.Namespace, known: dict[str, Result]) -> Iterator[Result]:
    """Yield the results that are not known yet."""
    for name in options.models.split(","):
        study: Study | None = None
        for method in options.methods.split(","):
            for seed in map(int, options.seeds.split(",")):
                cell = {
                    "model": name,
                    "half": options.half,
                    "epochs": options.epochs,
                    "method": method,
                    "seed": seed,
                }
                if key(cell) in known:
                    continue
                study = study or Study(name, options)
                folder = None
                if options.out is not None:
                    folder = options.out.with_suffix("") / key(cell).replace("/", "-")
                begun = time.perf_counter()
                found = study.trained(method, seed, folder)
                found["wall"] = time.perf_counter() - begun
                yield {**cell, "device": card_name(options.device), **found}


def report(known: dict[str, Result]) -> str:
    """Return the table: means over seeds, with 95 % intervals of the drop."""
    lines = [
        "| model | method | seeds | before | accuracy | lost to dense (pp) | seconds | device |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cells: dict[tuple[str, str], list[Result]] = {}
    for item in known.values():
        cells.setdefault((item["model"], item["method"]), []).append(item)
    order = [*itertools.product(sample_models.names(data="fashion-mnist"), METHODS)]
    for (model, method), found in sorted(cells.items(), key=lambda item: order.index(item[0])):
        lines.append(
            f"| {model} | {method} | {len(found)} | {_mean(found, 'before'):.2%} | "
            f"{_mean(found, 'accuracy'):.2%} | {_drop(found)} | {_mean(found, 'seconds'):.0f} | "
            f"{', '.join(sorted({item.get('device', 'cpu') for item in found}))} |"
        )
    return "\n".join(lines)


def _mean(found: list[Result], name: str) -> float:
    return statistics.fmean(item[name] for item in found)


def _drop(found: list[Result]) -> str:
    """Return the mean drop with its interval: over seeds where there are several, else paired."""
    if len(found) == 1:
        (item,) = found
        drop, interval = paired_drop(item["lost"], item["gained"], item["samples"], 0.95)
        low, high = interval.low, interval.high
    else:
        drops = [item["dense"] - item["accuracy"] for item in found]
        drop = statistics.fmean(drops)
        interval = mean_interval(drops)
        low, high = interval.low, interval.high
    return f"{100 * drop:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--half", choices=("macs", "channels"), default="macs")
    parser.add_argument("--train-data")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known: dict[str, Result] = {}
    if options.out is not None and options.out.exists():
        known = {key(item): item for item in map(json.loads, options.out.read_text().splitlines())}
    for result in results(options, known):
        known[key(result)] = result
        print(key(result), f"{result['accuracy']:.2%}", flush=True)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
    print(report(known))


if __name__ == "__main__":
    main()
