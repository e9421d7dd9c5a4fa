"""What a device that is not there shows: nothing is mixed with the processor's, no edit waits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from analysis.edits import PreparedSubject, prepare
from analysis.engine.recording import Recorder
from analysis.measuring import EditRunner, measure
from analysis.records import PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from pruners.capture import capture
from pruners.groups import CostModel, block_influence, find_structure
from tests.gpu import test_cuda
from tests.helpers.fused_kernels import Call, fused_kernels, hiding
from tests.helpers.pretended_device import OnDevice, pretended_device
from tests.helpers.task_subjects import WHERE
from tests.helpers.user_models import AsData

SEVERAL = "benchmarks.gpu_check.several"
SUBJECTS = {
    "several inputs": SubjectSpec(model=f"{SEVERAL}:model", data=f"{SEVERAL}:items"),
    **{
        task: SubjectSpec(model=f"{WHERE}:{model}", data=f"{WHERE}:{data}", task=task)
        for task, model, data in (
            ("detection", "detection", "detection_data"),
            ("segmentation", "segmentation", "segmentation_data"),
            ("language_modelling", "language_modelling", "language_modelling_data"),
            ("token_classification", "language_modelling", "entities_data"),
        )
    },
}


def opened(name: str, device: str) -> PreparedSubject:
    spec = dataclasses.replace(
        SUBJECTS[name], device=device, samples=32, calibration_samples=16, batch_size=16
    )
    return prepare(load_subject(spec))


def swept(prepared: PreparedSubject, **changes: Any) -> dict[PointKey, Sums]:
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1", "taylor"), ratios=(0.3, 0.6))
    *_, update = iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, **changes)))
    assert not update.failed
    return update.sums


def waits(prepared: PreparedSubject, share: int, counts: dict[str, int]) -> int:
    """Return what waits on a slice while every so many of the edits are measured."""
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.2, 0.4, 0.6, 0.8))
    planned = plan_sweep(prepared, spec)
    items = [item for item in planned.grid.items if item.names][::share]
    runner = EditRunner(prepared, names=[item.names for item in items])
    edits = {item: (lambda item=item: item.edit(prepared)) for item in items}
    for _ in range(3):
        before = sum(counts.values())
        (found,) = measure(
            prepared, edits, [planned.slices.read(0)], prepared.subject.task, runner=runner
        )
        assert len(found.sums) == len(items)
    return sum(counts.values()) - before


@pytest.mark.parametrize(
    "name",
    [
        "several inputs",
        *(pytest.param(task, marks=pytest.mark.nightly) for task in list(SUBJECTS)[1:]),
    ],
)
def test_tables_are_those_of_the_processor_and_no_edit_waits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For trees of inputs, integers and masks, text, pixels and boxes."""
    here = opened(name, "cpu")
    expected = {precision: swept(here, precision=precision) for precision in ("float32", "bf16")}
    # Recorded at the second use, whatever the time.
    monkeypatch.setattr("analysis.engine.recording.BOUND", 1e9)
    with pretended_device() as counts:
        there = opened(name, "cuda")
        assert isinstance(there.evaluator._recorder, Recorder)
        assert all(isinstance(item, OnDevice) for item in there.model.parameters())
        for precision, table in expected.items():
            found = swept(there, precision=precision)
            assert found.keys() == table.keys()
            for key, sums in found.items():
                assert dict(sums.terms) == pytest.approx(dict(table[key].terms), rel=1e-4, abs=1e-3)
        assert any(there.evaluator._recorder._recordings.values())
        assert waits(there, 1, counts) <= waits(there, 2, counts)


def test_the_stand_in_refuses_what_a_device_would() -> None:
    with pretended_device() as counts:
        there = torch.ones(3).to("cuda")
        assert there.device.type == "cuda"
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(AssertionError, match="numpy"):
            there.numpy()
        before = sum(counts.values())
        assert (there * 2).sum() == 6
        assert there[there > 0].tolist() == [1, 1, 1]
        assert sum(counts.values()) == before + 3
    assert torch.ones(3).device.type == "cpu"


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """Stand in for a card with its kernels; yield which of them were called."""
    for name in ("synchronize", "set_sync_debug_mode"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    test_cuda.opened.cache_clear()
    with fused_kernels(hiding) as seen, pretended_device():
        yield seen
    test_cuda.opened.cache_clear()


@pytest.mark.nightly
@pytest.mark.parametrize(
    "test",
    [
        *(
            partial(test_cuda.test_fused_kernels_hide_nothing_that_is_no_number, bad, "tf32", dtype)
            for bad, dtype in ((torch.nan, None), (torch.inf, torch.float16))
        ),
        partial(test_cuda.test_the_table_is_that_of_the_cpu_whatever_the_flags, "resnet20"),
        partial(test_cuda.test_reduced_precisions_give_the_same_answers, "resnet20", "fp16"),
        partial(test_cuda.test_reduced_precisions_give_the_same_answers, "vit_tiny", "bf16"),
        test_cuda.test_nothing_waits_between_the_edits_of_a_slice,
        test_cuda.test_few_samples_through_the_whole_program,
        test_cuda.test_live_edits_give_the_numbers_of_the_cpu,
    ],
    ids=lambda test: getattr(test, "func", test).__name__,
)
def test_what_is_tested_on_a_card_holds_on_the_stand_in(
    test: Callable[[], None], card: list[Call]
) -> None:
    """So that those tests themselves are run where there is no card."""
    test()
    assert card or "vit" in str(test)


def test_what_the_data_decide_is_counted_on_the_device() -> None:
    """The captured graph is the processor's, and makes its tensors there."""
    torch.manual_seed(0)
    model, example = AsData().eval().requires_grad_(False), torch.randn(6, 5)
    here = CostModel(find_structure(model, capture(model, example), example)).layers()
    with pretended_device():
        there, inputs = model.to("cuda"), example.to("cuda")
        structure = find_structure(there, capture(there, inputs), inputs)
        assert CostModel(structure).layers() == here


class Block(nn.Module):
    """Layers beside a skip, and a tensor that the code makes where its inputs are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) + torch.arange(8, device=x.device)
        return self.last(x + self.inner(x).relu())


def test_influence_is_found_on_the_device() -> None:
    """The captured graph is the processor's, and made its tensors there."""
    torch.manual_seed(0)
    model, example = Block().eval().requires_grad_(False), torch.randn(6, 5)
    structure = find_structure(model, capture(model, example), example)
    here = block_influence(model, structure, [(example, None)])
    assert here
    with pretended_device():
        there, inputs = model.to("cuda"), example.to("cuda")
        structure = find_structure(there, capture(there, inputs), inputs)
        assert block_influence(there, structure, [(inputs, None)]) == pytest.approx(here)
