"""A network as a map: a node a layer or block, with what its group tolerates or loses."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.curves.blocks import blocks_of
from analysis.curves.groups import GroupSize
from analysis.records import Inventory


def network_nodes(
    inventory: Inventory,
    groups: Mapping[str, GroupSize],
    values: Mapping[str, float],
    *,
    block: str = "",
) -> pd.DataFrame:
    """Lay out the layers of a model in execution order, folded by block where they are many.

    Args:
        inventory: Its layers.
        groups: What stands behind each curve, by the layer that names it.
        values: A share by the layer that names a group, 0..1; NaN where it is not known.
        block: The block that is open: its layers are nodes of their own; ``*`` opens all.

    Returns:
        ``node, curve, count, value, least, most``: curve is the layer that names the node's group
        (of a block the block, of a layer that is not prunable nothing), count the layers of the
        node, and value the mean share of its groups with the least and the most.
    """
    owner = {layer: name for name, size in groups.items() for layer in size.layers}
    node_of = nodes_of(inventory, block)
    members: dict[str, list[str]] = {}
    for layer, node in node_of.items():
        members.setdefault(node, []).append(layer)
    rows = []
    for node, layers in members.items():
        names = list(dict.fromkeys(owner[name] for name in layers if name in owner))
        known = pd.Series([values[name] for name in names if name in values], dtype=float).dropna()
        is_layer = layers == [node]
        rows.append(
            {
                "node": node,
                "curve": (names[0] if names else "") if is_layer else node,
                "count": len(layers),
                "value": known.mean(),
                "least": known.min(),
                "most": known.max(),
            }
        )
    return pd.DataFrame(rows, columns=["node", "curve", "count", "value", "least", "most"])


def nodes_of(inventory: Inventory, block: str = "") -> dict[str, str]:
    """Return the node of each layer: the layer, or its block where that is not open."""
    layers = [row.name for row in inventory.layers]
    if block == "*":
        return {name: name for name in layers}
    blocks = blocks_of(layers)
    return {name: name if inside == block else inside for name, inside in blocks.items()}


def network_edges(inventory: Inventory, *, block: str = "") -> list[tuple[int, int]]:
    """Return the edges between nodes as places in `network_nodes`, each once; none within a node.

    Args:
        inventory: Has the edges between layers.
        block: As for `network_nodes`.
    """
    node_of = nodes_of(inventory, block)
    place = {node: number for number, node in enumerate(dict.fromkeys(node_of.values()))}
    pairs = ((place[node_of[source]], place[node_of[target]]) for source, target in inventory.edges)
    return sorted({(source, target) for source, target in pairs if source != target})
