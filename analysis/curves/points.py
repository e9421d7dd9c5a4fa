"""The points table: one row a point, as DataFrame, CSV and Parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.files import atomic
from analysis.records import Sums
from analysis.uncertainty import paired_drops
from pruners.errors import InputError

COLUMNS = (
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
    "correct",
    "accuracy",
    "accuracy_drop",
    "drop_low",
    "drop_high",
    "loss",
    "loss_delta",
    "kl",
    "agreement",
    "params",
    "macs",
    "status",
    "seconds",
)
_INTEGERS = ("kept", "total", "samples", "correct")
_OPTIONAL_INTEGERS = ("params", "macs")
_INTERVAL = ("accuracy_drop", "drop_low", "drop_high")
_TEXTS = ("run_id", "criterion", "granularity", "layer", "group", "status")
FORMATS = (".csv", ".parquet")


def points_table(
    run_id: str,
    points: Sequence[Mapping[str, Any]],
    *,
    baselines: Mapping[int, Sums],
    confidence: float = 0.95,
    has_labels: bool = True,
) -> pd.DataFrame:
    """Build the table.

    Points that nothing is known of yet are left out.

    Args:
        run_id: The run.
        points: Key, params, macs, status and, as ``sums``, the sums of each point.
        baselines: Sums of the dense model by number of samples, so that a point that stopped
            early is compared on its own samples.
        confidence: Of the intervals of the drop.
        has_labels: Without labels there is no loss.
    """
    shown = [point for point in points if point["sums"].samples or point["status"] != "measured"]
    rows = [_row(run_id, point, baselines, has_labels) for point in shown]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds: dict[str, str] = dict.fromkeys(_INTEGERS, "int64")
    kinds |= dict.fromkeys(_OPTIONAL_INTEGERS, "Int64")
    kinds |= dict.fromkeys(_TEXTS, "object")
    kinds |= {name: "float64" for name in COLUMNS if name not in kinds}
    table = table.astype(kinds)
    has_numbers = table["accuracy"].notna().to_numpy()
    numbers = [point["sums"] for point, has in zip(shown, has_numbers, strict=True) if has]
    lost, gained = (
        np.array([sums[name] for sums in numbers], dtype=np.int64) for name in ("lost", "gained")
    )
    samples = np.array([sums.samples for sums in numbers], dtype=np.int64)
    drops = paired_drops(lost, gained, samples, confidence=confidence)
    for name, values in zip(_INTERVAL, drops, strict=True):
        table.loc[has_numbers, name] = values
    return table


def _row(
    run_id: str,
    point: Mapping[str, Any],
    baselines: Mapping[int, Sums],
    has_labels: bool,
) -> dict[str, Any]:
    row = {name: point[name] for name in COLUMNS if name in point}
    row |= dict.fromkeys(
        (*_INTERVAL, "accuracy", "agreement", "loss", "loss_delta", "kl"), math.nan
    )
    row["run_id"] = run_id
    row["ratio_achieved"] = (point["total"] - point["kept"]) / point["total"]
    sums: Sums = point["sums"]
    samples = sums.samples
    row |= {"samples": samples, "seconds": sums.seconds, "correct": sums.terms.get("correct", 0)}
    if not samples or point["status"] == "failed":
        return row
    row["accuracy"] = sums["correct"] / samples
    row["kl"] = sums["kl"] / samples
    row["agreement"] = sums["agree"] / samples
    dense = baselines.get(samples)
    if has_labels:
        row["loss"] = sums["loss"] / samples
        if dense is not None:
            row["loss_delta"] = (sums["loss"] - dense["loss"]) / samples
    return row


def check_format(path: Path) -> Path:
    """Return the path if the points table can be written under its suffix.

    Raises:
        InputError: Another suffix.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"points are written as .csv or .parquet, found {path.name!r}")
    return path


def write_points(table: pd.DataFrame, path: Path) -> Path:
    """Write the table as CSV or Parquet, by suffix; a file is replaced whole or not at all.

    Raises:
        InputError: Another suffix, or the file cannot be written.
    """
    check_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            if path.suffix == ".csv":
                table.to_csv(partial, index=False)
            else:
                table.to_parquet(partial, index=False)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    return path
