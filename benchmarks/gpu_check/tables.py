"""The table of a sweep on the device against the processor's, for images, sounds, text and more."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from analysis.edits import prepare
from analysis.records import DEFAULT_TASK, PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import PlannedSweep, iter_sweep, plan_sweep
from analysis.tasks import scoring_of
from benchmarks.gpu_check.report import Report

# Ties of rounding.
FLIPS_AIM = 1e-5
# Sums of rounded numbers.
SCORE_AIM = 1e-4
FACTORIES = "benchmarks.gpu_check.several"
SUBJECTS = {
    name: SubjectSpec(model=f"sample:{name}", data=f"sample:{data}", samples=samples, task=task)
    for name, data, samples, task in (
        ("resnet20", "fashion-mnist", 500, DEFAULT_TASK),
        ("mobilenet_small", "fashion-mnist", 500, DEFAULT_TASK),
        ("vit_tiny", "fashion-mnist", 500, DEFAULT_TASK),
        ("kws_conv1d", "keywords", 200, DEFAULT_TASK),
        ("unet_small", "scenes", 16, "segmentation"),
        ("llama_tiny", "king-james", 16, "language_modelling"),
    )
} | {
    "several inputs": SubjectSpec(
        model=f"{FACTORIES}:model", data=f"{FACTORIES}:items", samples=64, calibration_samples=32
    )
}


def last_sums(planned: PlannedSweep) -> dict[PointKey, Sums]:
    """Run a sweep; return its sums."""
    *_, update = iter_sweep(planned)
    if update.failed:
        raise RuntimeError(
            f"{len(update.failed)} points failed: {next(iter(update.failed.values()))}"
        )
    return update.sums


def table_on(device: str, subject: SubjectSpec) -> dict[PointKey, Sums]:
    """Return the table of a subject on a device."""
    subject = dataclasses.replace(subject, device=device)
    spec = SweepSpec(subject=subject, criteria=("l1", "taylor"), ratios=(0.2, 0.5))
    return last_sums(plan_sweep(prepare(load_subject(subject)), spec))


def flips(sums: Mapping[PointKey, Sums], counts: Mapping[PointKey, int]) -> tuple[int, int]:
    """Return by how many answers two tables differ at least, and the number of answers."""
    other = sum(abs(sums[key].count("correct") - count) for key, count in counts.items())
    return other, sum(sums[key].samples for key in counts)


def check_tables(device: str, report: Report) -> None:
    """Compare the table of a sweep on the device with the processor's."""
    for name, subject in SUBJECTS.items():
        with report.guarded(f"{name} against the CPU"):
            here, there = table_on("cpu", subject), table_on(device, subject)
            report.add(f"{name} against the CPU", **compared(here, there, subject.task))


def compared(
    here: Mapping[PointKey, Sums], there: Mapping[PointKey, Sums], task: str
) -> dict[str, str | bool]:
    """Return what to report of two tables: answers where a sample has one, else scores."""
    if task == DEFAULT_TASK:
        other, answers = flips(there, {key: sums.count("correct") for key, sums in here.items()})
        loss = max(abs(there[key]["loss"] / sums["loss"] - 1) for key, sums in here.items())
        return {
            "value": f"{other} of {answers:,} answers, loss within {loss:.1e}",
            "passed": other <= max(1.0, FLIPS_AIM * answers),
            "aim": f"<= {max(1.0, FLIPS_AIM * answers):.0f}",
        }
    score = scoring_of(task).score
    error = max(abs(score(there[key]) / score(sums) - 1) for key, sums in here.items())
    return {
        "value": f"{len(here)} scores within {error:.1e}",
        "passed": math.isfinite(error) and error <= SCORE_AIM,
        "aim": f"<= {SCORE_AIM:g}",
    }
