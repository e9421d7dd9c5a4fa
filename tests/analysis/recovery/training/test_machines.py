"""One training on several machines that see one folder."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from analysis.cli import main
from analysis.edits import PreparedSubject, prepare
from analysis.plans import write_plan
from analysis.recovery.training import TrainingRecipe, iter_training, join, opened_meeting
from analysis.recovery.training.several import machines, processes
from analysis.recovery.training.several.machines import CLOSED, LEADER
from analysis.recovery.training.several.order import error_left, failure, leave_error
from analysis.subjects import load_subject
from pruners.errors import CancelledError, InputError, comes_again
from tests.helpers.trainable import opened, plan_of

RECIPE = TrainingRecipe(lr=0.05, batch_size=15, steps=4)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("machines"), "dropped")


def trained(prepared: PreparedSubject, **options: object) -> dict[str, Tensor]:
    *_, last = iter_training(prepared, plan_of(prepared), RECIPE, **options)
    assert last.recovery is not None
    return dict(last.recovery.edit.tensors)


def joining(folder: Path, devices: list[str], **options: Callable[[], bool]) -> Future[int]:
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(join, folder, devices, **options)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.slow
def test_two_machines_train_as_one_with_as_many_devices(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    """Two trainings with one meeting: dropout of each, shares of 8 and 7 samples, to the bit."""
    spec = dataclasses.replace(prepared.subject.spec, device="cpu,cpu")
    expected = trained(prepare(load_subject(spec)), seed=2)
    folder = tmp_path / "where we meet #1"
    other = joining(folder, ["cpu"])
    with opened_meeting(folder, 2) as meeting:
        assert [item.devices for item in meeting.machines] == [("cpu",)]
        first = trained(prepared, seed=1, meeting=meeting)
        second = trained(prepared, seed=2, meeting=meeting)
    assert other.result(60) == 2
    assert second.keys() == expected.keys()
    assert all(torch.equal(second[name], expected[name]) for name in expected)
    assert not all(torch.equal(first[name], expected[name]) for name in expected)
    assert not list(folder.glob("training-*"))
    with pytest.raises(InputError, match="is over; name a new folder"):
        join(folder, ["cpu"])
    refusal = pytest.raises(InputError, match="has files; empty it, or name a new one")
    with refusal, opened_meeting(folder, 2):
        raise AssertionError("another meeting was there")


def test_what_fails_on_another_machine_ends_all_with_its_line(
    prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = processes._started
    monkeypatch.setattr(
        processes, "_started", lambda *given: started.append(start(*given)) or started[-1]
    )
    folder = tmp_path / "meeting"
    other = joining(folder, ["cpu"])
    with opened_meeting(folder, 2) as meeting:
        training = iter_training(
            prepared, plan_of(prepared), RECIPE, seed=1, meeting=meeting, folder=tmp_path / "kept"
        )
        assert next(item for item in training if item.step == 1)
        started[0].kill()
        with pytest.raises(InputError, match="a process of the training is lost"):
            list(training)
    with pytest.raises(InputError, match="a process of the training is lost"):
        other.result(60)
    assert [process.poll() is not None for process in started] == [True]


def test_the_line_of_the_process_that_failed_is_everybodys(tmp_path: Path) -> None:
    """A machine whose processes end because another one's did hides nobody's reason."""
    found = machines._last_word(tmp_path, 4, rank=1)
    left = error_left(tmp_path / failure(1))
    assert str(found) == str(left) == processes.LOST
    # The training goes on from its checkpoint.
    assert (comes_again(found), comes_again(left)) == (False, False)  # type: ignore[arg-type]
    (tmp_path / failure(1)).unlink()
    for cause, is_lasting in ((OSError(5, "I/O"), False), (ValueError("no picture"), True)):
        problem = InputError("no such picture")
        problem.__cause__ = cause
        leave_error(tmp_path / failure(3), problem)
        found = machines._last_word(tmp_path, 4, rank=1)
        assert (str(found), comes_again(found)) == ("no such picture", is_lasting)
        assert not (tmp_path / failure(1)).exists()
    (tmp_path / failure(3)).write_text("{")
    assert str(machines._last_word(tmp_path, 4, rank=1)) == processes.LOST


def test_a_machine_leaves_when_nobody_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LOST_SECONDS", 0.5)
    (tmp_path / LEADER).touch()
    with pytest.raises(InputError, match="gives no sign of life"):
        join(tmp_path, ["cpu"])
    with pytest.raises(CancelledError):
        join(tmp_path, ["cpu"], cancel=lambda: True)
    # Each has its own number.
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        "machine-1.json",
        "machine-2.json",
    ]


def test_who_leads_may_give_up_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "meeting"
    asked = threading.Event()
    threading.Thread(target=lambda: (time.sleep(0.3), asked.set())).start()
    with (
        pytest.raises(CancelledError, match="before all machines had joined"),
        opened_meeting(folder, 3, cancel=asked.is_set),
    ):
        raise AssertionError("nobody has joined")
    assert (folder / CLOSED).exists()


def test_machines_are_of_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.json"
    write_plan(plan_of(opened(tmp_path, "plain")), path)
    assert main(["recover", "--plan", str(path), "--method", "lsq", "--meet", str(tmp_path)]) == 2
    assert "--seeds, --rounds and --meet are of training" in capsys.readouterr().err
