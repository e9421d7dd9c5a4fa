"""The map of a network: its edges against the code of the model, its layout against its rules."""

from __future__ import annotations

import itertools
import math

import pytest

from analysis.curves import GroupSize, network_edges, network_nodes
from analysis.figures import network_map
from analysis.figures.network import arc
from analysis.records import Inventory, LayerRow
from analysis.records.subject import SubjectSpec
from analysis.subjects import inventory, load_subject


def layer(name: str) -> LayerRow:
    return LayerRow(
        name=name,
        type="Conv2d",
        params=1,
        macs=1,
        output_shape=(1,),
        group=None,
        prunable=True,
        reason="",
    )


def model(*edges: tuple[str, str], names: list[str]) -> Inventory:
    return Inventory(params=1, macs=1, layers=tuple(map(layer, names)), groups=(), edges=edges)


def size(*layers: str) -> GroupSize:
    return GroupSize(layers=layers, params=0.1, macs=0.1)


def test_edges_of_a_residual_net_are_those_of_its_code() -> None:
    found = inventory(load_subject(SubjectSpec(model="sample:resnet20")))
    edges = set(found.edges)
    assert ("conv1", "layer1.0.conv1") in edges
    # The sum behind a block reads the convolution before and what skips it.
    assert {("layer1.0.conv2", "layer1.1.conv1"), ("conv1", "layer1.1.conv1")} <= edges
    assert ("layer1.0.conv1", "layer1.1.conv1") not in edges
    places = {row.name: number for number, row in enumerate(found.layers)}
    assert all(places[source] < places[target] for source, target in edges)
    assert {target for _, target in edges} == set(places) - {"conv1"}
    assert Inventory.from_json(found.to_json()) == found


def test_deep_nets_are_folded_and_a_block_opens() -> None:
    names = [f"stage{s}.{b}.conv{c}" for s in range(6) for b in range(10) for c in (1, 2)]
    found = model(*itertools.pairwise(names), names=names)
    groups = {name: size(name) for name in names}
    values = {name: place / 200 for place, name in enumerate(names)}
    nodes = network_nodes(found, groups, values)
    assert nodes["node"].tolist() == [f"stage{s}" for s in range(6)]
    assert nodes["count"].tolist() == [20] * 6
    assert nodes["value"].tolist() == pytest.approx([(20 * s + 9.5) / 200 for s in range(6)])
    assert nodes["most"].iloc[0] == 19 / 200
    assert network_edges(found) == [(s, s + 1) for s in range(5)]
    opened = network_nodes(found, groups, values, block="stage1")
    assert opened["node"].tolist() == ["stage0", *names[20:40], *(f"stage{s}" for s in range(2, 6))]
    assert network_edges(found, block="stage1") == [(s, s + 1) for s in range(24)]
    assert len(network_nodes(found, groups, values, block="*")) == 120


def test_a_group_lights_up_as_one_and_skips_are_arcs() -> None:
    names = ["a", "b", "c", "d"]
    found = model(("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), names=names)
    groups = {"a": size("a", "c"), "b": size("b")}
    nodes = network_nodes(found, groups, {"a": 0.5, "b": 0.25})
    assert nodes["curve"].tolist() == ["a", "b", "a", ""]
    assert nodes["value"].tolist()[:3] == [0.5, 0.25, 0.5]
    assert math.isnan(nodes["value"].iloc[3])
    figure = network_map(nodes, network_edges(found), lit={"a", "c"})
    straight, arcs, rings, marks, others = figure.data
    assert list(rings.y) == [0, 2]
    assert [row[0] for row in marks.customdata] == ["a", "b", "a"]
    assert list(marks.y) == [0, 1, 2]
    assert list(others.y) == [3]
    assert list(straight.y) == [0, 1, None, 1, 2, None, 2, 3, None]
    assert (arcs.y[0], arcs.y[-2], arcs.y[-1]) == (0, 2, None)
    assert max(each for each in arcs.x if each is not None) > 0


def test_longer_arcs_reach_farther_and_stay_on_the_map() -> None:
    widths = [max(arc(0, span, 40)[0]) for span in range(1, 40)]
    assert widths == sorted(widths)
    assert widths[0] == 0
    assert widths[-1] <= 0.9


def test_long_names_leave_a_phone_room_for_the_map() -> None:
    """On 390 px the map was a sliver: names took the width, and short arcs a part of the rest."""
    names = [f"encoder.layers.{number}.attention.self.query_projection" for number in range(9)]
    found = model(*itertools.pairwise(names), (names[0], names[2]), names=names)
    groups = {name: size(name) for name in names}
    nodes = network_nodes(found, groups, dict.fromkeys(names, 0.5))
    edges = network_edges(found)
    figure = network_map(nodes, edges)
    assert len(figure.layout.yaxis.ticktext) == len(nodes)
    assert max(map(len, figure.layout.yaxis.ticktext)) <= 48
    farthest = max(x for trace in figure.data[:2] for x in trace.x if x is not None)
    assert farthest < figure.layout.xaxis.range[1] <= 0.35
