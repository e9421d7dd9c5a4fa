"""SparseML's sensitivity analysis: a loss, or a divergence, at each level of zeros; its JSON."""

from __future__ import annotations

from typing import Any

from analysis.imports.raw import RawResult, ResultFormat, gathered, level_of, number
from analysis.imports.readers.texts import json_of, looks_like_json
from pruners.errors import InputError

WHAT = "the SparseML file"


def recognises(content: bytes) -> bool:
    """Say whether it is an object with results and sparse measurements."""
    return (
        looks_like_json(content, b"{")
        and b'"results' in content
        and b'"sparse_measurements"' in content
    )


def read(content: bytes) -> RawResult:
    """Read the file; several values at a level are averaged.

    Raises:
        InputError: It holds times, or is not as SparseML writes it.
    """
    found = json_of(content, WHAT)
    if not isinstance(found, dict) or not isinstance(found.get("results"), list):
        raise InputError(f"{WHAT} has no list of results")
    if {"num_cores", "batch_size", "results_model"} & found.keys():
        raise InputError(
            f"{WHAT} holds times in seconds (num_cores, batch_size), no loss: a performance "
            "analysis has no curves of sensitivity; import the loss analysis of the same model"
        )
    rows = [row for item in found["results"] for row in _rows(item)]
    return RawResult(
        gathered(rows, WHAT),
        {"value": {}},
        {"share": "pruned", "granularity": "element"},
    )


def _rows(item: Any) -> list[tuple[str, float, dict[str, float]]]:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise InputError(f"{WHAT}: a result without a name")
    name, measured = item["name"], item.get("sparse_measurements")
    if not isinstance(measured, list):
        raise InputError(f"{WHAT}: {name} has no sparse measurements")
    rows = []
    for pair in measured:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], list):
            raise InputError(
                f"{WHAT}: {name}: expected [level, [values]], found {type(pair).__name__}"
            )
        level = level_of(pair[0], f"{WHAT}: {name}")
        values = [number(value, f"{WHAT}: {name}") for value in pair[1]]
        if not values:
            raise InputError(f"{WHAT}: {name} has no value at level {level:g}")
        rows.append((name, level, {"value": sum(values) / len(values)}))
    return rows


SPARSEML = ResultFormat(
    "sparseml",
    "SparseML (JSON)",
    "What SparseML's loss sensitivity analysis writes, one-shot or approximate; single weights.",
    (".json",),
    recognises,
    read,
    removed=lambda share, units: round(share * units),
)
