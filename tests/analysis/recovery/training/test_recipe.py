"""What a recipe may ask for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.recovery.training import TrainingRecipe
from pruners.errors import InputError


def test_a_recipe_is_read_as_it_was_written() -> None:
    recipe = TrainingRecipe(method="finetune", epochs=3, lr=0.05, ema=0.99, drops=(0.3, 0.6))
    assert TrainingRecipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "fintune"}, "did you mean finetune"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"precision": "int8"}, "unknown training precision 'int8'"),
        ({"epochs": 0.0}, "epochs must be above 0; found 0"),
        ({"lr": -0.1}, "lr must be above 0; found -0.1"),
        ({"lr": math.nan}, "lr must be above 0; found nan"),
        ({"minutes": math.inf}, "minutes must be above 0; found inf"),
        ({"batch_size": 0}, "batch_size must be at least 1; found 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1; found 1"),
        ({"distill": 1.5}, "distill must be 0 to 1; found 1.5"),
        ({"drops": (0.5, 2.0)}, "drops must be 0 to 1; found 2"),
        ({"steps": 5, "minutes": 1.0}, "5 steps and for 1 minutes; give one"),
        ({"begin": 0.8, "end": 0.5}, "begin must not come after end"),
        ({"schedule": "rewind"}, "the schedule rewind needs the recipe"),
        ({"rewind": "a.json"}, "found schedule cosine and rewind a.json"),
        ({"patience": 1, "selection": 0.0}, "give a selection above 0"),
        ({"user_loop": "a.py:f", "int8_share": 0.5}, "so nothing is rounded for it"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        TrainingRecipe(**fields)
    assert words in str(caught.value)
