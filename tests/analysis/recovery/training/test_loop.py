"""The loop against a training written out, resumed ones against those that ran through."""

from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.backends import cudnn

from analysis.edits import PreparedSubject
from analysis.recovery import recover_plan
from analysis.recovery.training import (
    Trainee,
    TrainingRecipe,
    TrainingUpdate,
    cost,
    iter_training,
    loop,
    read_history,
    session,
    training_cost,
)
from analysis.recovery.training.data import open_training_data
from analysis.recovery.training.state import Generators
from analysis.recovery.training.state.checkpoint import FILE, HISTORY
from pruners.errors import InputError
from pruners.preserve import checksum
from tests.helpers.slow_training import after, trained_slowly
from tests.helpers.trainable import opened, plan_of

Subjects = dict[str, PreparedSubject]
BASE: dict[str, Any] = {"lr": 0.02, "batch_size": 16, "steps": 9}


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    folder = tmp_path_factory.mktemp("subjects")
    return {name: opened(folder, name) for name in ("plain", "normed", "dropped")}


def trained(
    prepared: PreparedSubject,
    recipe: TrainingRecipe,
    *,
    granularity: str = "channel",
    seed: int = 1,
    **options: Any,
) -> list[TrainingUpdate]:
    plan = plan_of(prepared, granularity=granularity)
    return list(iter_training(prepared, plan, recipe, seed=seed, **options))


def learned(updates: list[TrainingUpdate]) -> dict[str, torch.Tensor]:
    assert updates[-1].recovery is not None
    return dict(updates[-1].recovery.edit.tensors)


def is_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# --- what a step does ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "granularity", "fields"),
    [
        ("normed", "channel", {}),
        ("normed", "channel", {"optimizer": "adamw", "schedule": "linear", "distill": 0.7}),
        ("dropped", "element", {"momentum": 0.0, "schedule": "one_cycle", "clip_norm": 0.05}),
        ("dropped", "2:4", {"ema": 0.8, "label_smoothing": 0.1, "weight_decay": 0.1}),
    ],
)
def test_it_equals_a_training_written_out(
    subjects: Subjects, model: str, granularity: str, fields: dict[str, Any]
) -> None:
    """Timed steps and looks at the selection samples change nothing of it either."""
    prepared, recipe = subjects[model], TrainingRecipe(**{**BASE, **fields})
    trainee = Trainee(prepared, plan_of(prepared, granularity=granularity))
    slow, losses = trained_slowly(prepared, trainee, recipe, steps=9, seed=1)
    updates = trained(prepared, recipe, granularity=granularity)
    aim = trainee.recovery("", tensors=dict(slow.named_parameters()) | dict(slow.named_buffers()))
    found = learned(updates)
    for name, tensor in aim.edit.tensors.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)
    told = [item.task_loss for item in updates[2:-1]] + [updates[-1].task_loss]
    assert told == pytest.approx(losses, rel=1e-4)
    assert [item.step for item in updates] == [0, *range(10)]
    assert updates[-1].is_done
    assert updates[-1].eta_seconds == 0


@pytest.mark.parametrize(("model", "method"), [("dropped", "finetune"), ("plain", "gmp")])
def test_what_is_seen_only_has_the_losses_of_a_step_that_goes_nowhere(
    subjects: Subjects, model: str, method: str
) -> None:
    """The model that a rate is compared with has no gradients to wait for."""
    prepared, recipe = subjects[model], TrainingRecipe(**{**BASE, "method": method})
    plan = plan_of(prepared, granularity="channel")
    data = open_training_data(prepared, recipe, seed=1)
    seen: list[list[float]] = []
    for sees in (True, False):
        trainee = cost.opened_trainee(prepared, plan, recipe, None)
        own = session.Session(prepared, trainee, data, recipe, seed=1, steps=9)
        with own.generators.in_use():
            for step in range(3):
                own.see(step) if sees else own.step(step, 0.0)
        seen.append(own.seen[2:].tolist())
        if sees and method == "finetune":
            assert all(item.grad is None for item in own.trainee.model.parameters())
    assert seen[0] == seen[1]
    assert seen[0][0] > 0


