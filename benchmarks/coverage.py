"""How often the interval of a drop covers the drop on everything: samples without classes.

The shipped evaluation set stands for the world: its drop is the truth, and draws from it are what
somebody might have had. What is drawn *with* replacement is what depends on nothing else: scenes,
and whole chapters of the Bible, as many as there are, of whose windows n are then chosen. Without
replacement, a draw of half of the set would have half of its variance, and any interval would look
too wide. Edits: all groups at one ratio, by L1. Prints a table.

    python -m benchmarks.coverage --draws 1000
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from analysis import plans
from analysis.allocation import FIXED, fill_plan
from analysis.edits import PreparedSubject, edited_model, prepare
from analysis.records import Recipe, SubjectSpec
from analysis.subjects import load_subject
from analysis.tasks import Task
from analysis.uncertainty import GROUPS

SUBJECTS = {
    "unet_small": SubjectSpec(model="sample:unet_small", data="sample:scenes", task="segmentation"),
    "llama_tiny": SubjectSpec(
        model="sample:llama_tiny", data="sample:king-james", task="language_modelling"
    ),
}
RATIOS = (0.05, 0.1)
SIZES = (100, 500)
BATCH = 50
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What both models answered to all samples.

    Attributes:
        task: Of the subject.
        rows: The values of `Task.vector` of each sample alone, ``(N, values)``.
        documents: What each is a part of ``(N,)``; None where each is by itself.
    """

    task: Task
    rows: Floats
    documents: Integers | None

    def drop(self, chosen: Integers, documents: Integers) -> tuple[float, float, float]:
        """Return the drop on some samples, and the ends of its interval."""
        each = (self.rows.shape[1] - 1) // GROUPS
        rows = self.rows[chosen]
        seen: dict[int, int] = {}
        groups = np.array([seen.setdefault(item, len(seen)) for item in documents.tolist()])
        table = np.zeros((GROUPS, each))
        np.add.at(table, groups % GROUPS, rows[:, 1 : 1 + each])
        sums = self.task.sums([float(len(chosen)), *table.ravel().tolist()])
        interval = self.task.drop_interval(sums)
        return self.task.drop(sums), interval.low, interval.high

    def drawn(self, count: int, chance: np.random.Generator) -> tuple[Integers, Integers]:
        """Return some samples, and what each is a part of."""
        whole = len(self.rows)
        if self.documents is None:
            return chance.integers(whole, size=count), np.arange(count)
        members = [np.flatnonzero(self.documents == item) for item in np.unique(self.documents)]
        copies = chance.integers(len(members), size=len(members))
        samples = np.concatenate([members[at] for at in copies])
        # A chapter that is drawn twice is two chapters.
        parts = np.repeat(np.arange(len(copies)), [len(members[at]) for at in copies])
        order = chance.permutation(len(samples))[:count]
        return samples[order], parts[order]


@torch.no_grad()
def answers(prepared: PreparedSubject) -> dict[float, Answers]:
    """Ask the dense model, and those pruned at each ratio, about the whole evaluation set."""
    split, task = prepared.subject.evaluation, prepared.subject.task
    assert split is not None
    models = {ratio: pruned(prepared, ratio) for ratio in RATIOS}
    rows: dict[float, list[torch.Tensor]] = {ratio: [] for ratio in RATIOS}
    for inputs, targets in split.batches(BATCH):
        assert targets is not None
        dense = prepared.model(inputs)
        for ratio, model in models.items():
            outputs = model(inputs)
            ones = [slice(at, at + 1) for at in range(len(inputs))]
            rows[ratio] += [task.vector(dense[at], outputs[at], targets[at]) for at in ones]
    found = split.source.documents(split.indices)
    documents = None if found is None else found.numpy()
    return {
        ratio: Answers(task, torch.stack(each).double().numpy(), documents)
        for ratio, each in rows.items()
    }


def pruned(prepared: PreparedSubject, ratio: float) -> torch.nn.Module:
    """Return the model with a share of each group removed."""
    start = plans.start_plan(prepared, criterion="l1", granularity="channel")
    filled = fill_plan(prepared, start, "uniform", Recipe(ratio=ratio, criteria=FIXED))
    plan = plans.resolve(prepared, filled.plan)
    return edited_model(prepared, plans.plan_edit(prepared, plan))


def line(name: str, ratio: float, found: Answers, size: int, draws: int) -> str:
    """Return a row of the table: how often the truth lay inside, and how wide intervals were."""
    everything = np.arange(len(found.rows))
    truth, _, _ = found.drop(everything, everything)
    chance = np.random.default_rng(0)
    each = np.array([found.drop(*found.drawn(size, chance)) for _ in range(draws)])
    covers = ((each[:, 1] <= truth) & (truth <= each[:, 2])).mean()
    words = found.task.words
    scale, unit = words.drop_scale, words.drop_unit
    half = float(np.median(each[:, 2] - each[:, 1])) / 2
    return (
        f"| {name} | {ratio:g} | {truth * scale:.2f} {unit} | {size} | {covers:.1%} | "
        f"{half * scale:.2f} {unit} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", default=",".join(SUBJECTS))
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    print("| sample | ratio | drop on all | n | covered | half width, median |")
    print("|---|---|---|---|---|---|")
    for name in options.subjects.split(","):
        prepared = prepare(load_subject(SUBJECTS[name]))
        for ratio, found in answers(prepared).items():
            for size in SIZES:
                print(line(name, ratio, found, size, options.draws), flush=True)


if __name__ == "__main__":
    main()
