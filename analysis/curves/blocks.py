"""Deep networks in few rows: layers folded by block, as their names say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.curves.tolerance import NOT_PRUNABLE

# More rows than this are folded, into at most as many.
MAX_ROWS = 40
MAX_BLOCKS = 24


def blocks_of(layers: Sequence[str]) -> dict[str, str]:
    """Return the block of each layer: as much of its name as makes few blocks.

    Args:
        layers: Names of modules, parts joined by dots.

    Returns:
        Block by layer, in the order of the layers; the layers themselves where they are few.

    >>> names = [f"net.stage{s}.{b}.conv{c}" for s in (1, 2) for b in range(9) for c in (1, 2, 3)]
    >>> list(dict.fromkeys(blocks_of(names).values()))[:2], len(set(blocks_of(names).values()))
    (['net.stage1.0', 'net.stage1.1'], 18)
    """
    if len(layers) <= MAX_ROWS:
        return {name: name for name in layers}
    parts = {name: name.split(".") for name in layers}
    deepest = max(len(items) for items in parts.values())
    for depth in range(deepest, 0, -1):
        found = {name: ".".join(items[:depth]) for name, items in parts.items()}
        if len(set(found.values())) <= MAX_BLOCKS:
            break
    return found


def fold_points(points: pd.DataFrame, blocks: Mapping[str, str]) -> pd.DataFrame:
    """Return one row a block, criterion and asked ratio: that of the layer that loses most.

    Args:
        points: The points table.
        blocks: What `blocks_of` returned.

    Returns:
        Rows of the points table with ``layer`` the block and ``worst`` the layer.
    """
    known = points.assign(worst=points["layer"], layer=points["layer"].map(blocks))
    cell = ["criterion", "layer", "ratio_requested"]
    order = known.sort_values("accuracy_drop", ascending=False, kind="stable", na_position="last")
    kept = order.drop_duplicates(cell)
    return kept.sort_index(kind="stable")


def fold_tolerated(table: pd.DataFrame, blocks: Mapping[str, str]) -> pd.DataFrame:
    """Sum up by block what its layers tolerate.

    Args:
        table: What `tolerated` returned.
        blocks: What `blocks_of` returned.

    Returns:
        One row a criterion and block: ``criterion, layer`` (the block), ``groups``, ``least,
        median, most`` tolerated and ``fragile``, the layer that tolerates least.
    """
    rows = table[table["status"] != NOT_PRUNABLE]
    rows = rows.assign(block=rows["layer"].map(blocks))
    found = []
    for (criterion, block), items in rows.groupby(["criterion", "block"], sort=False):
        known = items.dropna(subset=["tolerated"]).sort_values("tolerated", kind="stable")
        found.append(
            {
                "criterion": criterion,
                "layer": block,
                "groups": len(items),
                "least": known["tolerated"].min(),
                "median": known["tolerated"].median(),
                "most": known["tolerated"].max(),
                "fragile": str(known["layer"].iloc[0]) if len(known) else "",
            }
        )
    names = ["criterion", "layer", "groups", "least", "median", "most", "fragile"]
    return pd.DataFrame(found, columns=names)
