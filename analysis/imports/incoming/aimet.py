"""AIMET's chosen ratios: a pickled list of layer and share of the input channels that stay."""

from __future__ import annotations

from analysis.imports.incoming.request import PlanRequest, consumed_by, plan_of_counts
from analysis.imports.naming import renamed
from analysis.imports.raw import level_of
from analysis.imports.readers import is_pickle, read_pickle, text_of
from analysis.records import Plan
from pruners.errors import PlanError


def is_pairs(content: bytes) -> bool:
    """Say whether it is a pickled list of pairs."""
    return is_pickle(content) and type(read_pickle(content)) is list


def read_pairs(request: PlanRequest) -> Plan:
    """Return the plan: AIMET keeps int(channels * ratio) input channels, one at least.

    Raises:
        PlanError: A layer's input channels cannot be removed, or two layers contradict each other.
        InputError: It is no list of layers with ratios.
    """
    found = read_pickle(request.content)
    pairs: dict[str, float] = {}
    for item in found if type(found) is list else ():
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise PlanError(f"{request.file}: expected pairs of a layer and a ratio")
        # None: AIMET leaves the layer alone.
        if item[1] is not None:
            pairs[text_of(item[0], request.file)] = level_of(item[1], request.file)
    if not pairs:
        raise PlanError(f"{request.file} compresses no layer")
    plan = request.start("channel")
    layers = renamed(list(pairs), request.renames)
    counts = {}
    for name, layer in layers.items():
        group = consumed_by(request, layer)
        counts[name] = (group.id, max(1, int(group.units * pairs[name])))
    return plan_of_counts(request, plan, counts)
