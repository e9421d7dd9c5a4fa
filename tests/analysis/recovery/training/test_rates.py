"""Learning rates against torch's schedulers, and rewound ones against their original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from analysis.recovery.training import RATES, TrainingRecipe, rate_at
from analysis.recovery.training.rates import rewound_rate
from analysis.recovery.training.recipe import original_recipe
from pruners.errors import AddressError, InputError

STEPS = 40


def rates(steps: int = STEPS, **fields: Any) -> list[float]:
    recipe = TrainingRecipe(**fields)
    return [rate_at(recipe, step, steps, lr=0.5) for step in range(steps)]


def scheduled(make: Any, *, steps: int = STEPS) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        ("constant", lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        ("cosine", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS)),
        ("linear", lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)),
        ("step", lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [20, 30], 0.1)),
    ],
)
def test_schedules_without_warm_up_equal_those_of_torch(schedule: str, make: Any) -> None:
    assert rates(schedule=schedule, warm_up=0.0) == pytest.approx(scheduled(make), abs=1e-12)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_one_cycle_equals_that_of_torch(share: float) -> None:
    """torch counts the step of the largest rate as the last one of the rise."""
    oracle = scheduled(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, 0.5, total_steps=STEPS + 1, pct_start=(share * STEPS + 1) / (STEPS + 1)
        )
    )
    own = rates(STEPS + 1, schedule="one_cycle", warm_up=share * STEPS / (STEPS + 1))
    assert own[:STEPS] == pytest.approx(oracle, abs=1e-9)
    assert own[STEPS] == pytest.approx(0.5 / 25e4)


@pytest.mark.parametrize("schedule", [item.name for item in RATES if item.name != "rewind"])
def test_the_warm_up_rises_to_the_largest_rate(schedule: str) -> None:
    found = rates(schedule=schedule, warm_up=0.1)
    assert found[:5] == sorted(found[:5])
    assert found[4] == 0.5
    assert all(0 <= rate <= 0.5 for rate in found)
    if schedule != "one_cycle":
        assert found[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("schedule", [item.name for item in RATES if item.name != "rewind"])
def test_every_number_of_steps_has_rates(schedule: str) -> None:
    for steps in (1, 2, 3, 7):
        for warm_up in (0.0, 0.1, 0.9):
            assert all(
                0 <= rate <= 0.5 for rate in rates(steps, schedule=schedule, warm_up=warm_up)
            )


@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle"])
def test_rewound_rates_are_the_last_of_the_original(schedule: str) -> None:
    """Renda et al.: value by value the tail of the original recipe."""
    original = TrainingRecipe(lr=0.5, epochs=4.0, schedule=schedule)
    whole = rates(40, schedule=schedule)
    found = [rewound_rate(original, 15 - step, steps_per_epoch=10) for step in range(15)]
    assert found == whole[25:]
    with pytest.raises(InputError, match="the original training had 40 steps"):
        rewound_rate(original, 41, steps_per_epoch=10)


def test_the_original_recipe_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "original.json"
    recipe = TrainingRecipe(schedule="rewind", rewind=str(path))
    with pytest.raises(InputError, match="cannot read the original recipe"):
        original_recipe(recipe)
    path.write_text('{"lr": 0.1, "epochs": 90, "schedule": "step"}')
    found = original_recipe(recipe, roots=[tmp_path])
    assert found == TrainingRecipe(lr=0.1, epochs=90, schedule="step")
    with pytest.raises(AddressError, match="outside of the folders"):
        original_recipe(recipe, roots=[tmp_path / "other"])
    path.write_text('{"epochs": 90}')
    with pytest.raises(InputError, match="must give lr"):
        original_recipe(recipe)
