"""What recipes share: entries that a ratio can say, exact ratios, and the counts as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from analysis import plans
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import ExportRequest
from analysis.records import PlanEntry
from pruners.errors import InputError, UnsupportedError
from pruners.layers import find_layer


@dataclass(frozen=True, slots=True)
class Ask:
    """What a tool is asked to do to a layer.

    Attributes:
        layer: Module name.
        ratio: The number that the tool gets.
        kept: What the plan keeps, weights or channels.
        total: Of how many.
        got: What the tool's own rounding keeps.
    """

    layer: str
    ratio: float
    kept: int
    total: int
    got: int

    @property
    def number(self) -> str:
        """The ratio as YAML and Python read it: with a point, which YAML asks for."""
        return f"{self.ratio:.12f}"


def pruned(request: ExportRequest) -> tuple[PlanEntry, ...]:
    """Return the entries of the plan that prune, resolved.

    Raises:
        InputError: There are none.
    """
    found = plans.pruned_entries(plans.resolve(request.prepared, request.chosen))
    if not found:
        raise InputError("the plan prunes nothing, so there is no recipe to write")
    return found


def require_elements(
    request: ExportRequest, tool: str, entry: PlanEntry, kinds: tuple[type[nn.Module], ...] = ()
) -> nn.Module:
    """Return the layer of an entry that prunes single weights.

    Args:
        request: What is exported.
        tool: Name for the message.
        entry: The entry.
        kinds: Layers that the tool prunes; empty means all.

    Raises:
        UnsupportedError: The tool has no ratio for it.
    """
    name = entry.layer
    if entry.granularity != "element":
        raise UnsupportedError(
            f"{tool}'s recipe has ratios of single weights; {name} is pruned by "
            f"{entry.granularity}: export masks or model, or plan this layer by element"
        )
    if not name:
        raise UnsupportedError(
            f"{tool} finds layers by name, and the model itself is the layer; put it into an "
            "nn.Sequential, or export masks"
        )
    if not entry.kept:
        raise UnsupportedError(
            f"{tool} prunes less than all of a layer, and {name} keeps nothing; keep one weight, "
            "or export masks"
        )
    layer = find_layer(request.prepared.model, name)
    if kinds and not isinstance(layer, kinds):
        known = ", ".join(kind.__name__ for kind in kinds)
        raise UnsupportedError(
            f"{tool} prunes {known}; {name} is a {type(layer).__name__}: leave it whole, or "
            "export masks"
        )
    return layer


def quarter_step(entry: PlanEntry) -> Ask:
    """Return a ratio that gives the plan's count, whether the tool rounds or cuts off.

    The plain ``pruned / total`` loses a weight where its float is a bit too small and is cut off.
    """
    ratio = (entry.total - entry.kept + 0.25) / entry.total
    return Ask(entry.layer, ratio, entry.kept, entry.total, entry.kept)


def counts_text(asks: Iterable[Ask], what: str) -> Iterator[str]:
    """Yield the lines of a table of what is asked for and what the tool's rounding gives."""
    rows = [("layer", f"{what} kept", "of", "tool keeps", "ratio")]
    rows += [(a.layer, str(a.kept), str(a.total), str(a.got), a.number) for a in asks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def notes(request: ExportRequest, *own: str) -> tuple[str, ...]:
    """Return what holds for every recipe, behind what is said of one."""
    return (
        *own,
        "the tool chooses by its own criterion: the counts are the plan's, which ones is not",
        *model_notes(request),
    )
