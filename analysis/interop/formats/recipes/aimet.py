"""AIMET's channel pruning in manual mode, as a Python file."""

from __future__ import annotations

import json

from torch import nn

from analysis.edits import PreparedSubject
from analysis.files import write_text
from analysis.interop.formats.recipes.counts import Ask, counts_text, notes, pruned
from analysis.interop.request import Exported, ExportRequest
from analysis.records import PlanEntry
from pruners.errors import UnsupportedError
from pruners.layers import find_layer

FILE = "recipe_aimet.py"
TEXT = '''\
"""For AIMET 2.42.0: pip install aimet-torch==2.42.0

Call prune(model, data_loader, evaluate, shape).

Ratios are kept shares of the INPUT channels of the layer that is named: AIMET cuts them, and the
outputs of the layer before. Its int(channels * ratio) gives the counts, for ratios are half a
channel above them. AIMET chooses the channels itself and fits the weights that stay to its samples.
ReLU has to be a module: a functional one is refused with "Unsupported op_type relu". Layers that
are not named stay as they are.

{table}
"""

RATIOS = {ratios}


def prune(model, data_loader, evaluate, shape, samples=500):
    """Return the smaller model and AIMET's statistics."""
    from aimet_torch.common.defs import CompressionScheme, CostMetric
    from aimet_torch.compress import ModelCompressor
    from aimet_torch.defs import ChannelPruningParameters, ModuleCompRatioPair

    pairs = [ModuleCompRatioPair(model.get_submodule(name), r) for name, r in RATIOS.items()]
    parameters = ChannelPruningParameters(
        data_loader,
        samples,
        True,
        ChannelPruningParameters.Mode.manual,
        ChannelPruningParameters.ManualModeParams(pairs),
    )
    return ModelCompressor.compress_model(
        model,
        evaluate,
        samples,
        shape,
        CompressionScheme.channel_pruning,
        CostMetric.mac,
        parameters,
    )
'''


def export_aimet(request: ExportRequest) -> Exported:
    """Write ``recipe_aimet.py``.

    Raises:
        UnsupportedError: Channels that no ratio of one convolution's inputs can say.
        InputError: The plan prunes nothing.
    """
    asks = []
    for entry in pruned(request):
        reader = _reader(request.prepared, entry)
        ratio = (entry.kept + 0.5) / entry.total
        asks.append(Ask(reader, ratio, entry.kept, entry.total, entry.kept))
    ratios = json.dumps({ask.layer: float(ask.number) for ask in asks}, indent=4)
    table = "\n".join(counts_text(asks, "inputs"))
    path = write_text(request.directory / FILE, TEXT.format(table=table, ratios=ratios))
    about = f"cuts the input channels of {len(asks)} convolutions"
    return Exported(files=((path, about),), notes=notes(request))


def _reader(prepared: PreparedSubject, entry: PlanEntry) -> str:
    """Return the one convolution that reads a group's channels."""
    if entry.granularity != "channel":
        raise UnsupportedError(
            f"AIMET prunes channels; {entry.layer} is pruned by {entry.granularity}: export masks "
            "or model, or plan this layer by channel"
        )
    group = prepared.group(entry.name)
    makers = {member.layer for member in group.producers}
    readers = {member.layer for member in group.consumers}
    between = [member.name for member in group.members if member.role in ("depthwise", "parameter")]
    if len(makers) != 1 or between:
        coupled = ", ".join(sorted(makers | set(between)))
        raise _unsaid(entry, f"its channels are coupled ({coupled})")
    if len(readers) != 1:
        found = ", ".join(sorted(readers)) or "no layer"
        raise _unsaid(entry, f"{found} read its channels, and it has to be one convolution")
    (maker,), (reader,) = makers, readers
    for name in (maker, reader):
        layer = find_layer(prepared.model, name)
        if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
            kind = type(layer).__name__
            raise _unsaid(entry, f"{name} is no Conv2d of one group of channels, but a {kind}")
    for member in (*group.producers, *group.consumers):
        if len(member.index) != entry.total or bool((member.index < 0).any()):
            raise _unsaid(entry, f"{member.layer} has channels of other groups as well")
    return reader


def _unsaid(entry: PlanEntry, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"AIMET has one ratio for the inputs of a convolution, which cannot say {entry.name}: "
        f"{reason}; leave it whole, or export the smaller model (model, onnx)"
    )
