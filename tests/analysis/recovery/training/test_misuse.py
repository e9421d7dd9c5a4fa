"""Trainings that cannot be done, that diverge, and files of theirs that were damaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from analysis.edits import PreparedSubject
from analysis.recovery.training import (
    Trainee,
    TrainingRecipe,
    TrainingUpdate,
    iter_training,
    open_training_data,
    read_history,
)
from analysis.recovery.training.session import Session
from analysis.recovery.training.state.checkpoint import FILE, HISTORY
from pruners.errors import InputError
from tests.helpers import training_steps
from tests.helpers.trainable import opened, plan_of

RECIPE = TrainingRecipe(lr=0.02, batch_size=16, steps=6, ema=0.5)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("subject"), "normed")


class _Odd(nn.Module):
    """A model that in train mode does what it is told."""

    def __init__(self, model: nn.Module, act: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.inner, self.act = model, act

    def forward(self, inputs: Tensor) -> object:
        outputs = self.inner(inputs)
        return self.act(outputs) if self.training else outputs


def _raises(outputs: Tensor) -> object:
    raise ValueError("not in train mode\nsecond line")


def _exits(outputs: Tensor) -> object:
    raise SystemExit(3)


def _breaks_gradients(outputs: Tensor) -> object:
    outputs.register_hook(lambda gradient: gradient.no_such_thing)  # type: ignore[no-untyped-call]
    return outputs


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (_raises, "in train mode it raised ValueError: not in train mode$"),
        (_exits, "called sys.exit"),
        (_breaks_gradients, "in train mode it raised AttributeError"),
        (lambda outputs: outputs.detach(), "its outputs have no gradients"),
        (lambda outputs: (outputs, outputs), "in train mode it returns a tuple"),
    ],
)
def test_a_model_that_cannot_be_trained_is_told_in_one_line(
    prepared: PreparedSubject, act: Callable[[Tensor], object], words: str
) -> None:
    """It ended in a traceback: what a model does in train mode was never tried."""
    trainee = Trainee(prepared, plan_of(prepared))
    data = open_training_data(prepared, RECIPE, seed=0)
    made = Session(prepared, trainee, data, RECIPE, seed=0, steps=2)
    trainee.model = _Odd(trainee.model, act)
    with pytest.raises(InputError, match=words):
        made.step(0, 0.02)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lr": 1e300}, "lr must be at most"),
        ({"weight_decay": 1e300}, "weight_decay must be at most"),
        ({"temperature": 1e300}, "temperature must be at most"),
        ({"score_lr": 1e300}, "score_lr must be at most"),
        ({"phase_epochs": 1e308}, "phase_epochs must be at most"),
        ({"steps": None, "epochs": 1e308}, "epochs must be at most"),
        ({"steps": None, "epochs": 1e29}, "epochs must be at most 1,000,000"),
        ({"steps": None, "minutes": 1e308}, "minutes must be at most"),
        ({"steps": 10**400}, "steps must be at most 1e\\+30; found a larger one"),
        ({"updates": 10**9}, "updates must be at most 1,000,000"),
        ({"method": "gmp", "user_loop": "file.py:train"}, "found method gmp"),
    ],
)
def test_numbers_that_overflow_are_refused(fields: dict[str, object], words: str) -> None:
    """They ended in a traceback, or never."""
    with pytest.raises(InputError, match=words):
        dataclasses.replace(RECIPE, **fields)  # type: ignore[arg-type]


NO_GRADIENT_AT_ZERO = """
import torch
from torch import nn

from tests.helpers import training_steps
from tests.helpers.trainable import plain


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = plain()

    def forward(self, inputs):
        outputs = self.inner(inputs)
        return outputs + (outputs * 0).sqrt()


def build():
    return Root()
"""


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    """The loss is taken before the step: weights of the last one came out as learned."""
    prepared = training_steps.opened(tmp_path, NO_GRADIENT_AT_ZERO)
    recipe = dataclasses.replace(RECIPE, steps=1, selection=0.0)
    plan = training_steps.pruned(prepared, 0.5)
    with pytest.raises(InputError, match="the weights are not finite at step 1; lower the"):
        list(iter_training(prepared, plan, recipe, seed=0, folder=tmp_path / "kept"))
    with safetensors.safe_open(str(tmp_path / "kept" / FILE), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            assert bool(file.get_tensor(name).isfinite().all()) or name.startswith("best/")


# --- damaged files ---------------------------------------------------------------------------


def _tensors_changed(change: Callable[[str, Tensor], Tensor | None]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        with safetensors.safe_open(str(folder / FILE), framework="pt") as file:
            found = {name: change(name, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        kept = {name: item for name, item in found.items() if item is not None}
        safetensors.torch.save_file(kept, str(folder / FILE), metadata=metadata)

    return act


def _flipped(folder: Path) -> None:
    content = bytearray((folder / FILE).read_bytes())
    with safetensors.safe_open(str(folder / FILE), framework="pt") as file:
        about = file.get_tensor("model/0.weight").numpy().tobytes()
    content[content.index(about) + 2] ^= 255
    (folder / FILE).write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        _tensors_changed(lambda name, item: None if name.startswith("average/") else item),
        _tensors_changed(lambda name, item: item[:1] if name == "model/1.weight" else item),
        _tensors_changed(lambda name, item: item[:3] if name == "generators/torch" else item),
        _flipped,
        lambda folder: (folder / HISTORY).write_bytes(b"\xff\xfe\x00"),
    ],
    ids=["missing", "shape", "generator", "bits", "history"],
)
def test_a_damaged_checkpoint_is_no_more_than_a_missing_one(
    prepared: PreparedSubject, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """It ended in a traceback; and flipped bits went on into other weights."""

    def run(steps: int | None = None) -> TrainingUpdate:
        asked = iter(range(10**6))
        *_, last = iter_training(
            prepared,
            plan_of(prepared),
            RECIPE,
            seed=1,
            folder=tmp_path / ("whole" if steps is None else "stopped"),
            cancel=lambda: steps is not None and next(asked) > steps,
        )
        return last

    aim = run().recovery
    folder = tmp_path / "stopped"
    assert not run(3).is_done
    damage(folder)
    read_history(folder / HISTORY)
    found = list(iter_training(prepared, plan_of(prepared), RECIPE, seed=1, folder=folder))[-1]
    assert aim is not None
    assert found.recovery is not None
    for name, tensor in aim.edit.tensors.items():
        assert torch.equal(found.recovery.edit.tensors[name], tensor)
