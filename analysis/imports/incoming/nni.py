"""NNI's list of configurations, of version 2.10 and of 3.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.imports.incoming.request import PlanRequest, entry_of, plan_of_counts
from analysis.imports.naming import renamed
from analysis.imports.readers import json_of, looks_like_json
from analysis.plans import find
from analysis.records import Plan
from pruners.errors import PlanError

# The shares that a configuration may give, by version; those of 2.10 are overridden by later ones.
OLD, NEW = ("sparsity_per_layer", "sparsity"), ("sparse_ratio",)
# What would need NNI's own model of the network to be understood.
UNREAD = (
    *("op_names_re", "op_partial_names", "total_sparsity", "global_group_id", "sparse_threshold"),
    *("max_sparsity_per_layer", "max_sparse_ratio", "min_sparse_ratio", "target_settings"),
)


def is_config(content: bytes) -> bool:
    """Say whether it is a list of objects that name layers."""
    return looks_like_json(content, b"[") and (b'"op_names"' in content or b'"op_types"' in content)


def read_config(request: PlanRequest) -> Plan:
    """Return the plan: NNI removes int(share * channels) of each layer.

    Raises:
        PlanError: The list says what cannot be read, or contradicts itself.
    """
    found = json_of(request.content, request.file)
    items = found if isinstance(found, list) else found.get("config_list")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise PlanError(f"{request.file} holds no list of configurations")
    shares: dict[str, float] = {}
    dense: set[str] = set()
    for item in items:
        _read_item(request.file, item, shares, dense)
    layers = renamed([name for name in shares if name not in dense], request.renames)
    granularity = _granularity(request, items)
    plan = request.start(granularity)
    counts = {}
    for name, layer in layers.items():
        entry = find(plan, entry_of(request, plan, layer))
        counts[name] = (entry.name, entry.total - int(shares[name] * entry.total))
    return plan_of_counts(request, plan, counts)


def _read_item(
    file: str, item: Mapping[str, Any], shares: dict[str, float], dense: set[str]
) -> None:
    unread = [name for name in UNREAD if name in item]
    names = item.get("op_names")
    if unread or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        what = ", ".join(unread) or "layers by something else than op_names"
        raise PlanError(f"{file} has {what}, which is not read; name each layer in op_names")
    if item.get("exclude"):
        dense.update(names)
        return
    given = [name for name in (*OLD, *NEW) if name in item]
    if len(given) != 1:
        raise PlanError(f"{file}: {names[:3]} need one of {', '.join((*OLD, *NEW))}")
    share = item[given[0]]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise PlanError(f"{file}: {names[:3]}: a share is between 0 and 1, found {share!r:.40}")
    for name in names:
        if given[0] in OLD:
            # In 2.10 the last configuration of a layer counts, in 3.0 the first.
            shares[name] = share
        else:
            shares.setdefault(name, share)


def _granularity(request: PlanRequest, items: list[dict[str, Any]]) -> str:
    """Return what is pruned: as the list says, else as a person does."""
    found = {item["granularity"] for item in items if isinstance(item.get("granularity"), str)}
    if found == {"out_channel"}:
        return "channel"
    if found == {"default"}:
        return "element"
    if found:
        raise PlanError(f"{request.file} has granularity {', '.join(sorted(found))}: not read")
    if request.granularity not in ("channel", "element"):
        raise PlanError(
            f"{request.file} does not say what is pruned: give --granularity channel or element, "
            "as the pruner that it was for"
        )
    return request.granularity
