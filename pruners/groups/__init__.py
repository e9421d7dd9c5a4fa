"""Coupled groups of channels: found, edited, removed, counted."""

from pruners.groups import edits
from pruners.groups.branches import Branch
from pruners.groups.cost import Cost, CostModel, Parts
from pruners.groups.depth import block_influence
from pruners.groups.edits import (
    apply_edit,
    consumer_edit,
    consumer_masks,
    member_mask,
    weights_edit,
)
from pruners.groups.graph_rewrite import sliced_state
from pruners.groups.groups import Group, Layer, Member, Structure, find_structure
from pruners.groups.removal import (
    difference,
    edited_outputs,
    remove,
    removed_graph,
    removed_labels,
)
from pruners.groups.scored import Rows
from pruners.groups.uncaptured import WholeCost

__all__ = [
    "Branch",
    "Cost",
    "CostModel",
    "Group",
    "Layer",
    "Member",
    "Parts",
    "Rows",
    "Structure",
    "WholeCost",
    "apply_edit",
    "block_influence",
    "consumer_edit",
    "consumer_masks",
    "difference",
    "edited_outputs",
    "edits",
    "find_structure",
    "member_mask",
    "remove",
    "removed_graph",
    "removed_labels",
    "sliced_state",
    "weights_edit",
]
