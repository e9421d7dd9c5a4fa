"""The points table: one row a point, as DataFrame, CSV and Parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.files import atomic, writing
from analysis.records import DEFAULT_TASK, IMPORTED, Sums
from analysis.tasks import Scoring, scoring_of
from pruners.errors import InputError

FIRST = (
    "run_id",
    "criterion",
    "granularity",
    "layer",
    "group",
    "ratio_requested",
    "ratio_achieved",
    "kept",
    "total",
    "samples",
)
_INTERVAL = ("accuracy_drop", "drop_low", "drop_high")
LAST = ("params", "macs", "status", "reason", "seconds")
_INTEGERS = ("kept", "total", "samples")
_OPTIONAL_INTEGERS = ("params", "macs")
_TEXTS = ("run_id", "criterion", "granularity", "layer", "group", "status", "reason")
FORMATS = (".csv", ".parquet")


def columns(task: str = DEFAULT_TASK) -> tuple[str, ...]:
    """Return the columns of the points table of a task.

    Score and drop are ``accuracy`` and ``accuracy_drop`` whatever the task calls them: all that
    reads curves reads these. `for_files` gives them the task's words.
    """
    scoring = scoring_of(task)
    counts = (scoring.right,) if scoring.right else ()
    return (*FIRST, *counts, "accuracy", *_INTERVAL, *scoring.columns, *LAST)


def points_table(
    run_id: str,
    points: Sequence[Mapping[str, Any]],
    *,
    baselines: Mapping[int, Sums],
    confidence: float = 0.95,
    has_labels: bool = True,
    task: str = DEFAULT_TASK,
) -> pd.DataFrame:
    """Build the table.

    Points that nothing is known of yet are left out.

    Args:
        run_id: The run.
        points: Key, params, macs, status and, as ``sums``, the sums of each point; and why it
            failed or was inferred, as ``reason``. Terms of an imported point are columns.
        baselines: Sums of the dense model by number of samples, so that a point that stopped
            early is compared on its own samples.
        confidence: Of the intervals of the drop.
        has_labels: Without labels there is no loss.
        task: Says what the sums mean.

    Raises:
        UnknownNameError: No such task.
    """
    scoring = scoring_of(task)
    shown = [point for point in points if point["sums"].samples or point["status"] != "measured"]
    rows = [_row(run_id, point, scoring, baselines, has_labels, confidence) for point in shown]
    table = pd.DataFrame(rows, columns=list(columns(task)))
    kinds: dict[str, str] = dict.fromkeys(_INTEGERS, "int64")
    kinds |= {scoring.right: "int64"} if scoring.right else {}
    kinds |= dict.fromkeys(_OPTIONAL_INTEGERS, "Int64")
    kinds |= dict.fromkeys(_TEXTS, "object")
    kinds |= {name: "float64" for name in columns(task) if name not in kinds}
    table = table.astype(kinds)
    measured = [_is_measured(point) for point in shown]
    sums = [point["sums"] for point, has in zip(shown, measured, strict=True) if has]
    if sums:
        table.loc[measured, list(_INTERVAL)] = scoring.drops(sums, confidence)
    return table


def _is_measured(point: Mapping[str, Any]) -> bool:
    return bool(point["sums"].samples) and point["status"] not in ("failed", IMPORTED)


def _row(
    run_id: str,
    point: Mapping[str, Any],
    scoring: Scoring,
    baselines: Mapping[int, Sums],
    has_labels: bool,
    confidence: float,
) -> dict[str, Any]:
    row = {name: point[name] for name in (*FIRST, *LAST) if name in point}
    row |= dict.fromkeys((*_INTERVAL, "accuracy", *scoring.columns), math.nan)
    row |= {"run_id": run_id, "reason": point.get("reason") or None}
    total, kept = point["total"], point["kept"]
    row["ratio_achieved"] = (total - kept) / total if total else point["ratio_requested"]
    sums: Sums = point["sums"]
    row |= {"samples": sums.samples, "seconds": sums.seconds}
    if scoring.right:
        row[scoring.right] = sums.terms.get(scoring.right, 0)
    if point["status"] == IMPORTED:
        return row | {name: value for name, value in sums.terms.items() if name in row}
    if not _is_measured(point):
        return row
    row["accuracy"] = scoring.score(sums)
    dense = baselines.get(sums.samples)
    return row | scoring.values(sums, dense, has_labels=has_labels, confidence=confidence)


def for_files(table: pd.DataFrame, task: str = DEFAULT_TASK) -> pd.DataFrame:
    """Return the table as files have it: score and drop by the task's words, the right way round.

    Of classification it is the table itself. Counts that an imported file does not have are empty.
    """
    words = scoring_of(task).words
    if (table["total"] == 0).any():
        known = table["total"] > 0
        table = table.assign(
            **{name: table[name].astype("Int64").where(known) for name in ("kept", "total")}
        )
    turned = table if words.scale > 0 else table.assign(accuracy=-table["accuracy"])
    return turned.rename(columns={"accuracy": words.column, "accuracy_drop": words.drop_column})


def check_format(path: Path) -> Path:
    """Return the path if the points table can be written under its suffix.

    Raises:
        InputError: Another suffix.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"points are written as .csv or .parquet, found {path.name!r}")
    return path


def write_points(table: pd.DataFrame, path: Path, task: str = DEFAULT_TASK) -> Path:
    """Write the table as CSV or Parquet, by suffix; a file is replaced whole or not at all.

    Columns are those of `for_files`.

    Raises:
        InputError: Another suffix.
        StoreError: The file cannot be written.
    """
    check_format(path)
    table = for_files(table, task)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            if path.suffix == ".csv":
                table.to_csv(partial, index=False)
            else:
                table.to_parquet(partial, index=False)
    return path
