"""Charts of plans: the trade-off, and words of the task."""

from __future__ import annotations

import pytest

from analysis import figures
from tests.analysis.figures.tables import (
    EVALUATED,
    MEASURED,
)


def test_the_trade_off_has_one_entry_for_all_trained_plans() -> None:
    """Each method and each number of epochs had an entry and a colour, till colours came twice."""
    words = [f"trained: finetune, {epochs} epochs" for epochs in (1, 3, 10)]
    table = MEASURED.assign(
        recovery=[*words, "not repaired"], way=[*["trained"] * 3, "not repaired"]
    )
    marks = [item for item in figures.trade_off(table).data if item.mode == "markers"]
    assert [item.name for item in marks] == ["not repaired", "trained"]
    assert list(marks[1].customdata[:, 2]) == words
    assert len({item.marker.color for item in marks}) == 2


def test_charts_of_plans_speak_the_words_of_the_task() -> None:
    """Drops of every task stood there as percentage points of accuracy."""
    figure = figures.pareto(EVALUATED, task="image_to_image")
    assert figure.layout.yaxis.title.text == "PSNR drop (dB)"
    assert max(figure.data[1].y) == pytest.approx(EVALUATED["drop"].max())
    figure = figures.predicted_measured(EVALUATED, task="language_modelling")
    assert figure.layout.xaxis.title.text == "predicted increase (%)"


def test_names_of_plans_are_beside_the_line_that_joins_them() -> None:
    """It rises to each plan from above and leaves it to the right: through the names."""
    table = EVALUATED.assign(macs=[0.1, 0.6, 0.9])
    (marks,) = (item for item in figures.pareto(table).data if item.text is not None)
    sides = dict(zip(marks.x, marks.textposition, strict=True))
    # Left of the first there is no room.
    assert sides == {0.1: "bottom right", 0.6: "middle left", 0.9: "middle left"}
