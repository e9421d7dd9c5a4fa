"""Where curves say what holds a drop: sizes are found in few plans, by what is measured."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis.allocation import Budget
from analysis.search import starts as module
from analysis.search.data import OF_POSITIONS, Effort, effort_of
from analysis.search.starts import Start, starts
from analysis.subjects import calibration_of
from analysis.tasks import TASKS, task_named

LIMIT = 0.01
Loss = Callable[[float], float]


class Model:
    """A model of which only the share that is removed counts.

    Args:
        loss: What is lost for what is removed.
        foreseen: What the curves say can be removed, by strategy.
    """

    def __init__(self, loss: Loss, foreseen: dict[str, float]) -> None:
        self.loss, self.foreseen = loss, foreseen
        self.measured: list[float] = []

    def filled(self, _goal: Any, _points: Any, name: str, sizes: tuple[Budget, ...]) -> Any:
        removed = self.foreseen[name] if sizes[0].is_drop else 1 - sizes[0].limit
        # Units are whole: what is removed is a multiple.
        return SimpleNamespace(removed=int(removed * 1000 + 1e-6) / 1000), ""

    def score(self, plan: Any) -> Any:
        self.measured.append(plan.removed)
        return SimpleNamespace(plan=plan, cost=self.loss(plan.removed), sums=plan.removed)

    def run(self, monkeypatch: pytest.MonkeyPatch) -> list[Start]:
        monkeypatch.setattr(module, "_filled", self.filled)
        monkeypatch.setattr(module, "_measurable", lambda: list(self.foreseen))
        monkeypatch.setattr(module, "key_of", lambda plan: str(plan.removed))
        monkeypatch.setattr(module, "effort_of", lambda _: OF_POSITIONS)
        task = SimpleNamespace(drop=self.loss)
        goal: Any = SimpleNamespace(
            max_drop=LIMIT,
            sizes=(),
            measure="macs",
            share=lambda plan: 1 - plan.removed,
            bound=lambda scored: self.loss(scored.plan.removed),
            holds=lambda scored, _seen: self.loss(scored.plan.removed) <= LIMIT,
            prepared=SimpleNamespace(subject=SimpleNamespace(task=task)),
            request=SimpleNamespace(plan=SimpleNamespace(removed=0.0)),
        )
        judge: Any = self
        return list(starts(goal, pd.DataFrame(), judge, lambda: False))


@pytest.mark.parametrize(
    ("loss", "most"),
    [
        (lambda removed: 0.6 * removed, 1 / 60),
        (lambda removed: 4 * removed**1.5, (LIMIT / 4) ** (2 / 3)),
        (lambda removed: 0.02 * removed**2, 0.7071),
    ],
)
@pytest.mark.parametrize("foreseen", [0.004, 0.02, 0.3, 0.9])
def test_what_is_found_is_near_the_most_that_holds(
    monkeypatch: pytest.MonkeyPatch, loss: Loss, most: float, foreseen: float
) -> None:
    model = Model(loss, {"dp": foreseen, "uniform": foreseen / 2})
    found = model.run(monkeypatch)
    best = [step.scored.plan.removed for step in found if step.is_best]  # type: ignore[attr-defined]
    assert best == sorted(best)
    assert best[-1] <= most
    # Five or six plans do not bridge a forecast that is wrong by a factor of 100.
    if 1 / 30 < foreseen / most < 30:
        assert best[-1] >= 0.6 * most
    assert len(model.measured) == len(set(model.measured)) <= 7


def test_the_smallest_plan_is_measured_first_and_larger_ones_only_if_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model(lambda removed: removed, {"uniform": 0.002, "dp": 0.0099, "global": 0.005})
    assert [step.origin for step in model.run(monkeypatch)] == ["dp"]
    model = Model(lambda removed: 2 * removed, {"uniform": 0.002, "dp": 0.009, "global": 0.0048})
    assert [step.origin for step in model.run(monkeypatch)][:2] == ["dp", "global"]


def test_where_nothing_holds_the_dense_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Model(lambda removed: float(removed > 0), {"dp": 0.01}).run(monkeypatch)
    assert [(step.origin, step.is_best) for step in found][-1] == ("dense", True)
    assert not any(step.is_best for step in found[:-1])


def test_samples_with_many_positions_are_few() -> None:
    """Text, pixels and images; all others are searched and calibrated as before."""

    def effort(name: str) -> Effort:
        subject: Any = SimpleNamespace(task=task_named(name))
        return effort_of(subject)

    many = {entry.name for entry in TASKS if effort(entry.name) != Effort()}
    assert many == {
        "segmentation",
        "language_modelling",
        "masked_lm",
        "token_classification",
        "image_to_image",
    }
    assert {entry.name for entry in TASKS if calibration_of(entry.name) != 512} == many
