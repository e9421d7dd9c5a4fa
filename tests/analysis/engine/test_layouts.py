"""On a device other than the processor, layouts are timed before the first batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from analysis.engine import profile
from analysis.engine.compiling import Compiled, Way, fastest
from analysis.engine.convolutions import Fusing
from analysis.engine.evaluator import Evaluator
from analysis.engine.precisions import ReducedEvaluator
from analysis.engine.profile import Profile
from pruners.capture import capture


class Elsewhere(Tensor):
    """Says that it is on another device."""

    device = torch.device("meta")  # type: ignore[assignment]


def evaluator_of(model: nn.Module, example: Tensor, device: type[Tensor] = Elsewhere) -> Evaluator:
    model = model.eval().requires_grad_(False)
    return Evaluator(model, capture(model, example), example=example.as_subclass(device))


def images() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten())


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Which layouts were timed, channels-last or not; the other one is faster."""
    found: list[bool] = []

    def pass_seconds(self: Profile, copies: int) -> float:
        assert self.program is not None
        found.append(self.program.channels_last)
        return 1.0 + self.program.channels_last

    monkeypatch.setattr(Profile, "pass_seconds", pass_seconds)
    return found


@pytest.mark.parametrize("first", ["dense", "outputs"])
def test_the_first_batch_chooses_and_no_later_one(first: str, timed: list[bool]) -> None:
    model, inputs = images(), torch.randn(5, 3, 8, 8)
    evaluator = evaluator_of(model, inputs[:2])
    assert evaluator.is_incremental
    assert timed == []
    edit = {"2.weight": model.state_dict()["2.weight"] * 2}
    if first == "outputs":
        torch.testing.assert_close(evaluator.outputs(inputs, {}), model(inputs))
    batch = evaluator.dense(inputs)
    assert sorted(timed) == [False, True]
    assert evaluator.program is not None
    assert not evaluator.program.channels_last
    torch.testing.assert_close(batch.outputs, model(inputs))
    torch.testing.assert_close(evaluator.evaluate(batch, edit), evaluator.forward(inputs, edit))
    evaluator.dense(inputs)
    assert len(timed) == 2


def test_all_ways_are_timed_on_as_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that keeps fewer values could take more of them, and would look slower."""
    seen: list[int] = []
    monkeypatch.setattr(Profile, "pass_seconds", lambda _, copies: seen.append(copies) or len(seen))
    monkeypatch.setattr(profile, "TIMED_BYTES", 1000)
    inputs = torch.randn(2, 3, 8, 8)
    program, example = evaluator_of(images(), inputs).program, inputs.as_subclass(Elsewhere)
    first, second = Way(True, True, Fusing.SUMS), Way(True, True, Fusing.RECTIFIERS)
    few, many = (Profile(program, example, {0: size}) for size in (10, 100))
    other = Compiled(second, program, many)
    found = Compiled(first, program, few, others={second: lambda: other})
    assert fastest(found) is found
    assert seen == [5, 5]


def test_another_evaluator_follows_without_timing(timed: list[bool]) -> None:
    """As in processes that share a sweep: all of them compute in the same way."""
    inputs = torch.randn(5, 3, 8, 8)
    first, second, third = (evaluator_of(images(), inputs[:2]) for _ in range(3))
    ways = first.ways()
    assert sorted(timed) == [False, True]
    second.follow(ways)
    outputs = [item.dense(inputs).outputs for item in (first, second)]
    assert len(timed) == 2
    assert second.program is not None
    assert not second.program.channels_last
    assert second.ways() == ways
    assert torch.equal(*outputs)
    third.follow([None])
    assert len(timed) == 4


def test_a_reduced_precision_follows_in_both(timed: list[bool]) -> None:
    inputs = torch.randn(5, 3, 8, 8)
    example = inputs[:2].as_subclass(Elsewhere)
    first, second = (
        ReducedEvaluator(
            exact := evaluator_of(images(), inputs[:2]),
            capture(exact.model, inputs[:2]),
            example,
            gaps=lambda outputs, _: outputs.amax(1),
        )
        for _ in range(2)
    )
    second.follow(first.ways())
    assert len(timed) == 4
    assert second.ways() == first.ways()
    assert len(first.ways()) == 2


def test_memory_that_runs_out_meanwhile_leaves_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is run in smaller parts then, as for any other lack of memory."""

    def hungry(self: Profile, copies: int) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Profile, "pass_seconds", hungry)
    model, inputs = images(), torch.randn(5, 3, 8, 8)
    evaluator = evaluator_of(model, inputs[:2])
    with pytest.raises(torch.OutOfMemoryError):
        evaluator.dense(inputs)
    torch.testing.assert_close(evaluator.dense(inputs).outputs, model(inputs))


@pytest.mark.parametrize(
    ("model", "example", "device"),
    [
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(2, 6), Elsewhere),
        (nn.Sequential(nn.Conv1d(2, 8, 3), nn.Flatten()), torch.randn(2, 2, 9), Elsewhere),
        (nn.Conv2d(3, 8, 3), torch.randn(2, 3, 8, 8), Tensor),
    ],
    ids=["vectors", "sounds", "processor"],
)
def test_what_has_one_layout_is_not_timed(
    model: nn.Module, example: Tensor, device: type[Tensor], timed: list[bool]
) -> None:
    evaluator = evaluator_of(model, example, device)
    torch.testing.assert_close(evaluator.dense(example).outputs, model(example))
    assert timed == []
