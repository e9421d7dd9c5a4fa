"""The code and the recipe of the page on training are taken as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from analysis.recovery.training import TrainingRecipe
from analysis.recovery.training.data.augmentations import Images, augment_of
from analysis.recovery.training.data.user_loop import run_user_loop
from analysis.retraining import PRESETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "train-the-pruned-model.md"
TEXT = PAGE.read_text(encoding="utf-8")
DATA = "import torch\n\nloader = [(torch.randn(8, 4), torch.arange(8) % 2)]\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_examples_of_own_code_run(tmp_path: Path) -> None:
    """No page said what an augmentation or a loop takes, or that a loop returns the model."""
    noise, loop = blocks("python")
    (tmp_path / "noise.py").write_text(noise, encoding="utf-8")
    (tmp_path / "loop.py").write_text(loop, encoding="utf-8")
    (tmp_path / "my_data.py").write_text(DATA, encoding="utf-8")

    augment, _ = augment_of([f"{tmp_path / 'noise.py'}:noise"], Images(shape=(1, 4, 4)))
    assert augment is not None
    inputs = torch.zeros(2, 1, 4, 4)
    found = [augment(inputs, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*found)
    assert not torch.equal(found[0], inputs)

    model = torch.nn.Linear(4, 2)
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 1] = False
    before = model.bias.detach().clone()
    trained = run_user_loop(f"{tmp_path / 'loop.py'}:train", model, {"weight": mask}, 2.0)
    assert trained is model
    assert model.weight[0, 1] == 0
    assert not torch.equal(model.bias, before)


def test_the_recipe_is_one() -> None:
    fields = json.loads(blocks("json")[0])
    recipe = TrainingRecipe(**fields)
    assert all(getattr(recipe, name) == value for name, value in fields.items())


def test_presets_say_how_many_steps_they_take_at_least() -> None:
    """``quick`` was called 1 epoch, and took 11 on the samples that come with PruneScope."""
    for preset in PRESETS:
        least = f"{preset.fields['least_steps']:,}"
        assert f"{least} steps at least" in preset.help
        assert f" {least}" in TEXT
