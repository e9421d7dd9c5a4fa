"""SparseML's recipes: one that prunes as many weights, and one that holds the plan's zeros."""

from __future__ import annotations

import json

from analysis.files import write_text
from analysis.interop.formats.recipes.counts import (
    Ask,
    counts_text,
    notes,
    pruned,
    quarter_step,
    require_elements,
)
from analysis.interop.masked import masks, write_masked
from analysis.interop.request import Exported, ExportRequest
from pruners.layers import weight_name

FILE = "recipe_sparseml.yaml"
CONSTANT = "recipe_sparseml_constant.yaml"
WEIGHTS = "recipe_sparseml.safetensors"
TRAPS = """\
For SparseML 1.8.0: pip install sparseml==1.8.0 sparsezoo==1.8.0
(1.9.0 of both fail to build on purpose; they ask for numpy 1.26).

    from sparseml.pytorch.optim import ScheduledModifierManager
    manager = ScheduledModifierManager.from_yaml("{file}")
"""
COUNTED = """\
    manager.apply(model)

One modifier a layer, for a list of ratios takes parameters in another order.
SparseML rounds ratio * weights and chooses the smallest magnitudes itself. Names are those of
parameters; a regular expression would start with "re:". Biases and norms are left alone.

"""
HELD = f"""\
    model.load_state_dict(safetensors.torch.load_file("{WEIGHTS}"))
    optimizer = manager.modify(model, optimizer, steps_per_epoch)

Load the weights first: the modifier holds what is zero when it starts, and zeroes nothing.
Weights that were zero before pruning are held as well.
"""


def export_sparseml(request: ExportRequest) -> Exported:
    """Write both recipes, and the weights with their zeros for the second one.

    Raises:
        UnsupportedError: An entry that is not of single weights.
        InputError: The plan prunes nothing.
    """
    asks: dict[str, Ask] = {}
    for entry in pruned(request):
        layer = require_elements(request, "SparseML", entry)
        asks[f"{entry.layer}.{weight_name(layer, name=entry.layer)}"] = quarter_step(entry)
    table = "\n".join(counts_text(asks.values(), "weights"))
    counted = _comment(TRAPS.format(file=FILE) + COUNTED + table) + "modifiers:\n"
    for name, ask in asks.items():
        counted += (
            "    - !GMPruningModifier\n"
            f"        params: [{json.dumps(name)}]\n"
            f"        init_sparsity: {ask.number}\n"
            f"        final_sparsity: {ask.number}\n"
            "        start_epoch: 0.0\n"
            "        end_epoch: 1.0\n"
            "        update_frequency: 1.0\n"
        )
    held = _comment(TRAPS.format(file=CONSTANT) + HELD) + (
        "modifiers:\n"
        "    - !ConstantPruningModifier\n"
        "        start_epoch: 0.0\n"
        "        end_epoch: -1.0\n"
        f"        params: {json.dumps(list(asks))}\n"
    )
    folder = request.directory
    write_masked(request, masks(request), folder / WEIGHTS)
    files = (
        (write_text(folder / FILE, counted), f"prunes {len(asks)} parameters by magnitude"),
        (write_text(folder / CONSTANT, held), "holds the zeros of the weights beside it"),
        (folder / WEIGHTS, "the plan's weights in the dense shapes, zeros included"),
    )
    return Exported(files=files, notes=notes(request))


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())
