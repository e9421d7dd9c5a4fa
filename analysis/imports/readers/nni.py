"""NNI's sensitivity analysis: one row a layer, one column a level, no baseline, no metric named."""

from __future__ import annotations

from analysis.imports.raw import RawResult, ResultFormat, gathered, level_of, number
from analysis.imports.readers.texts import first_cells, rows_of
from analysis.sentences import plural
from pruners.errors import InputError


def recognises(content: bytes) -> bool:
    """Say whether the first row is NNI's."""
    return first_cells(content)[:1] == ["layername"]


def read(content: bytes) -> RawResult:
    """Read the file; rows may end early.

    Raises:
        InputError: A row is not as NNI writes it.
    """
    head, *body = rows_of(content, "the NNI file")
    levels = [level_of(cell, "line 1 of the NNI file") for cell in head[1:]]
    rows, short = [], 0
    for line, row in enumerate(body, 2):
        where = f"line {line} of the NNI file"
        cells = row[1:]
        while cells and not cells[-1]:
            cells.pop()
        if len(cells) > len(levels):
            raise InputError(f"{where}: {len(cells)} values for {plural(len(levels), 'level')}")
        short += len(cells) < len(levels)
        rows += [
            (row[0], level, {"value": number(cell, where)})
            for level, cell in zip(levels, cells, strict=False)
        ]
    notes = (
        (
            f"{plural(short, 'layer')} ended early: the last value of each is the one that broke "
            "the limit.",
        )
        if short
        else ()
    )
    return RawResult(
        gathered(rows, "the NNI file"), {"value": {}}, {"share": "pruned"}, notes=notes
    )


NNI = ResultFormat(
    "nni",
    "NNI (CSV)",
    "What NNI's sensitivity analysis exports: a row a layer, a column a level.",
    (".csv",),
    recognises,
    read,
)
