"""One training on several devices, a process each."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from subprocess import Popen

import pytest
import torch
from torch import Tensor

from analysis.edits import PreparedSubject, prepare
from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.recovery.training.several import processes
from analysis.recovery.training.several.leader import check_devices
from analysis.recovery.training.several.team import joined
from analysis.recovery.training.update import STOPPED
from analysis.subjects import load_subject
from pruners.errors import InputError
from tests.helpers.trainable import opened, plan_of

PAIR = "cpu,cpu"
FAILS_IN_THE_SECOND = """
import os


def fails(inputs, generator):
    if os.environ.get("RANK") == "1":
        raise ValueError("no such picture")
    return inputs
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("several")


def on(prepared: PreparedSubject, device: str) -> PreparedSubject:
    return prepare(load_subject(dataclasses.replace(prepared.subject.spec, device=device)))


@pytest.mark.slow
def test_two_processes_train_as_one_does(folder: Path) -> None:
    """Shares of 8 and 7 samples, masks that move, two batches a step, clipping, distillation."""
    prepared = opened(folder, "plain")
    recipe = TrainingRecipe(
        method="gmp",
        lr=0.05,
        batch_size=15,
        accumulate=2,
        steps=10,
        updates=3,
        clip_norm=0.5,
        ema=0.5,
        distill=0.3,
    )
    plan = plan_of(prepared)
    one = list(iter_training(prepared, plan, recipe, seed=1))
    two = list(iter_training(on(prepared, PAIR), plan, recipe, seed=1))
    assert [item.step for item in two] == [item.step for item in one]
    for other, point in zip(two[2:], one[2:], strict=True):
        assert other.loss == pytest.approx(point.loss, rel=1e-5)
        # A small difference of large numbers.
        assert other.distill_loss == pytest.approx(point.distill_loss, rel=1e-4, abs=1e-6)
    first, second = one[-1].recovery, two[-1].recovery
    assert first is not None
    assert second is not None
    assert second.plan.entries == first.plan.entries
    assert second.edit.tensors.keys() == first.edit.tensors.keys()
    for name, item in first.edit.tensors.items():
        torch.testing.assert_close(second.edit.tensors[name], item, rtol=1e-4, atol=1e-6)
        assert torch.equal(second.edit.tensors[name] == 0, item == 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Popen[bytes]]:
    """Return where the processes are noted that are started."""
    found = []
    start = processes._started

    def noted(folder: Path, rank: int) -> Popen[bytes]:
        found.append(start(folder, rank))
        return found[-1]

    monkeypatch.setattr(processes, "_started", noted)
    return found


@pytest.mark.slow
def test_two_processes_go_on_bit_for_bit(
    folder: Path, tmp_path: Path, started: list[Popen[bytes]]
) -> None:
    """Batch norms, dropout that each process draws for itself; one process killed on the way."""
    prepared = on(opened(folder, "dropped"), PAIR)
    recipe = TrainingRecipe(lr=0.05, batch_size=16, steps=6)
    options = {"plan": plan_of(prepared), "recipe": recipe, "seed": 1}
    *_, whole = iter_training(prepared, **options)
    part = iter_training(prepared, **options, folder=tmp_path, checkpoint_seconds=0)
    assert next(item for item in part if item.step == 3)
    started[-1].kill()
    started[-1].wait()
    with pytest.raises(InputError, match="a process of the training is lost"):
        list(part)
    first, *_, rest = iter_training(prepared, **options, folder=tmp_path)
    assert first.step == 3
    assert whole.recovery is not None
    assert rest.recovery is not None
    one, other = whole.recovery.edit.tensors, rest.recovery.edit.tensors
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(process.poll() is not None for process in started)


@pytest.mark.slow
def test_an_error_in_one_process_ends_all_with_one_line(
    folder: Path, tmp_path: Path, started: list[Popen[bytes]]
) -> None:
    (tmp_path / "own.py").write_text(FAILS_IN_THE_SECOND, encoding="utf-8")
    prepared = on(opened(folder, "plain"), PAIR)
    recipe = TrainingRecipe(
        lr=0.05, batch_size=16, steps=3, augment=(f"{tmp_path / 'own.py'}:fails",)
    )
    with pytest.raises(InputError, match="no such picture") as found:
        list(iter_training(prepared, plan_of(prepared), recipe, seed=1))
    assert "\n" not in str(found.value)
    assert [process.poll() is not None for process in started] == [True]
    assert not torch.distributed.is_initialized()


def test_other_weights_in_another_process_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gathered(found: list[Tensor], own: Tensor, group: object) -> None:
        for place, item in enumerate(found):
            item.copy_(own + place)

    with joined(
        tmp_path / "meeting",
        ["cpu"],
        rank=0,
        beside=1,
        seed=1,
        threads=1,
        why=lambda: InputError("gone"),
    ) as team:
        team.check("0" * 32)
        team.size = 2
        monkeypatch.setattr(torch.distributed, "all_gather", gathered)
        with pytest.raises(InputError, match="no longer the same on all devices"):
            team.check("0" * 32)


def test_cancel_reaches_a_process_that_is_opening(
    folder: Path, started: list[Popen[bytes]]
) -> None:
    prepared = on(opened(folder, "plain"), PAIR)
    recipe = TrainingRecipe(lr=0.05, batch_size=16, steps=3)
    *_, last = iter_training(prepared, plan_of(prepared), recipe, seed=1, cancel=lambda: True)
    assert (last.step, last.stage) == (0, STOPPED)
    assert [process.poll() is not None for process in started] == [True]


def test_what_cannot_share_a_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_devices("cuda:1", 1)
    with pytest.raises(InputError, match="of one kind; found cpu and cuda"):
        check_devices("cpu,cuda:0", 8)
    with pytest.raises(InputError, match="3 devices cannot share a batch of 2"):
        check_devices("cpu,cpu,cpu", 2)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"pip install 'prunescope\[accelerate\]'"):
        check_devices(PAIR, 8)
