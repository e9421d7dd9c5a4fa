"""Distiller's sensitivity analysis: ``parameter,sparsity,top1,top5,loss``, one row a level."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.imports.raw import RawResult, ResultFormat, gathered, level_of, number
from analysis.imports.readers.texts import first_cells, rows_of
from pruners.errors import InputError

HEAD = ["parameter", "sparsity", "top1", "top5", "loss"]
_METRICS: Mapping[str, Mapping[str, str]] = {
    "top1": {"unit": "percent", "direction": "higher"},
    "top5": {"unit": "percent", "direction": "higher"},
    "loss": {"unit": "loss", "direction": "lower"},
}


def recognises(content: bytes) -> bool:
    """Say whether the first row is Distiller's."""
    return first_cells(content) == HEAD


def read(content: bytes) -> RawResult:
    """Read the file.

    Raises:
        InputError: A row is not as Distiller writes it.
    """
    rows = []
    for line, row in enumerate(rows_of(content, "the Distiller file")[1:], 2):
        where = f"line {line} of the Distiller file"
        if len(row) != len(HEAD):
            raise InputError(f"{where}: expected {len(HEAD)} cells, found {len(row)}")
        values = {name: number(cell, where) for name, cell in zip(HEAD[2:], row[2:], strict=True)}
        rows.append((row[0], level_of(row[1], where), values))
    return RawResult(gathered(rows, "the Distiller file"), _METRICS, {"share": "pruned"})


# Ranked filters or weights: the level times their number, cut to a whole number.
DISTILLER = ResultFormat(
    "distiller",
    "Distiller (CSV)",
    "What Distiller's sensitivity analysis writes: top-1 and top-5 in percent, and the loss.",
    (".csv",),
    recognises,
    read,
)
