"""The two charts of a training: what they draw, in both themes, with and without values."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis import figures
from analysis.figures.training import MAX_STEPS

NAN = math.nan
HISTORY = pd.DataFrame(
    {
        "seed": [0, 0, 0, 1, 1, 1],
        "epoch": [0.5, 1.0, 1.5, 0.5, 1.0, 1.5],
        "task_loss": [1.0, 0.5, 0.25, 1.2, 0.6, 0.3],
        "distill_loss": [0.2, 0.1, 0.05, NAN, NAN, NAN],
        "selection": [NAN, 0.8, 0.9, NAN, 0.7, 0.85],
        "low": [NAN, 0.75, 0.88, NAN, 0.65, 0.8],
        "high": [NAN, 0.85, 0.92, NAN, 0.75, 0.9],
    }
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_losses_are_apart_and_seeds_have_their_colours(theme: str) -> None:
    figure = figures.training_loss(HISTORY, theme=theme)
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn) == ["task, seed 0", "task, seed 1", "distillation, seed 0"]
    assert list(drawn["task, seed 1"].y) == [1.2, 0.6, 0.3]
    one, other = drawn["task, seed 0"].line, drawn["distillation, seed 0"].line
    assert one.color == other.color == figures.palette(theme).series[0]
    assert one.dash != other.dash
    assert figures.alt(figure) == (
        "Training loss of 2 seeds over 1.50 epochs; the last task loss is 0.300."
    )


def test_without_labels_there_is_no_loss_of_the_task() -> None:
    figure = figures.training_loss(HISTORY[HISTORY["seed"] == 0].assign(task_loss=NAN))
    assert [trace.name for trace in figure.data] == ["distillation"]
    assert "the last distillation loss is" in figures.alt(figure)


def test_one_seed_needs_no_number() -> None:
    figure = figures.training_loss(HISTORY[HISTORY["seed"] == 1])
    assert [trace.name for trace in figure.data] == ["task"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_scores_have_intervals_and_lines_across(theme: str) -> None:
    figure = figures.training_score(
        HISTORY,
        lines={"dense": 0.93, "pruned": 0.13, "after lsq": 0.6},
        tolerated=0.92,
        theme=theme,
    )
    named = [trace for trace in figure.data if trace.name]
    assert [trace.name for trace in named] == ["training, seed 0", "training, seed 1"]
    assert list(named[0].y) == [80.0, 90.0]
    bands = [trace for trace in figure.data if not trace.name]
    assert list(bands[0].y) == [85.0, 92.0, 88.0, 75.0]
    assert [shape.y0 for shape in figure.layout.shapes] == [93.0, 60.0, 92.0]
    notes = [note.text for note in figure.layout.annotations]
    # A line far below would press the curve flat.
    assert notes == ["dense", "after lsq", "tolerance", "below: pruned 13.00"]
    assert figures.alt(figure) == (
        "Score on the selection samples of 2 seeds; after 1.50 epochs it is 85.00."
    )


def test_lines_are_there_before_the_first_score() -> None:
    figure = figures.training_score(HISTORY.iloc[:1], lines={"dense": 0.93})
    assert [shape.y0 for shape in figure.layout.shapes] == [93.0]
    assert figures.alt(figure) == "No score was measured yet."


def test_long_histories_are_thinned() -> None:
    steps = 10 * MAX_STEPS
    rows = pd.DataFrame(
        {"seed": 0, "epoch": range(steps), "task_loss": range(steps), "distill_loss": NAN}
    )
    (trace,) = figures.training_loss(rows).data
    assert len(trace.x) == MAX_STEPS


def test_one_step_is_seen() -> None:
    """A line through one point is none: the chart of a training of one step was empty."""
    figure = figures.training_loss(HISTORY.iloc[:1])
    assert {trace.mode for trace in figure.data} == {"lines+markers"}
    assert {trace.mode for trace in figures.training_loss(HISTORY).data} == {"lines"}


def test_names_of_lines_at_one_height_do_not_cover_each_other() -> None:
    """A repaired model is often as good as the dense one: both names stood in one place."""
    figure = figures.training_score(
        HISTORY.iloc[:1], lines={"dense": 1.0, "pruned": 0.3, "after lsq": 1.0}, tolerated=0.99
    )
    notes = {note.text: note for note in figure.layout.annotations}
    assert set(notes) == {"dense", "pruned", "after lsq", "tolerance"}
    low, high = figure.layout.yaxis.range
    assert low < 30.0
    assert high > 100.0
    shifts = sorted(notes[name].yshift for name in ("dense", "after lsq"))
    assert shifts[1] - shifts[0] >= 12


def test_what_is_far_worse_is_named_on_its_side() -> None:
    """A perplexity of 900 is far above one of 14, not below it."""
    lower = HISTORY.assign(selection=-14.0, low=-15.0, high=-13.0)
    lines = {"dense": -13.0, "pruned": -900.0}
    figure = figures.training_score(lower, lines=lines, scale=-1.0, tolerated=-13.13)
    (note,) = (note for note in figure.layout.annotations if "900" in note.text)
    assert (note.text, note.y, note.yanchor) == ("above: pruned 900.00", 1, "top")
    assert figure.layout.yaxis.range[1] < 20


@pytest.mark.parametrize(
    "figure",
    [figures.training_loss(HISTORY.iloc[:0]), figures.training_score(HISTORY.iloc[:0])],
)
def test_without_data_a_chart_says_why(figure: object) -> None:
    assert figures.alt(figure) == "Nothing was trained yet"  # type: ignore[arg-type]
