"""Recorded parts give what steps give; a stand-in for the GPU's tape runs the same work again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from analysis.engine.recording import FEWEST, MOST, Recorder, _Use
from analysis.measuring import Slices
from analysis.records import SweepSpec
from analysis.sweeps import plan_sweep
from analysis.sweeps.grid import Item
from tests.helpers.contexts import sample_context, sample_spec


class Bound(_Use):
    """A use that was bound by launches."""

    def __init__(self) -> None:
        pass

    def was_bound_by_launches(self) -> bool:
        return True


class StandIn:
    """A tape that writes into the same memory each time, as a CUDA graph does."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.recorded = self.replayed = 0

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded += 1
        # What the recording makes is garbage until it is replayed.
        output = torch.full_like(work(), float("nan"))

        def replay() -> None:
            self.replayed += 1
            output.copy_(work())

        return replay, output

    def timed(self, work: Callable[[], Tensor]) -> tuple[Tensor, _Use]:
        return work(), Bound()


def items_of(name: str) -> list[Item]:
    prepared = sample_context(name)
    spec = SweepSpec(subject=sample_spec(name), criteria=("l1",), ratios=(0.3, 0.6))
    return [item for item in plan_sweep(prepared, spec).grid.items if item.names]


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_small", "densenet_small", "vit_tiny"])
def test_recorded_parts_give_what_steps_give(name: str) -> None:
    prepared, items = sample_context(name), items_of(name)
    evaluator = prepared.evaluator
    program, split = evaluator.program, prepared.subject.evaluation
    assert program is not None
    assert split is not None
    tape = StandIn()
    recorder = Recorder(program, tape)  # type: ignore[arg-type]
    slices = Slices(split, 16)
    with torch.inference_mode():
        for number in (0, 1, 0, 2):
            inputs = slices.read(number).inputs
            # One tile, as on a GPU.
            start = program.prepare(inputs)
            known = {**start, **program.run(program.whole(), start)}
            owner = evaluator.dense(inputs)
            for item in items:
                edit = evaluator.spread(item.edit(prepared).tensors)
                part = program.part(edit)
                expected = program.run(part, known, program.edited(edit))[program.output]
                found = recorder.run(part, known, edit, owner=owner, samples=len(inputs))
                assert torch.equal(found, expected)
    assert 0 < tape.recorded < tape.replayed


@pytest.mark.parametrize("count", [1, 5, FEWEST, FEWEST + 1, MOST])
def test_few_samples_are_padded_and_the_padding_is_left_out(count: int) -> None:
    prepared, items = sample_context("lenet5"), items_of("lenet5")[::2]
    program = prepared.evaluator.program
    assert program is not None
    tape = StandIn()
    recorder = Recorder(program, tape)  # type: ignore[arg-type]
    inputs = torch.randn(count, *prepared.subject.example.shape[1:])
    with torch.inference_mode():
        for item in [*items, *items, *items]:
            edit = item.edit(prepared).tensors
            found = recorder.whole(inputs, edit)
            assert found is not None
            expected = prepared.evaluator.forward(inputs, edit)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        # Without an edit, too.
        for _ in range(3):
            found = recorder.whole(inputs, {})
            assert found is not None
            torch.testing.assert_close(found, prepared.model(inputs), rtol=1e-4, atol=1e-4)
    assert tape.replayed
    assert recorder.whole(inputs.new_zeros(MOST + 1, *inputs.shape[1:]), {}) is None


def test_what_cannot_be_recorded_is_run_step_by_step() -> None:
    prepared, items = sample_context("lenet5"), items_of("lenet5")
    program = prepared.evaluator.program
    assert program is not None
    tape = StandIn(refuses=True)
    recorder = Recorder(program, tape)  # type: ignore[arg-type]
    inputs = torch.randn(8, *prepared.subject.example.shape[1:])
    edit = items[0].edit(prepared).tensors
    with torch.inference_mode():
        for _ in range(4):
            found = recorder.whole(inputs, edit)
            assert found is not None
            torch.testing.assert_close(found, prepared.evaluator.forward(inputs, edit))
    assert not tape.replayed


def test_chosen_samples_and_batches_of_as_many_share_recordings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared, items = sample_context("vit_tiny"), items_of("vit_tiny")
    evaluator = prepared.evaluator
    assert evaluator.program is not None
    tape = StandIn()
    recorder = Recorder(evaluator.program, tape)  # type: ignore[arg-type]
    torch.manual_seed(0)
    # As many samples as the chosen ones are padded to.
    inputs = torch.randn(FEWEST, *prepared.subject.example.shape[1:])
    expected = {item: evaluator.forward(inputs, item.edit(prepared).tensors) for item in items}
    monkeypatch.setattr(evaluator, "_recorder", recorder)
    monkeypatch.setattr(type(evaluator), "tile_samples", None)
    batch = evaluator.dense(inputs)
    for places in ([0], [1, 5, 60], [2, 3], list(range(40))):
        samples = torch.tensor(places)
        for item in items:
            edit = item.edit(prepared).tensors
            found = evaluator.chosen(batch, samples, edit)
            torch.testing.assert_close(found, expected[item][samples], rtol=1e-4, atol=1e-4)
            found = evaluator.provisional(batch, edit)
            torch.testing.assert_close(found, expected[item], rtol=1e-4, atol=1e-4)
    assert 0 < tape.recorded <= len(items) < tape.replayed
