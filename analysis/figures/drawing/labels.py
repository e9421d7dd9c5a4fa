"""Names beside marks, none over another: what finds no room is named by hovering alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Left, lower, right and upper edge in pixels, from the lower left corner of a plot.
Box = tuple[float, float, float, float]
# Of text in a chart, in pixels.
CHARACTER, LINE = 6.2, 15


def with_room(
    wanted: Sequence[Sequence[tuple[str, Box]]], *, taken: Iterable[Box] = ()
) -> list[str | None]:
    """Return where each name stands; None where it would cover something.

    Args:
        wanted: Positions of each name with the box that it takes there, the best one first.
            Names come in the order in which they get their room.
        taken: What no name may cover.
    """
    full, found = list(taken), []
    for places in wanted:
        position, box = next(
            (item for item in places if not any(overlap(item[1], other) for other in full)),
            (None, None),
        )
        found.append(position)
        if box is not None:
            full.append(box)
    return found


def overlap(one: Box, other: Box) -> bool:
    """Say whether two boxes have a place in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
