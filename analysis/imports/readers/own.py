"""Our own points, as CSV or Parquet: all columns are known, nothing is to be asked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from analysis.imports.raw import MAX_POINTS, RawResult, ResultFormat
from analysis.imports.readers.texts import first_cells
from analysis.records import ImportedPoint, PointKey
from analysis.tasks import QUANTITIES, TASKS, scoring_of
from pruners.errors import InputError, first_line

if TYPE_CHECKING:
    import pandas as pd

    from analysis.tasks import Scoring

WHAT = "the points file"
MAGIC = b"PAR1"
_NEEDED = ("layer", "criterion", "granularity", "ratio_requested", "kept", "total", "status")


def recognises(content: bytes) -> bool:
    """Say whether it has our columns, or is a Parquet file."""
    return content.startswith(MAGIC) or set(_NEEDED) <= set(first_cells(content))


def read(content: bytes) -> RawResult:
    """Read the file.

    Raises:
        InputError: Columns are missing, or hold something else than points.
    """
    table = _table(content)
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise InputError(f"{WHAT} has no column {', '.join(missing)}")
    if not 0 < len(table) <= MAX_POINTS:
        raise InputError(f"{WHAT} has {len(table):,} rows; 1 to {MAX_POINTS:,} are read")
    quantity = _quantity(set(table.columns))
    scoring = scoring_of(quantity)
    # Missing cells of any kind become None.
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    points = [_point(row, scoring, place) for place, row in enumerate(rows, 1)]
    return RawResult((), {quantity: {}}, table=points)


def _table(content: bytes) -> pd.DataFrame:
    # It takes seconds to import.
    import pandas as pd

    try:
        if content.startswith(MAGIC):
            return pd.read_parquet(io.BytesIO(content))
        return pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])
    except Exception as error:
        # pandas and pyarrow raise of damaged files what they like.
        raise InputError(f"{WHAT} cannot be read: {first_line(error)}") from None


def _quantity(columns: set[str]) -> str:
    """Return what the score's column is of; a task also has the column of its right samples."""
    for name in (*TASKS.names(), *QUANTITIES.names()):
        scoring = scoring_of(name)
        words = scoring.words
        if {words.column, words.drop_column} <= columns and scoring.right in {"", *columns}:
            return name
    raise InputError(f"{WHAT} has no column of a score and its drop, as accuracy, accuracy_drop")


def _point(row: dict[Any, Any], scoring: Scoring, place: int) -> ImportedPoint:
    try:
        return _read_point(row, scoring)
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{WHAT}: row {place} is no point; expected numbers and names") from None


def _read_point(row: dict[Any, Any], scoring: Scoring) -> ImportedPoint:
    total, kept = int(row["total"] or 0), int(row["kept"] or 0)
    ratio = float(row["ratio_requested"])
    if not (0 <= kept <= total and 0 <= ratio <= 1):
        raise InputError(
            f"{WHAT}: {row['layer']} keeps {kept} of {total} at ratio {ratio:g}, which cannot be"
        )
    failed = row["status"] == "failed"
    words = scoring.words
    turned = 1.0 if words.scale > 0 else -1.0
    values = {
        "accuracy": None if row[words.column] is None else turned * float(row[words.column]),
        "accuracy_drop": row[words.drop_column],
        **{name: row.get(name) for name in ("drop_low", "drop_high", *scoring.columns)},
    }
    known = {name: float(value) for name, value in values.items() if value is not None}
    if scoring.right and row[scoring.right] is not None:
        known[scoring.right] = int(row[scoring.right])
    return ImportedPoint(
        key=PointKey(
            criterion=str(row["criterion"]),
            granularity=str(row["granularity"]),
            layer=str(row["layer"]),
            group=None if row.get("group") is None else str(row["group"]),
            ratio_requested=ratio,
            kept=kept,
            total=total,
        ),
        values={} if failed else known,
        samples=0 if failed else int(row.get("samples") or 0),
        params=None if row.get("params") is None else int(row["params"]),
        macs=None if row.get("macs") is None else int(row["macs"]),
        failure=str(row.get("reason") or "failed") if failed else "",
    )


POINTS = ResultFormat(
    "points",
    "PruneScope points (CSV, Parquet)",
    "The points of a run as PruneScope writes them, intervals and counts included.",
    (".csv", ".parquet"),
    recognises,
    read,
)
