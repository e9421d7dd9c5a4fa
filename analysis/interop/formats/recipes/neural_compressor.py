"""Intel Neural Compressor's pruning configuration, as a Python file."""

from __future__ import annotations

import json
import re

from torch import nn

from analysis.files import write_text
from analysis.interop.formats.recipes.counts import (
    Ask,
    counts_text,
    notes,
    pruned,
    quarter_step,
    require_elements,
)
from analysis.interop.request import Exported, ExportRequest
from pruners.errors import UnsupportedError

FILE = "recipe_neural_compressor.py"
TOOL = "Neural Compressor"
TEXT = '''\
"""For Neural Compressor 3.7: pip install neural-compressor==3.7 packaging six

It is the last version with pruning, and asks for numpy 1.26. Call prune(model, optimizer).

Names are regular expressions that are searched for, so they are anchored: conv1 alone would prune
conv10 as well. The scope is local: by default all ratios become one of the whole model. Layers
that are not named stay as they are. The last Linear is never pruned, even when named. Ratios are a
quarter of a weight above the count, which rounding and cutting off both turn into the count.

{table}
"""

CONFIGS = {configs}


def prune(model, optimizer):
    """Prune at once by magnitude; what is returned holds the zeros in training."""
    from neural_compressor.compression.pruner import prepare_pruning
    from neural_compressor.config import WeightPruningConfig

    config = WeightPruningConfig(
        CONFIGS,
        pruning_type="magnitude",
        pruning_scope="local",
        start_step=0,
        end_step=0,
        max_sparsity_ratio_per_op={most},
    )
    pruning = prepare_pruning(model, config, optimizer)
    pruning.on_train_begin()
    pruning.on_step_begin(0)
    return pruning
'''


def export_neural_compressor(request: ExportRequest) -> Exported:
    """Write ``recipe_neural_compressor.py``.

    Raises:
        UnsupportedError: An entry that is not of single weights of a Linear or Conv2d, or of a
            layer that the tool leaves alone.
        InputError: The plan prunes nothing.
    """
    asks = []
    modules = request.prepared.model.named_modules()
    last = [name for name, module in modules if isinstance(module, nn.Linear)][-1:]
    for entry in pruned(request):
        require_elements(request, TOOL, entry, (nn.Conv2d, nn.Linear))
        if any(re.search(name, entry.layer) for name in last):
            raise UnsupportedError(
                f"{TOOL} leaves the last Linear alone ({last[0]}), and every layer in whose name "
                f"it finds this one, so {entry.layer} is not pruned; leave it whole, or export "
                "masks"
            )
        asks.append(quarter_step(entry))
    configs = [_config(ask) for ask in asks]
    # The tool's own limit is 0.98 of a layer.
    most = max(0.98, *(ask.ratio for ask in asks))
    table = "\n".join(counts_text(asks, "weights"))
    text = TEXT.format(table=table, configs=json.dumps(configs, indent=4), most=f"{most:.12f}")
    path = write_text(request.directory / FILE, text)
    about = f"prunes {len(asks)} layers by magnitude"
    return Exported(files=((path, about),), notes=notes(request))


def _config(ask: Ask) -> dict[str, object]:
    return {
        "op_names": [f"^{re.escape(ask.layer)}$"],
        "target_sparsity": float(ask.number),
        "pattern": "1x1",
    }
