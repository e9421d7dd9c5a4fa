"""What stands behind a curve, and deep networks folded by block."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import curves
from analysis.records import GroupRow, Inventory, LayerRow, MemberRow
from tests.analysis.points_tables import table


def layer(name: str, *, params: int, reason: str = "") -> LayerRow:
    return LayerRow(
        name=name,
        type="Conv2d",
        params=params,
        macs=10 * params,
        output_shape=(4, 2, 2),
        group="stem",
        prunable=not reason,
        reason=reason,
    )


def member(name: str, role: str) -> MemberRow:
    return MemberRow(name=name, dim=0 if role == "producer" else 1, role=role)


FOUND = Inventory(
    params=100,
    macs=1000,
    layers=(
        layer("stem", params=10),
        layer("block.conv2", params=30),
        layer("fc", params=60, reason="is the network's output"),
    ),
    groups=(
        GroupRow(
            id="stem",
            members=(
                member("stem.weight", "producer"),
                member("block.conv2.weight", "producer"),
                member("block.conv2.bias", "producer"),
                member("fc.weight", "consumer"),
            ),
            channels=4,
            prunable=True,
            reason="",
            params=90,
            macs=700,
        ),
    ),
)


def test_a_group_takes_what_all_of_its_layers_and_readers_take() -> None:
    """Its share was that of the one layer that names it, here 10 %."""
    points = table({("l1", "stem"): [0.0] * 9, ("fpgm", "stem"): [0.0] * 9}).assign(group="stem")
    assert curves.group_sizes(points, FOUND) == {
        "stem": curves.GroupSize(layers=("stem", "block.conv2"), params=0.9, macs=0.7)
    }
    assert curves.not_prunable(FOUND) == {"fc": "is the network's output"}


def test_a_layer_without_groups_takes_its_own_parameters() -> None:
    points = table({("l1", "block.conv2"): [0.0] * 9, ("l1", "gone"): [0.0] * 9})
    assert curves.group_sizes(points.assign(group=None), FOUND) == {
        "block.conv2": curves.GroupSize(layers=("block.conv2",), params=0.3, macs=0.0)
    }


def test_few_layers_are_not_folded_and_many_by_as_much_of_their_names_as_fits() -> None:
    few = [f"layer{number}" for number in range(curves.MAX_ROWS)]
    assert curves.blocks_of(few) == {name: name for name in few}
    names = ["conv1"]
    names += [
        f"layer{stage}.{block}.conv{number}"
        for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3))
        for block in range(blocks)
        for number in (1, 2, 3)
    ]
    found = curves.blocks_of(names)
    assert list(found) == names
    assert (found["layer3.5.conv2"], found["conv1"]) == ("layer3.5", "conv1")
    assert len(set(found.values())) == 17


def test_layers_without_a_common_name_are_left_alone() -> None:
    names = [f"layer{number}" for number in range(60)]
    assert curves.blocks_of(names) == {name: name for name in names}


def test_a_folded_row_shows_the_group_that_loses_most() -> None:
    points = table({("l1", "a.1"): [0.1] * 9, ("l1", "a.2"): [0.05] * 8 + [0.4]})
    folded = curves.fold_points(points, {"a.1": "a", "a.2": "a"})
    assert set(folded["layer"]) == {"a"}
    assert list(folded["accuracy_drop"]) == pytest.approx([0.1] * 8 + [0.4])
    assert list(folded["worst"]) == ["a.1"] * 8 + ["a.2"]


def test_a_block_tolerates_from_its_least_to_its_most_tolerant_group() -> None:
    rising = [[0.0] * count + [0.5] * (9 - count) for count in (1, 3, 8)]
    points = table({("l1", f"a.{place}"): drops for place, drops in enumerate(rising)})
    tolerated = curves.tolerated(points, tolerance=0.01)
    found = curves.fold_tolerated(tolerated, dict.fromkeys(("a.0", "a.1", "a.2"), "a"))
    row = found.to_dict("records")[0]
    assert (row["layer"], row["groups"], row["fragile"]) == ("a", 3, "a.0")
    assert [row["least"], row["median"], row["most"]] == pytest.approx([0.1, 0.3, 0.8])
    empty = curves.fold_tolerated(pd.DataFrame(columns=tolerated.columns), {})
    assert empty.empty


def test_the_most_tolerant_stands_first() -> None:
    points = table(
        {("l1", "a"): [0.5] * 9, ("l1", "b"): [0.0] * 9, ("l1", "c"): [0.0] * 4 + [1] * 5}
    )
    ranked = curves.by_rank(curves.tolerated(points, tolerance=0.01))
    assert list(ranked["layer"]) == ["b", "c", "a"]