def test_a_rate_for_few_steps_is_found_in_little_more_time_than_they_take(
    subjects: Subjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 steps of 128 scenes waited for 160 of the range test."""
    prepared, recipe = subjects["plain"], TrainingRecipe(lr=None, batch_size=64, steps=5)
    counts: list[int] = []
    original = session.Session._add_gradients

    def counted(own: session.Session, batches: Any, samples: int, *args: Any, **given: Any) -> None:
        counts.append(samples)
        original(own, batches, samples, *args, **given)

    monkeypatch.setattr(session.Session, "_add_gradients", counted)
    updates = trained(prepared, recipe)
    assert updates[-1].is_done
    # Three timed steps, then two models see each batch of the test, then the training.
    assert set(counts[3:-5]) == {16}
    assert counts[:3] == counts[-3:] == [64] * 3


def test_accumulated_batches_equal_a_large_one(subjects: Subjects) -> None:
    """Where no batch norm is; equal up to rounding."""
    large = TrainingRecipe(lr=0.05, batch_size=16, steps=8, selection=0.0)
    small = dataclasses.replace(large, batch_size=4, accumulate=4)
    one, other = (learned(trained(subjects["plain"], recipe)) for recipe in (large, small))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-6)


def test_the_pruned_layers_move_and_the_dense_model_does_not(subjects: Subjects) -> None:
    """Known trap: an optimizer that still holds the old parameters trains nothing."""
    prepared = subjects["normed"]
    before, state = checksum(prepared.model), torch.get_rng_state()
    start = recover_plan(prepared, plan_of(prepared), method="lsq")
    first = Trainee(prepared, plan_of(prepared), start=start).recovery("").edit.tensors
    found = learned(trained(prepared, TrainingRecipe(**BASE), start=start))
    weights = [name for name, tensor in found.items() if tensor.dim() > 1]
    assert weights == ["0.weight", "3.weight", "7.weight"]
    for name in weights:
        known = first.get(name, prepared.evaluator.state[name])
        assert float((found[name] - known).abs().max()) > 1e-3
    # Batch norms learn as well, statistics included.
    assert {"1.weight", "1.running_mean", "1.running_var", "4.bias"} <= found.keys()
    assert checksum(prepared.model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_training_starts_from_the_repaired_weights(subjects: Subjects) -> None:
    prepared = subjects["normed"]
    start = recover_plan(prepared, plan_of(prepared), method="lsq")
    trainee = Trainee(prepared, plan_of(prepared), start=start)
    with torch.no_grad():
        outputs = trainee.model.eval()(prepared.subject.example)
        whole = prepared.evaluator.evaluate(
            prepared.evaluator.dense(prepared.subject.example), start.edit.tensors
        )
    torch.testing.assert_close(outputs, whole, rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_same_numbers_again(subjects: Subjects) -> None:
    recipe = TrainingRecipe(**BASE)
    one, again, other = (
        learned(trained(subjects["dropped"], recipe, seed=seed)) for seed in (1, 1, 2)
    )
    assert is_same(one, again)
    assert not is_same(one, other)


def test_a_diverging_training_says_so(subjects: Subjects) -> None:
    with pytest.raises(InputError, match=r"not finite at step .* lower the learning rate"):
        trained(subjects["plain"], TrainingRecipe(lr=1e30, batch_size=16, steps=9))


def test_reduced_precision(subjects: Subjects) -> None:
    """The processor trains in bfloat16; float16 needs a GPU, and is refused before a step."""
    half = TrainingRecipe(**BASE, precision="fp16")
    with pytest.raises(InputError, match="precision fp16 needs a GPU; the subject is on cpu"):
        trained(subjects["plain"], half)
    full, low = (
        learned(trained(subjects["normed"], TrainingRecipe(**BASE, precision=precision)))
        for precision in ("fp32", "bf16")
    )
    assert not is_same(full, low)
    for name, tensor in full.items():
        assert low[name].dtype == torch.float32
        torch.testing.assert_close(low[name], tensor, rtol=0.2, atol=0.05)


def test_float16_scales_its_loss(
    subjects: Subjects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The processor can, slowly; the scale is kept in the checkpoint."""
    monkeypatch.setattr(session, "HALF_DEVICES", ("cpu",))
    full, half = (TrainingRecipe(**BASE, precision=precision) for precision in ("fp32", "fp16"))
    one, other = (trained(subjects["normed"], recipe) for recipe in (full, half))
    losses = [[item.loss for item in updates[2:]] for updates in (one, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert losses[1] != losses[0]
    trained(subjects["normed"], half, folder=tmp_path, cancel=after(4))
    assert is_same(learned(trained(subjects["normed"], half, folder=tmp_path)), learned(other))


# --- how long it takes -----------------------------------------------------------------------


def test_minutes_become_steps_once(
    subjects: Subjects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are kept in the checkpoint: a resumed training has as many, however fast it is then."""
    monkeypatch.setattr(cost, "timed", lambda make, count: (1.0, count))
    recipe = TrainingRecipe(lr=0.02, batch_size=16, minutes=0.2)
    assert training_cost(subjects["plain"], plan_of(subjects["plain"]), recipe).steps == 12
    whole = trained(subjects["plain"], recipe)
    assert whole[1].steps == 12
    assert whole[1].eta_seconds == 12
    stopped = trained(subjects["plain"], recipe, folder=tmp_path, cancel=after(5))
    monkeypatch.setattr(cost, "timed", lambda make, count: (0.1, count))
    assert stopped[-1].steps == 12
    assert not stopped[-1].is_done
    rest = trained(subjects["plain"], recipe, folder=tmp_path)
    assert rest[-1].steps == rest[-1].step == 12
    assert is_same(learned(rest), learned(whole))


def test_it_stops_when_nothing_is_gained_and_keeps_the_best(subjects: Subjects) -> None:
    """At a rate of nearly nothing the start is never beaten: 4 steps are an epoch."""
    recipe = TrainingRecipe(lr=1e-12, batch_size=16, epochs=20, patience=2)
    updates = trained(subjects["plain"], recipe)
    looks = [item.step for item in updates if item.selection is not None and not item.is_done]
    assert looks == [0, 4]
    assert (updates[-1].step, updates[-1].steps, updates[-1].is_done) == (8, 80, True)
    assert updates[-1].keeps_start
    first = learned(
        trained(subjects["plain"], dataclasses.replace(recipe, patience=None, epochs=1))
    )
    assert first.keys() == learned(updates).keys()


# --- stopped and taken up again --------------------------------------------------------------


def curves(folder: Path) -> list[dict[str, Any]]:
    """Return a history without what hangs on the clock."""
    clock = ("seconds", "images_per_second", "eta_seconds")
    points = [point.to_dict() for point in read_history(folder / HISTORY)]
    return [{key: item for key, item in point.items() if key not in clock} for point in points]


@pytest.mark.parametrize(
    ("model", "granularity", "fields"),
    [
        ("dropped", "channel", {"schedule": "one_cycle", "ema": 0.9}),
        ("dropped", "element", {"optimizer": "adamw", "schedule": "step", "patience": 3}),
        ("normed", "2:4", {"schedule": "linear", "accumulate": 2, "distill": 0.5}),
        ("dropped", "block:1x2", {"schedule": "constant", "clip_norm": 0.1, "precision": "bf16"}),
        ("dropped", "channel", {"augment": ("flip", "shift"), "epochs": 2.5, "steps": None}),
    ],
)
def test_a_resumed_training_equals_one_that_ran_through(
    subjects: Subjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    granularity: str,
    fields: dict[str, Any],
) -> None:
    """Bit for bit, and its curves as well, also where it is stopped between two of their points."""
    monkeypatch.setattr(loop, "POINTS", 3)
    monkeypatch.setattr(loop, "LOOKS", 3)
    recipe = TrainingRecipe(**{**BASE, **fields})
    options = {"prepared": subjects[model], "recipe": recipe, "granularity": granularity}
    whole = trained(folder=tmp_path / "whole", **options)
    for stop in (1, 4):
        part = trained(folder=tmp_path / "part", cancel=after(stop), **options)
        assert part[-1].stage == "stopped"
        assert part[-1].step < whole[-1].step
        torch.rand(7)
    rest = trained(folder=tmp_path / "part", **options)
    assert rest[0].step == part[-1].step > 0
    assert is_same(learned(rest), learned(whole))
    assert curves(tmp_path / "part") == curves(tmp_path / "whole")


def test_a_training_can_be_cancelled_before_its_first_step(
    subjects: Subjects, tmp_path: Path
) -> None:
    found = trained(subjects["plain"], TrainingRecipe(**BASE), folder=tmp_path, cancel=after(0))
    assert [item.stage for item in found] == ["timing", "training", "stopped"]
    assert [item.step for item in found] == [0, 0, 0]
    assert trained(subjects["plain"], TrainingRecipe(**BASE), folder=tmp_path)[-1].is_done


def test_a_training_draws_from_generators_of_its_own() -> None:
    """Of torch, of Python and of NumPy; those of the process are found as they were."""
    draws = (lambda: float(torch.rand(())), random.random, np.random.rand)
    before = [torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()]  # noqa: NPY002
    flags = (cudnn.deterministic, cudnn.benchmark)
    own = Generators(7, torch.device("cpu"))
    with own.in_use():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
        [draw() for draw in draws]
        state = own.state()
        first = [draw() for draw in draws]
    again = Generators(8, torch.device("cpu"))
    again.load_state(state)
    with again.in_use():
        assert [draw() for draw in draws] == first
    after_all = [torch.get_rng_state(), random.getstate(), np.random.get_state()[1]]  # noqa: NPY002
    assert torch.equal(before[0], after_all[0])
    assert before[1] == after_all[1]
    assert np.array_equal(before[2], after_all[2])
    assert flags == (cudnn.deterministic, cudnn.benchmark)


def test_a_finished_training_is_not_done_again(subjects: Subjects, tmp_path: Path) -> None:
    recipe = TrainingRecipe(**BASE)
    whole = trained(subjects["plain"], recipe, folder=tmp_path)
    again = trained(subjects["plain"], recipe, folder=tmp_path)
    assert [item.step for item in again] == [9, 9]
    assert is_same(learned(again), learned(whole))
    other = trained(subjects["plain"], dataclasses.replace(recipe, lr=0.03), folder=tmp_path)
    assert other[1].step == 0


def test_a_damaged_checkpoint_is_no_more_than_a_missing_one(
    subjects: Subjects, tmp_path: Path
) -> None:
    recipe = TrainingRecipe(**BASE)
    trained(subjects["plain"], recipe, folder=tmp_path, cancel=after(4))
    (tmp_path / FILE).write_bytes(b"\0" * 100)
    assert trained(subjects["plain"], recipe, folder=tmp_path)[1].step == 0


KILLED = """
import sys
from pathlib import Path
import torch
from analysis.recovery.training import TrainingRecipe, iter_training
from tests.helpers.trainable import opened, plan_of

# As in the tests: with more threads sums are rounded in another order.
torch.set_num_threads(1)
folder = Path(sys.argv[1])
prepared = opened(folder, "dropped")
recipe = TrainingRecipe.from_json(sys.argv[2])
options = {"folder": folder / "killed", "checkpoint_seconds": 0.0}
for _ in iter_training(prepared, plan_of(prepared), recipe, seed=1, **options):
    pass
"""


def test_a_killed_training_loses_one_interval_at_most(tmp_path: Path) -> None:
    """Here an interval is a step: nothing is lost that the history tells, but its last line."""
    recipe = TrainingRecipe(lr=0.02, batch_size=16, steps=150)
    history = tmp_path / "killed" / HISTORY
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), recipe.to_json()])
    limit = time.monotonic() + 120
    while not history.exists() or history.read_text().count("\n") < 5:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    told = history.read_text().splitlines()
    prepared = opened(tmp_path, "dropped")
    rest = trained(prepared, recipe, folder=tmp_path / "killed")
    assert 4 <= len(told) - 1 <= rest[0].step < 150
    whole = trained(prepared, recipe, folder=tmp_path / "whole")
    assert is_same(learned(rest), learned(whole))
    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
