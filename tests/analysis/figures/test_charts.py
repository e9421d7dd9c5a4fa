"""Charts: traces, ids for selection, text alternatives, both themes, empty data."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import pytest

from analysis import comparison, curves, figures
from analysis.figures.drawing import UIREVISION, shortened
from analysis.figures.drawing.layout import canvas, style_layout
from pruners.criteria import label_of
from tests.analysis.figures.tables import (
    CLASSES,
    EVALUATED,
    FOLDED,
    MEASURED,
    PAIRS,
    PLAN,
    POINTS,
    RISING,
    SIZES,
    STEEP,
    TABLE,
    TAKEN,
    UNITS,
    WINS,
    said,
    taken,
    traces,
)
from tests.analysis.points_tables import curve, table

Draw = Callable[[str], go.Figure]


CHARTS: dict[str, Draw] = {
    "curves": lambda theme: figures.sensitivity_curves(
        POINTS, criterion="l1", highlight=["conv2"], tolerance=0.011, theme=theme
    ),
    "focus": lambda theme: figures.focus_curves(
        POINTS, layer="conv2", tolerance=0.011, theme=theme
    ),
    "multiples": lambda theme: figures.small_multiples(POINTS, tolerance=0.011, theme=theme),
    "matrix": lambda theme: figures.sensitivity_matrix(
        POINTS, criterion="l1", tolerance=0.011, theme=theme
    ),
    "ranking": lambda theme: figures.ranking(TABLE, criterion="l1", theme=theme),
    "opportunity": lambda theme: figures.opportunity(
        TABLE, criterion="l1", sizes=TAKEN, theme=theme
    ),
    "blocks": lambda theme: figures.block_ranking(FOLDED, criterion="l1", theme=theme),
    "coverage": lambda theme: figures.coverage_grid(POINTS, criterion="fpgm", theme=theme),
    "wins": lambda theme: figures.win_matrix_chart(WINS, theme=theme),
    "agreement": lambda theme: figures.agreement_chart(
        comparison.agreement_matrix(PAIRS), theme=theme
    ),
    "layer agreement": lambda theme: figures.layer_agreement_chart(PAIRS, theme=theme),
    "criteria": lambda theme: figures.criteria_chart(
        comparison.summary(POINTS, tolerance=0.011), theme=theme
    ),
    "sizes": lambda theme: figures.size_bars(SIZES, theme=theme),
    "classes": lambda theme: figures.class_change(CLASSES, theme=theme),
    "latency": lambda theme: figures.latency_chart(
        {"dense": [0.02, 0.021], "removed": [0.01, 0.012]}, note="batch 1, cpu", theme=theme
    ),
    "predicted": lambda theme: figures.predicted_measured(EVALUATED, theme=theme),
    "pareto": lambda theme: figures.pareto(EVALUATED, tolerance=0.02, theme=theme),
    "trade-off": lambda theme: figures.trade_off(MEASURED, dense=0.92, present="#2", theme=theme),
    "plan": lambda theme: figures.plan_bars(PLAN, theme=theme),
    "units": lambda theme: figures.unit_scores(UNITS, theme=theme),
}


ALTS = {
    "curves": "Sensitivity curves of 3 layers by L1 norm. Within 1.1 pp, fc1 tolerates most "
    "(90 % removed) and conv1 least (0 %). 2 of 3 curves go on beyond 4.4 pp.",
    "focus": "conv2: removable within 1.1 pp: L1 norm 40 % (between 30 % and 40 %); FPGM 0 % "
    "(between 0 % and 0 %).",
    "multiples": "3 panels, one a layer, accuracy drop (pp) over the removed fraction for "
    "FPGM, L1 norm.",
    "matrix": "Matrix of 3 layers by 9 ratios, accuracy drop by L1 norm; 14 beyond 1.1 pp.",
    "ranking": "What 3 layers tolerate by L1 norm. Most tolerant or tied: fc1; least or tied: "
    "conv1.",
    "opportunity": "Tolerated ratio of 3 layers by L1 norm against the parameters that their "
    "groups take. Free wins: fc1.",
    "blocks": "What 3 groups in 2 blocks tolerate by L1 norm: most in fc (median 90 %), least "
    "in conv (median 20 %).",
    "coverage": "Coverage of the sweep by FPGM: 18 measured, 9 not started.",
    "wins": "Which criterion lets 3 layers lose most: L1 norm best in 1, tied in 1; FPGM best "
    "in 0, tied in 1.",
    "agreement": "Jaccard index of removed channels of 2 criteria. L1 norm and FPGM: 0.50.",
    "layer agreement": "Agreement of L1 norm and FPGM over 2 layers, on average 0.50.",
    "criteria": "Layers won by each criterion: L1 norm 1 best, 1 tied, 0 worse, FPGM 0 best, 1 "
    "tied, 1 worse.",
    "sizes": "Parameters of 2 layers: fc1 has the most, 75 % of them.",
    "classes": "Accuracy of 2 classes, dense and pruned; clear changes: shirt; the largest "
    "loss is shirt with 20.00 pp.",
    "latency": "Median latency per batch: dense 20.50 ms, removed 11.00 ms.",
    "predicted": "Predicted and measured drop of 3 plans; measured minus predicted lies "
    "between 0.00 and 15.00 pp.",
    "pareto": "3 plans by MACs and accuracy drop; no other plan beats strong, mild.",
    "trade-off": "4 measured plans by MACs and score; 3 plans no smaller one beats; the smallest "
    "leaves 30.0 % with 85.00.",
    "plan": "Plan: 1 of 2 layers pruned, most by 50 %; beyond what they tolerate: conv1.",
    "units": "Scores of 4 channels: 2 go, with scores up to 0.5; the lowest that stays has 1.25.",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart(name: str, theme: str) -> None:
    figure = CHARTS[name](theme)
    assert said(figure) == ALTS[name]
    layout = figure.layout
    assert layout.uirevision == UIREVISION
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.hovermode == "closest"
    assert layout.font.color == figures.palette(theme).text
    assert len(figure.data) <= 30
    assert len(figure.to_json()) > 100
    # Streamlit reports no selection on these.
    assert not {trace.type for trace in figure.data} & {"heatmap", "parcoords", "sankey"}


def test_units_that_go_have_another_colour() -> None:
    goes, stays = CHARTS["units"]("light").data
    assert (list(goes.x), list(goes.y), goes.name) == ([1, 2], [0.25, 0.5], "goes (2)")
    assert (list(stays.x), list(stays.y), stays.name) == ([3, 4], [1.25, 2.0], "stays (2)")
    assert [row[0] for row in goes.customdata] == [2, 0]
    assert goes.marker.color != stays.marker.color
    whole = figures.unit_scores(UNITS.assign(kept=True), units="heads")
    assert said(whole) == "Scores of 4 heads: none goes."


def test_the_same_chart_differs_between_themes() -> None:
    assert CHARTS["curves"]("light") != CHARTS["curves"]("dark")


def test_bubbles_are_named_where_names_do_not_cover_each_other() -> None:
    """Six of twelve bubbles had names, whatever fitted."""
    layers = [f"net.stage{number}.conv" for number in range(12)]
    rows = pd.concat([TABLE[(TABLE["layer"] == "fc1") & (TABLE["criterion"] == "l1")]] * 12)
    tolerated = [0.1 + 0.4 * (number % 3) for number in range(12)]
    rows = rows.assign(layer=layers, tolerated=tolerated, low=tolerated, high=tolerated)
    apart = taken(**{name: 0.1 + 0.1 * (place // 3) for place, name in enumerate(layers)})
    draw = figures.opportunity
    figure = draw(rows.reset_index(drop=True), criterion="l1", sizes=apart)
    assert list(figure.data[0].text) == layers
    same = taken(**dict.fromkeys(layers, 0.3))
    crowded = draw(rows.assign(tolerated=0.5).reset_index(drop=True), criterion="l1", sizes=same)
    named = [
        (text, position)
        for text, position in zip(crowded.data[0].text, crowded.data[0].textposition, strict=True)
        if text
    ]
    assert 0 < len(named) == len({position for _, position in named}) <= 4
    assert "30.0\N{NO-BREAK SPACE}% of the parameters" in crowded.data[0].hovertext[0]
    assert "with net.stage0.conv.twin" in crowded.data[0].hovertext[0]


def test_criteria_look_the_same_in_every_chart() -> None:
    names = ["l1", "fpgm"]
    focus = figures.focus_curves(POINTS, layer="conv1", criteria=names)
    panels = figures.small_multiples(POINTS, criteria=names)
    for name in names:
        found = {
            (trace.line.color, trace.line.dash, trace.marker.symbol)
            for figure in (focus, panels)
            for trace in figure.data
            if trace.name == label_of(name)
        }
        assert len(found) == 1


def test_matrix_marks_cells_beyond_the_tolerance_by_their_outline() -> None:
    cells = figures.sensitivity_matrix(POINTS, criterion="l1", tolerance=0.011).data[0]
    assert cells.marker.symbol == "square"
    assert len(cells.x) == 27
    assert list(cells.customdata[0][:3]) == ["conv1", "l1", 0.1]
    assert set(cells.marker.line.width[:9]) == {2.5}
    assert set(cells.marker.line.width[18:]) == {0.5}


def test_not_prunable_layers_stand_apart_in_the_ranking() -> None:
    table_with = curves.add_not_prunable(TABLE, {"head": "it makes the logits"})
    figure = figures.ranking(table_with, criterion="l1")
    ranked, _, fixed = figure.data
    assert "head" not in list(ranked.y)
    assert (list(fixed.y), fixed.name) == (["head"], "not prunable")
    # A cross on 0 % read as a measured value.
    assert (fixed.mode, list(fixed.text)) == ("text", ["not prunable: it makes the logits"])
    assert figures.alt(figure).endswith("1 cannot be pruned.")


def test_partial_layers_have_hollow_markers() -> None:
    points = pd.concat(
        [curve(RISING[:3], layer="a", ratios=(0.1, 0.2, 0.3)), curve(RISING, layer="b")],
        ignore_index=True,
    )
    figure = figures.ranking(curves.tolerated(points, tolerance=0.01), criterion="l1")
    marks = dict(zip(figure.data[0].y, figure.data[0].marker.symbol, strict=True))
    assert marks == {"a": "circle-open", "b": "circle"}


def test_tied_layers_are_not_ordered_in_words() -> None:
    points = table({("l1", "a"): RISING, ("l1", "b"): RISING})
    found = curves.tolerated(points, tolerance=0.01)
    assert "tied" in figures.alt(figures.ranking(found, criterion="l1"))
    alt = figures.alt(figures.sensitivity_curves(points, criterion="l1"))
    assert alt.endswith("the intervals of all layers overlap.")


def test_coverage_states_differ_in_marker() -> None:
    points = pd.concat(
        [
            curve([0.0, float("nan")], layer="a", ratios=(0.1, 0.2)),
            curve([0.0], layer="b", ratios=(0.1,), samples=100),
        ],
        ignore_index=True,
    )
    figure = figures.coverage_grid(points, criterion="l1")
    running = next(trace for trace in figure.data if trace.name == "running")
    # What was under way had the red of what fails.
    assert running.marker.color in figures.LIGHT.sequential
    assert set(traces(figure)) == {"measured", "running", "failed", "not started"}
    assert len({trace.marker.symbol for trace in figure.data}) == 4


def test_classes_without_clear_change_can_be_left_out() -> None:
    # The scores lie near the top, where ticks 25 % apart left the axis a single one.
    low = CLASSES[["dense", "pruned"]].min().min()
    ticks = figures.class_change(CLASSES).layout.xaxis.tickvals
    assert sum(low <= tick <= 1 for tick in ticks) >= 3
    assert min(ticks) <= low + 1e-9
    figure = figures.class_change(CLASSES, only_clear=True)
    assert set(figure.data[-1].y) == {"shirt"}
    hollow = figures.class_change(CLASSES).data[-1].marker.symbol
    assert list(hollow) == ["diamond", "diamond-open"]


def test_the_ranking_begins_with_rank_1() -> None:
    """The table was in execution order, the chart upside down."""
    figure = figures.ranking(TABLE, criterion="l1")
    assert list(figure.data[0].y) == ["fc1", "conv2", "conv1"]
    assert [text.strip() for text in figure.data[1].text] == [
        "rank 1 (end of grid)",
        "rank 2",
        "rank 3",
    ]
    # One column right of the axis, where nothing is cut off.
    assert set(figure.data[1].x) == {1.03}
    assert figure.layout.margin.r >= 150


def test_a_matrix_without_any_drop_has_a_scale_that_one_can_read() -> None:
    """0.4n, 0.8n where all drops are 0."""
    still = table({("l1", "a"): [0.0] * 9}, half_width=0.0)
    figure = figures.sensitivity_matrix(still, criterion="l1", tolerance=0.01)
    assert figure.data[0].marker.cmax >= 1.0
    assert traces(figure)[1:] == ["thick border: beyond 1 pp", "thin: within 1 pp"]
    assert list(figure.layout.xaxis.categoryarray)[:2] == [
        "10\N{NO-BREAK SPACE}%",
        "20\N{NO-BREAK SPACE}%",
    ]


def test_deep_networks_are_drawn_in_few_rows() -> None:
    """120 groups made 4,235 pixels with the scale out of sight."""
    names = [f"features.block{number // 30}.layer{number}.conv" for number in range(120)]
    deep = table({("l1", name): RISING if place else STEEP for place, name in enumerate(names)})
    blocks = curves.blocks_of(names)
    folded = curves.fold_points(deep, blocks)
    figure = figures.sensitivity_matrix(
        folded, criterion="l1", tolerance=0.01, notes={"features.block0": " (30)"}
    )
    assert figure.layout.height < 400
    assert figure.layout.yaxis.ticktext[0] == "features.block0 (30)"
    assert figure.layout.xaxis.side == "top"
    assert figure.data[0].marker.colorbar.lenmode == "pixels"
    first = figure.data[0].customdata[0]
    assert (first[0], first[11]) == ("features.block0", f", most in {names[0]}")
    assert figure.data[0].marker.color[0] == pytest.approx(20.0)


def test_long_names_are_cut_in_the_middle() -> None:
    name = "features.denseblock4.denselayer16.conv2"
    cut = shortened(name, 24)
    assert (len(cut), cut) == (24, "featu\N{HORIZONTAL ELLIPSIS}denselayer16.conv2")
    assert shortened("conv1", 24) == "conv1"


EMPTY = POINTS.iloc[:0]


@pytest.mark.parametrize(
    "figure",
    [
        figures.sensitivity_curves(EMPTY, criterion="l1"),
        figures.focus_curves(EMPTY, layer="conv1"),
        figures.small_multiples(EMPTY),
        figures.sensitivity_matrix(EMPTY, criterion="l1"),
        figures.ranking(TABLE.iloc[:0], criterion="l1"),
        figures.opportunity(TABLE.iloc[:0], criterion="l1", sizes={}),
        figures.block_ranking(FOLDED.iloc[:0], criterion="l1"),
        figures.coverage_grid(EMPTY, criterion="l1"),
        figures.win_matrix_chart(WINS.iloc[:0]),
        figures.agreement_chart(pd.DataFrame()),
        figures.layer_agreement_chart(PAIRS.iloc[:0]),
        figures.criteria_chart(pd.DataFrame()),
        figures.size_bars(SIZES.iloc[:0]),
        figures.class_change(CLASSES.iloc[:0]),
        figures.latency_chart({"dense": []}),
        figures.predicted_measured(EVALUATED.iloc[:0]),
        figures.pareto(EVALUATED.iloc[:0]),
        figures.trade_off(MEASURED.iloc[:0]),
        figures.plan_bars(PLAN.iloc[:0]),
    ],
)
def test_without_data_a_chart_says_why(figure: go.Figure) -> None:
    assert not figure.data
    assert figures.alt(figure)
    assert figure.layout.annotations[0].text == figures.alt(figure)


def test_a_rise_in_percent_is_no_share_of_100() -> None:
    """The perplexity of a language model: its rise has the unit of an accuracy, and no end."""
    loss = table({("l1", "a"): [0.2, 0.9, 26.0], ("l1", "b"): [0.05, 0.1, 0.2]})
    draw = functools.partial(
        figures.small_multiples, loss, task="language_modelling", tolerance=0.01
    )
    assert draw().layout.yaxis.range[0] <= 0.0
    assert draw(zoom=False).layout.yaxis.range[1] > 2600
    for zoom in (True, False):
        matrix = figures.sensitivity_matrix(
            loss, criterion="l1", task="language_modelling", tolerance=0.01, zoom=zoom
        )
        marker = matrix.data[0].marker
        # Colours as those of any drop: pale is none, dark is much.
        assert marker.cmin == 0.0
        assert marker.cmax >= 4.0
        assert marker.colorscale[0][1] == figures.LIGHT.sequential[0]
        assert matrix.data[0].text[2] == "2600"
    figure = figures.sensitivity_curves(
        loss, criterion="l1", highlight=["a"], task="language_modelling", tolerance=0.01
    )
    assert "a \N{UPWARDS ARROW} 2,600" in [note.text for note in figure.layout.annotations]


def test_cells_have_room_for_their_numbers() -> None:
    """Numbers of a cell have four characters, and no zero has a sign."""
    cells = table({("l1", "a"): [-0.00001, 0.09994, 1.2, 990.0, 99999.0]})
    texts = figures.sensitivity_matrix(cells, criterion="l1").data[0].text
    assert list(texts) == ["0.00", "10.0", "120", "99k", "1e7"]


def test_a_chart_begins_as_panels_are_styled() -> None:
    """At once, not by updates: Plotly checks the whole layout at each of them."""
    figure = go.Figure()
    style_layout(figure, colors=figures.LIGHT, height=300, legend=False)
    figure.update_xaxes(title_text="removed").update_yaxes(title_text="drop")
    begun = canvas(
        colors=figures.LIGHT, x_title="removed", y_title="drop", height=300, legend=False
    )
    assert begun.to_dict() == figure.to_dict()


@pytest.mark.parametrize("draw", [figures.pareto, figures.predicted_measured])
def test_no_name_of_a_plan_covers_another(draw: Callable[[pd.DataFrame], go.Figure]) -> None:
    """Two plans of one size and drop had their names on each other."""
    one = EVALUATED.iloc[:1]
    same = pd.concat([one] * 6).assign(plan=[f"a plan with a long name {n}" for n in range(6)])
    (marks,) = (item for item in draw(same).data if item.text is not None)
    shown = [place for text, place in zip(marks.text, marks.textposition, strict=True) if text]
    assert len(shown) == len(set(shown)) >= 2
    # Hovering names all.
    assert [item[0] for item in marks.customdata] == list(same["plan"])
    apart = EVALUATED.assign(
        macs=[0.1, 0.6, 0.9],
        drop=[0.3, 0.2, 0.0],
        measured=[0.3, 0.2, 0.0],
        predicted=[0.0, 0.1, 0.3],
    )
    (marks,) = (item for item in draw(apart).data if item.text is not None)
    assert set(marks.text) == set(apart["plan"])
