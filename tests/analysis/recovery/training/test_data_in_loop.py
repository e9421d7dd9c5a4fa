"""The loop with training data of its own, a user's augmentation, and a rate that it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.edits import PreparedSubject
from analysis.recovery.training import (
    TrainingRecipe,
    TrainingUpdate,
    iter_training,
    training_cost,
)
from analysis.recovery.training.data.rate_test import HIGHEST, LOWEST
from pruners.errors import InputError
from pruners.preserve import checksum
from tests.helpers.trainable import opened, plan_of

CODE = """
import torch
def noisy(inputs, generator):
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)
def wrong(inputs, generator): return inputs[:, :, 1:]
class Noisy:
    def __len__(self): return 64
    def __getitem__(self, at): return torch.randn(1, 8, 8), at % 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    (path / "mine.py").write_text(CODE, encoding="utf-8")
    images = np.random.default_rng(9).integers(0, 256, (96, 8, 8), dtype=np.uint8)
    np.savez(path / "more.npz", images=images, labels=np.arange(96) % 4)
    return path


@pytest.fixture(scope="module")
def prepared(folder: Path) -> PreparedSubject:
    return opened(folder, "dropped")


def trained(prepared: PreparedSubject, *, seed: int = 1, **fields: Any) -> list[TrainingUpdate]:
    options = {key: fields.pop(key) for key in ("folder", "cancel") if key in fields}
    recipe = TrainingRecipe(**{"batch_size": 16, "steps": 7, "lr": 0.02, **fields})
    return list(iter_training(prepared, plan_of(prepared), recipe, seed=seed, **options))


def is_same(one: list[TrainingUpdate], other: list[TrainingUpdate]) -> bool:
    assert one[-1].recovery is not None
    assert other[-1].recovery is not None
    ours, theirs = one[-1].recovery.edit.tensors, other[-1].recovery.edit.tensors
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_resumed_on_data_and_augmentation_of_ones_own(
    prepared: PreparedSubject, folder: Path, tmp_path: Path
) -> None:
    """Bit for bit as one that ran through; stopped within an epoch of 5 batches."""
    fields = {
        "train_data": f"npz:{folder / 'more.npz'}#mean=0.5&std=0.25",
        "augment": ("flip", "shift=1", f"{folder / 'mine.py'}:noisy"),
    }
    through = trained(prepared, **fields)
    calls = iter(range(100))
    stopped = trained(prepared, folder=tmp_path, cancel=lambda: next(calls) > 4, **fields)
    assert 0 < stopped[-1].step < 7
    assert is_same(trained(prepared, folder=tmp_path, **fields), through)
    assert not is_same(trained(prepared, **{**fields, "augment": ()}), through)


def test_what_the_data_are_is_told(prepared: PreparedSubject, folder: Path) -> None:
    told = next(item.notes for item in trained(prepared) if item.notes)
    assert "the 80 samples of the same data that are not evaluated" in told[0]
    recipe = TrainingRecipe(
        train_data=f"{folder / 'mine.py'}:Noisy", batch_size=16, steps=3, lr=0.1
    )
    cost = training_cost(prepared, plan_of(prepared), recipe)
    assert any("random transforms" in item for item in cost.notes)


def test_a_rate_is_found_by_seed_and_nothing_else_moves(prepared: PreparedSubject) -> None:
    """The training that follows is that of the rate, given."""
    before, state = checksum(prepared.model), torch.get_rng_state()
    fields = {"lr": None, "schedule": "constant", "warm_up": 0.0}
    first, again = trained(prepared, **fields), trained(prepared, **fields)
    assert checksum(prepared.model) == before
    assert torch.equal(torch.get_rng_state(), state)
    rate = first[-1].rate
    assert LOWEST < rate < HIGHEST
    assert again[-1].rate == rate
    assert is_same(first, again)
    assert is_same(first, trained(prepared, **{**fields, "lr": rate}))


def test_an_augmentation_that_fails_stops_the_training(
    prepared: PreparedSubject, folder: Path
) -> None:
    with pytest.raises(InputError, match="type and shape must stay"):
        trained(prepared, augment=(f"{folder / 'mine.py'}:wrong",))
