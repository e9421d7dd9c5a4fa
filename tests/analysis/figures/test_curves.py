"""Curves: traces, names at their ends, what goes on beyond the chart, variants beside."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import pandas as pd
import pytest

from analysis import curves, figures
from analysis.figures.curves import MAX_HIGHLIGHTED, MAX_PANELS
from tests.analysis.figures.tables import POINTS, RISING, STEEP, said, traces
from tests.analysis.points_tables import curve, table


def test_names_at_the_ends_of_curves_do_not_cover_each_other() -> None:
    layers = [f"block{number}.conv" for number in range(5)]
    same = pd.concat([POINTS[POINTS["layer"] == "fc1"].assign(layer=name) for name in layers])
    figure = figures.sensitivity_curves(same, criterion="l1", highlight=layers, tolerance=0.01)
    notes = figure.layout.annotations
    assert [note.text for note in notes] == [*layers, "tolerance 1 pp"]
    drawn = [note.yshift for note in notes if note.text != "tolerance 1 pp"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(drawn))]
    assert min(gaps) >= 12


def test_names_do_not_cover_each_other_where_wide_bands_stretch_the_axis() -> None:
    drops = {("l1", f"block{number}"): [0.01 * number] * 9 for number in range(4)}
    figure = figures.sensitivity_curves(
        table(drops, half_width=0.3), criterion="l1", highlight=[name for _, name in drops]
    )
    drawn = [value for trace in figure.data for value in trace.y]
    low, high = figure.layout.yaxis.range
    assert low < min(drawn) <= max(drawn) < high
    pixels = (figure.layout.height - 90) / (high - low)
    places = [note.y * pixels + note.yshift for note in figure.layout.annotations]
    assert min(later - earlier for earlier, later in itertools.pairwise(sorted(places))) >= 12


def test_curves_have_one_context_trace_and_a_band_and_line_a_layer() -> None:
    figure = figures.sensitivity_curves(POINTS, criterion="l1", highlight=["conv2", "fc1"])
    assert traces(figure) == [
        "other layers",
        "conv2 interval",
        "conv2",
        "fc1 interval",
        "fc1",
    ]
    line = figure.data[2]
    assert line.mode == "lines+markers"
    assert list(line.customdata[1][:4]) == ["conv2", "l1", 0.1, 0.1]
    assert line.y[0] == 0.0
    assert list(line.y[1:]) == pytest.approx([drop * 100 for drop in RISING])
    assert [note.text for note in figure.layout.annotations] == ["conv2", "fc1"]


def test_context_curves_are_separated_by_gaps_and_carry_ids() -> None:
    prepared = figures.sensitivity_curves(POINTS, criterion="l1").data[0]
    assert sum(value is None for value in prepared.y) == 2
    assert len(prepared.customdata) == len(prepared.y)
    assert prepared.customdata[0][0] == "conv1"


def test_highlights_are_limited_and_unknown_ones_ignored() -> None:
    many = table({("l1", f"layer{place}"): RISING for place in range(12)})
    chosen = [f"layer{place}" for place in range(12)] + ["nowhere"]
    figure = figures.sensitivity_curves(many, criterion="l1", highlight=chosen, bands=False)
    assert len(figure.data) == MAX_HIGHLIGHTED + 1


def test_the_envelope_is_drawn_beside_the_raw_curve() -> None:
    dented = curve([0.0, 0.02, 0.01, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])
    figure = figures.sensitivity_curves(
        dented, criterion="l1", highlight=["conv1"], show_envelope=True, bands=False
    )
    raw, lifted = figure.data
    assert list(raw.y)[2:4] == pytest.approx([2.0, 1.0])
    assert list(lifted.y)[2:4] == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("name", curves.metrics())
def test_every_metric_can_be_drawn(name: str) -> None:
    figure = figures.sensitivity_curves(
        POINTS, criterion="l1", highlight=["conv2"], metric_name=name, tolerance=0.01
    )
    kind = curves.metric(name)
    assert kind.unit in figure.layout.yaxis.title.text
    lines = [shape for shape in figure.layout.shapes or () if shape.type == "line"]
    assert len(lines) == (1 if name == "drop" else 0)
    assert figures.sensitivity_matrix(POINTS, criterion="l1", metric_name=name).data


def test_small_multiples_are_limited() -> None:
    many = table({("l1", f"layer{place}"): RISING for place in range(30)})
    figure = figures.small_multiples(many)
    # A band and a line each.
    assert len(figure.data) == 2 * MAX_PANELS


COMPARED = figures.ComparedCurves(
    table({("l1", "conv2"): STEEP, ("fpgm", "conv2"): STEEP}, half_width=0.002),
    name="raw",
    present="after lsq",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_variant_beside_has_its_colour_but_no_other_cue(theme: str) -> None:
    figure = figures.focus_curves(
        POINTS, layer="conv2", tolerance=0.011, compared=COMPARED, theme=theme
    )
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name) == [
        "L1 norm, raw interval",
        "L1 norm, raw",
        "FPGM, raw interval",
        "FPGM, raw",
        "L1 norm, after lsq interval",
        "L1 norm, after lsq",
        "FPGM, after lsq interval",
        "FPGM, after lsq",
    ]
    for name in ("L1 norm", "FPGM"):
        raw, mine = by_name[f"{name}, raw"], by_name[f"{name}, after lsq"]
        assert raw.line.color == mine.line.color
        assert raw.line.dash != mine.line.dash
        assert raw.marker.symbol == f"{mine.marker.symbol}-open"
        assert ", raw<br>" in raw.hovertemplate
        assert ", raw" not in mine.hovertemplate
    assert list(by_name["L1 norm, raw"].y) == pytest.approx([0, *(drop * 100 for drop in STEEP)])
    assert said(figure) == (
        "conv2: removable within 1.1 pp: after lsq L1 norm 40 % (between 30 % and 40 %); FPGM 0 % "
        "(between 0 % and 0 %). Raw L1 norm 0 % (between 0 % and 0 %); FPGM 0 % (between 0 % and "
        "0 %)."
    )


def test_a_variant_beside_shows_no_criterion_that_the_chart_lacks() -> None:
    figure = figures.focus_curves(
        POINTS[POINTS["criterion"] == "l1"], layer="conv2", criteria=["l1"], compared=COMPARED
    )
    assert [name for name in traces(figure) if "interval" not in name] == [
        "L1 norm, raw",
        "L1 norm, after lsq",
    ]


def test_a_variant_beside_is_drawn_for_highlighted_layers_it_has() -> None:
    figure = figures.sensitivity_curves(
        POINTS, criterion="l1", highlight=["conv2", "fc1"], tolerance=0.011, compared=COMPARED
    )
    assert traces(figure)[1:3] == ["conv2, raw interval", "conv2, raw"]
    assert figure.data[2].y[0] == 0.0
    assert "conv2, raw \N{UPWARDS ARROW} 70" in [note.text for note in figure.layout.annotations]
    assert (
        "Removable: conv2 40 % (between 30 % and 40 %) after lsq, 0 % (between 0 % and 0 %) raw."
    ) in said(figure)
    alone = figures.sensitivity_curves(POINTS, criterion="l1", highlight=["fc1"], compared=COMPARED)
    assert "Removable" not in figures.alt(alone)
    assert traces(alone) == ["other layers", "fc1 interval", "fc1"]


def test_charts_reach_to_a_few_tolerances_and_say_what_goes_on() -> None:
    """Two collapsed layers took all of the height."""
    draw = functools.partial(figures.sensitivity_curves, POINTS, criterion="l1", tolerance=0.011)
    near, whole = draw(highlight=["conv1"]), draw(highlight=["conv1"], zoom=False)
    assert near.layout.yaxis.range[1] == pytest.approx(4.4)
    assert whole.layout.yaxis.range[1] > 70
    notes = [note.text for note in near.layout.annotations]
    assert "conv1 \N{UPWARDS ARROW} 70" in notes
    assert "2 of 3 curves go on beyond 4.4 pp" in notes
    assert "go on beyond" not in figures.alt(whole)
    panels = figures.small_multiples(POINTS, tolerance=0.011)
    assert panels.layout.yaxis.range[1] == pytest.approx(4.4)
    assert any(str(trace.name).endswith("interval") for trace in panels.data)
    assert "removed" in {axis.title.text for axis in panels.select_xaxes()}
    focus = figures.focus_curves(POINTS, layer="conv1", tolerance=0.011)
    assert focus.layout.yaxis.range[1] == pytest.approx(4.4)
    # From the dense model on, or nothing of a collapsed layer would be in sight.
    assert all(trace.y[0] == 0 for trace in focus.data)


def test_curves_of_another_variant_count_among_those_that_go_on() -> None:
    """Of four curves that were drawn, two were counted."""
    draw = functools.partial(figures.focus_curves, layer="conv2", tolerance=0.011)
    for other, says in ((COMPARED, "4 of 4 curves"), (None, "2 of 2 curves")):
        figure = draw(POINTS, compared=other)
        assert f"{says} go on beyond 4.4 pp" in [note.text for note in figure.layout.annotations]
    flat = dataclasses.replace(COMPARED, points=table({("l1", "conv2"): [0.0] * 9}))
    whole = functools.partial(
        figures.sensitivity_curves, POINTS, criterion="l1", tolerance=0.011, highlight=["conv2"]
    )
    assert "2 of 3 curves" in figures.alt(whole())
    assert "2 of 4 curves" in figures.alt(whole(compared=flat))
    assert "3 of 4 curves" in figures.alt(whole(compared=COMPARED))


def test_no_chart_is_cut_off_where_nothing_goes_on() -> None:
    mild = table({("l1", "a"): [0.001] * 9, ("l1", "b"): [0.02] * 9})
    figure = figures.sensitivity_curves(mild, criterion="l1", tolerance=0.01)
    assert figure.layout.yaxis.range[1] < 4
    assert "go on beyond" not in figures.alt(figure)
    # Without an accepted drop there is nothing to reach to.
    free = figures.sensitivity_curves(POINTS, criterion="l1", highlight=["conv1"], tolerance=0.0)
    assert free.layout.yaxis.range[1] > 70


def test_layers_keep_their_colours_whatever_is_shown() -> None:
    """Colours went by the order of the view, and were the criteria's."""
    order = ["stem", "conv1", "conv2", "fc1"]

    def colors(*highlight: str, points: pd.DataFrame = POINTS) -> dict[str, str]:
        figure = figures.sensitivity_curves(
            points, criterion="l1", highlight=highlight, focus=highlight[0], order=order
        )
        return {trace.name: trace.line.color for trace in figure.data if trace.name in highlight}

    both = colors("conv1", "fc1")
    assert colors("fc1", "conv1") == both
    assert colors("conv1", points=POINTS[POINTS["layer"] == "conv1"])["conv1"] == both["conv1"]
    assert not set(both.values()) & set(figures.LIGHT.series)
