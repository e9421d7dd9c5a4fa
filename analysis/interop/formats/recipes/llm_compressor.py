"""llm-compressor's recipe for SparseGPT, whose rounding is by blocks of columns."""

from __future__ import annotations

import json

from torch import nn

from analysis.files import write_text
from analysis.interop.formats.recipes.counts import (
    Ask,
    counts_text,
    notes,
    pruned,
    require_elements,
)
from analysis.interop.request import Exported, ExportRequest
from analysis.records import PlanEntry
from analysis.sentences import plural
from pruners.errors import UnsupportedError

FILE = "recipe_llm_compressor.yaml"
TOOL = "llm-compressor"
COLUMNS = 128
HEAD = f"""\
# For llm-compressor 0.14.0.1: pip install llmcompressor==0.14.0.1
#
#     from llmcompressor import oneshot
#     oneshot(model=folder, dataset=loader, recipe="{FILE}", processor=...)
#
# Counts only: SparseGPT chooses the weights, changes those that it keeps, and takes no masks.
# Of each block of {COLUMNS} columns it prunes int(weights * sparsity) + 1, so a layer's count
# moves in steps of its blocks: "tool keeps" below says where it is not the plan's. Columns that no
# sample reaches are zeroed as well. Do not put MagnitudePruningModifier here: under oneshot it
# prunes nothing and says nothing. A model that was built from a config needs save_pretrained and
# from_pretrained(folder) before. One group of modifiers a layer: a list of sparsities follows the
# model's order, not that of targets, and one group cannot hold a modifier twice.
#
"""


def export_llm_compressor(request: ExportRequest) -> Exported:
    """Write ``recipe_llm_compressor.yaml``.

    Raises:
        UnsupportedError: An entry that is not of single weights of a Linear or 1x1 Conv2d.
        InputError: The plan prunes nothing.
    """
    asks = []
    for entry in pruned(request):
        layer = require_elements(request, TOOL, entry, (nn.Linear, nn.Conv2d))
        _require_matrix(layer, entry.layer)
        asks.append(_ask(entry, layer.get_parameter("weight").shape[0]))
    text = HEAD + "".join(f"# {line}\n" for line in counts_text(asks, "weights"))
    text += "pruning_stage:\n"
    for number, ask in enumerate(asks):
        text += (
            f"  layer{number}_modifiers:\n"
            "    SparseGPTModifier:\n"
            f"      sparsity: {ask.number}\n"
            '      mask_structure: "0:0"\n'
            f"      block_size: {COLUMNS}\n"
            f"      targets: [{json.dumps(ask.layer)}]\n"
        )
    missed = [
        f"{ask.layer}: {ask.got} weights stay where the plan keeps {ask.kept}, for SparseGPT "
        f"rounds in each block of {COLUMNS} columns"
        for ask in asks
        if ask.got != ask.kept
    ]
    path = write_text(request.directory / FILE, text)
    about = f"SparseGPT at {len(asks)} layers"
    return Exported(files=((path, about),), notes=notes(request, *missed))


def _require_matrix(layer: nn.Module, name: str) -> None:
    """Refuse convolutions that SparseGPT fails on: it counts a column for each input channel."""
    if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.kernel_size != (1, 1)):
        size = "x".join(str(item) for item in layer.kernel_size)
        raise UnsupportedError(
            f"{TOOL} prunes Linear, and Conv2d of 1x1 in one group; {name} is a Conv2d of {size} "
            f"in {plural(layer.groups, 'group')}: leave it whole, or export masks"
        )


def _ask(entry: PlanEntry, rows: int) -> Ask:
    """Return the sparsity whose count is the nearest to the plan's."""
    pruned_count, total = entry.total - entry.kept, entry.total
    blocks = _blocks(rows, total // rows)
    tried = [(pruned_count - 0.5) / total]
    for size in set(blocks):
        near = pruned_count * size // total
        # Between two steps of each kind of block: at the steps themselves floats decide.
        tried += [
            (step + part) / size
            for step in range(max(0, near - 2), min(size, near + 2))
            for part in (0.25, 0.75)
        ]

    def distance(ratio: float) -> tuple[int, float]:
        return abs(_pruned_by(ratio, blocks) - pruned_count), abs(ratio - pruned_count / total)

    ratio = min((round(item, 12) for item in tried), key=distance)
    return Ask(entry.layer, ratio, entry.kept, total, total - _pruned_by(ratio, blocks))


def _blocks(rows: int, columns: int) -> list[int]:
    """Return the weights in each block of columns, the last of which may be smaller."""
    full, rest = divmod(columns, COLUMNS)
    return [rows * COLUMNS] * full + ([rows * rest] if rest else [])


def _pruned_by(ratio: float, blocks: list[int]) -> int:
    return sum(int(size * ratio) + 1 for size in blocks)
