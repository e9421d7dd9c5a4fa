"""Write the table of criteria for the docs from the registry.

Run ``python -m pruners.criteria.docs_table docs/criteria.md``; a test fails when the page is old.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pruners.criteria.registry import ALL_TYPES, CRITERIA, Criterion
from pruners.granularity import parse, presets
from pruners.normalizers import NORMALIZERS
from pruners.reductions import REDUCTIONS
from pruners.registry import Entry
from pruners.schedules import SCHEDULES
from pruners.semantics import SEMANTICS
from pruners.statistics import BRANCH_NEEDS, NEEDS

_KINDS = ("element", "block", "n:m", "channel", "head", "branch", "layer")
_HEAD = """\
# Criteria

Generated from the registry by `python -m pruners.criteria.docs_table docs/criteria.md`; do not
edit.

A criterion gives each unit a score; the lowest scores go first. Scores that need data use the
calibration set, never the evaluation subset, in eval mode. Where the data has no labels, labels are
drawn from the dense model's own predictions (seeded): the gradient of the divergence from these
predictions is zero at the dense model, and the mean squared gradient of drawn labels is its
curvature. What a criterion cannot score is refused with the name of the layer.

Cost: `weights` needs nothing but the weights; `forward` one forward pass over the calibration set;
`backward` one forward and backward pass; `second order` a pass and matrices per layer.
All requested criteria share one pass.
"""


def markdown() -> str:
    """Return the page, ending with a newline."""
    entries = list(CRITERIA)
    rows = ["| criterion | score | granularities | cost | needs |", "|---|---|---|---|---|"]
    rows += [_row(entry) for entry in entries]
    details = [_details(entry) for entry in entries]
    return "\n".join([_HEAD, *rows, "", *details, *_lists()]) + "\n"


def _row(entry: Criterion) -> str:
    kinds = ", ".join(kind for kind in _KINDS if kind in entry.granularities)
    needs = ", ".join(f"`{need}`" for need in sorted(entry.needs)) or "nothing"
    formula = entry.formula.replace("|", "\\|")
    return f"| `{entry.name}` | {formula} | {kinds} | {entry.cost} | {needs} |"


def _details(entry: Criterion) -> str:
    lines = [f"## `{entry.name}`: {entry.label}", "", entry.help, ""]
    if entry.caution:
        lines += [f"Caution: {entry.caution}", ""]
    lines += [f"Global ranking: normalizer `{entry.normalizer}` by default.", ""]
    if entry.layer_types != ALL_TYPES:
        lines += [f"Layers: {', '.join(sorted(entry.layer_types))}.", ""]
    return "\n".join([*lines, f"Source: {entry.citation}.", ""])


def _lists() -> list[str]:
    lines = ["# Around the criteria", "", "## Statistics", ""]
    lines += [f"* `{name}`: {text}" for name, text in {**NEEDS, **BRANCH_NEEDS}.items()]
    lines += ["", "## Granularities", ""]
    lines += [f"* `{text}`: {parse(text).description}" for text in presets()]
    lines += ["", "## How the layers of a group join (reduction)", ""]
    lines += _entries(REDUCTIONS)
    lines += ["", "## Global ranking: how layers are made comparable (normalizer)", ""]
    lines += _entries(NORMALIZERS)
    lines += ["", "## Semantics of a pruned channel", ""]
    lines += _entries(SEMANTICS)
    lines += ["", "## Schedules", ""]
    lines += [f"* `{item.name}`: {item.help} Source: {item.citation}." for item in SCHEDULES]
    return lines


def _entries(registry: Iterable[Entry]) -> list[str]:
    return [f"* `{entry.name}`: {entry.help}" for entry in registry]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")
