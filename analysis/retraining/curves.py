"""What a training is drawn from: its history as a table, and scores to draw across."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from analysis.edits import PreparedSubject
from analysis.records import Plan
from analysis.recovery import Recovery, report
from analysis.recovery.training import HISTORY, TrainingData, read_history
from analysis.retraining.jobs import seed_folder
from analysis.retraining.records import Job

COLUMNS = ("seed", "epoch", "rate", "ratio", "task_loss", "distill_loss")
SCORES = ("selection", "low", "high")


def training_table(workspace: Path, job: Job) -> pd.DataFrame:
    """Return the histories of a job's seeds; rounds follow each other.

    Args:
        workspace: That of the job.
        job: As far as it got.

    Returns:
        ``seed, epoch, rate, ratio, task_loss, distill_loss, selection, low, high``, a row for each
        point; NaN where something was not measured.
    """
    rows = []
    for seed in job.order.seeds:
        before = 0.0
        for folder in _folders(seed_folder(workspace, job.job_id, seed), job.order.rounds):
            points = read_history(folder / HISTORY)
            for point in points:
                found = point.selection
                scores = (None,) * 3 if found is None else (found.score, found.low, found.high)
                known = (point.rate, point.ratio, point.task_loss, point.distill_loss)
                rows.append((seed, before + point.epoch, *known, *scores))
            before += points[-1].epoch if points else 0.0
    table = pd.DataFrame(rows, columns=[*COLUMNS, *SCORES])
    return table.astype(dict.fromkeys((*COLUMNS[1:], *SCORES), float))


def _folders(folder: Path, rounds: int) -> list[Path]:
    if rounds == 1:
        return [folder]
    return [folder / f"round-{number}" for number in range(1, rounds + 1)]


def scores_before(
    prepared: PreparedSubject, plan: Plan, start: Recovery, data: TrainingData
) -> dict[str, float]:
    """Return what curves of the selection samples are compared with, on the same samples.

    Args:
        prepared: The subject.
        plan: What is pruned.
        start: What the training starts from.
        data: Its data; without selection samples there are no scores.
    """
    if data.selection is None:
        return {}
    subject = dataclasses.replace(
        prepared.subject, evaluation=data.selection, data_fingerprint=data.fingerprint
    )
    found = report(prepared.of(subject), plan, start)
    known = {
        "dense": found.dense.accuracy,
        "pruned": found.pruned.accuracy,
        start.method or "pruned": found.recovered.accuracy,
    }
    return {_words(name): score for name, score in known.items()}


def _words(method: str) -> str:
    return method if method in ("dense", "pruned") else f"after {method}"
