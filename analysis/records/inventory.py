"""What a model consists of: layers, groups and their sizes."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.records.codec import Count
from analysis.records.record import Document, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow(Record):
    """One layer.

    Attributes:
        params: Parameters of the module itself.
        macs: Multiply-adds for one sample.
        output_shape: Without the batch.
        group: Id of the group that its channels belong to.
        prunable: Whether its channels can be removed.
        reason: Why not.
        kept_in_part: How many of its channels stay in any case, and why; empty if none need to.
    """

    name: str
    type: str
    params: Count
    macs: Count
    output_shape: tuple[Count, ...]
    group: str | None
    prunable: bool
    reason: str
    kept_in_part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow(Record):
    """One dim of one parameter that a group touches."""

    name: str
    dim: Count
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow(Record):
    """One group.

    Attributes:
        kind: ``channel``, ``head``, ``branch`` or ``layer``.
        channels: Number of units that are removed as a whole.
        exact: Whether masking equals removal; else it is evaluated by physical removal.
        note: What mixes the channels, if it is not exact.
        params: Parameters that all of its units take: their own and those that read them.
        macs: Multiply-adds for one sample, likewise.
    """

    id: str
    members: tuple[MemberRow, ...]
    channels: Count
    prunable: bool
    reason: str
    kind: str = "channel"
    exact: bool = True
    note: str = ""
    params: Count = 0
    macs: Count = 0

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose output channels it is, in execution order."""
        made = (item.name.rpartition(".")[0] for item in self.members if item.role == "producer")
        return tuple(dict.fromkeys(made))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory(Document):
    """Everything that `prunescope inspect` prints.

    Attributes:
        depth: Branches and layers that can be left out as a whole; their members are the weights
            that go with them.
        edges: From which layer data flows to which, with no other layer between; empty where the
            model was not captured, or an earlier version took the inventory.
        capture_error: Why ``torch.export`` refuses the model; empty where it does not.
    """

    params: Count
    macs: Count
    layers: tuple[LayerRow, ...]
    groups: tuple[GroupRow, ...]
    edges: tuple[tuple[str, str], ...] = ()
    capture_error: str = ""
    depth: tuple[GroupRow, ...] = ()

    @property
    def by_id(self) -> dict[str, GroupRow]:
        """Groups, branches and layers by their ids."""
        return {row.id: row for row in (*self.groups, *self.depth)}
