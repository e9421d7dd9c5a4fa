"""How data flows between the layers of a captured model."""

from __future__ import annotations

from collections.abc import Collection

from torch import fx

from pruners.capture import Graph


def layer_edges(graph: Graph, layers: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return which layer's output reaches which layer with no other layer between.

    Args:
        graph: The captured model.
        layers: Names of the modules that count as layers; what lies between them, such as norms
            and sums, passes its inputs on.

    Returns:
        Pairs ``(from, to)``, each once, in execution order.
    """
    reached: dict[fx.Node, dict[str, None]] = {}
    found: dict[tuple[str, str], None] = {}
    for node in graph.module.graph.nodes:
        read = [graph.state[item.name] for item in node.all_input_nodes if item.name in graph.state]
        made = [name for key in read if (name := key.rpartition(".")[0]) in layers]
        arriving: dict[str, None] = {}
        for item in node.all_input_nodes:
            arriving |= reached[item]
        for name in made:
            found |= {(source, name): None for source in arriving if source != name}
        reached[node] = dict.fromkeys(made) if made else arriving
    return tuple(found)
