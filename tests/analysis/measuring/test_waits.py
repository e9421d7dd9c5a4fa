"""Nothing in the measuring loop waits for a device: it is asked once a slice."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.edits import Edit
from analysis.engine.weights import Weights
from analysis.measuring import EditRunner, Slices
from analysis.measuring.loop import _PartWork, _SliceWork
from analysis.records import SweepSpec
from analysis.sweeps import plan_sweep
from analysis.tasks import Classification
from pruners.float32 import FLAGS
from tests.helpers.contexts import sample_context, sample_spec

# What makes the processor wait for a number that a device has.
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")


class NoWaits(TorchDispatchMode):
    """Stands in for a device: raises where one would be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: set[str] = set()
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).split(".")[1]
        assert name not in WAITING, f"{name} waits for the device"
        if name in ("convolution", "conv2d", "addmm", "mm", "linear", "bmm"):
            self.products += 1
            self.modes |= {flag.fp32_precision for flag in FLAGS}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_small", "vit_tiny"])
@pytest.mark.parametrize("granularity", ["channel", "element"])
def test_no_edit_waits_and_all_products_are_in_full(
    name: str, granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = sample_context(name)
    subject = sample_spec(name)
    spec = SweepSpec(subject=subject, criteria=("l1",), ratios=(0.3, 0.6), granularity=granularity)
    planned = plan_sweep(prepared, spec)
    items = [item for item in planned.grid.items if item.names]
    # Columns are left out on a CPU only; finding them would wait.
    monkeypatch.setattr(Weights, "_may_skip", lambda *_: False)
    torch.set_float32_matmul_precision("medium")
    try:
        runner = EditRunner(prepared, names=[item.names for item in items])
        edits = {item: (lambda item=item: item.edit(prepared)) for item in items}
        work = _SliceWork(edits, prepared.subject.task, runner, lambda: False, None)
        whole = Slices(planned.slices._split, 64).read(0)
        with NoWaits() as watched:
            assert work.run(whole)
        measured = work.measured()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not measured.failed
    assert len(measured.sums) == len(items)
    assert watched.products > len(items)
    assert watched.modes == {"ieee"}


def test_the_stand_in_sees_waits() -> None:
    with NoWaits():
        for work in (lambda: bool(torch.ones(1)), lambda: torch.ones(2).nonzero()):
            with pytest.raises(AssertionError, match="waits for the device"):
                work()


class Hungry(nn.Module):
    """Runs out of memory with more than so many samples."""

    def __init__(self, model: nn.Module, most: int) -> None:
        super().__init__()
        self.model, self.most = model, most

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        outputs: torch.Tensor = self.model(inputs)
        return outputs


@pytest.mark.parametrize("most", [63, 20, 2])
def test_a_part_that_does_not_fit_is_halved_and_nothing_is_lost(most: int) -> None:
    prepared = sample_context("lenet5")
    split = prepared.subject.evaluation
    assert split is not None
    task = prepared.subject.task
    edits = {"dense": Edit(), "hungry": Hungry(prepared.model, most)}
    runner = EditRunner(prepared)
    work = _SliceWork(edits, task, runner, lambda: False, None)
    assert work.run(Slices(split, 64).read(0))
    measured = work.measured()
    assert not measured.failed
    assert measured.sums["hungry"].samples == 64
    assert runner.max_samples is not None
    assert runner.max_samples <= most
    expected = measured.baseline
    for sums in measured.sums.values():
        assert sums["correct"] == expected["correct"]
        assert sums["loss"] == pytest.approx(expected["loss"])


def test_memory_that_does_not_suffice_for_one_sample_is_told() -> None:
    prepared = sample_context("lenet5")
    split = prepared.subject.evaluation
    assert split is not None
    edits = {"hungry": Hungry(prepared.model, 0)}
    work = _SliceWork(edits, prepared.subject.task, EditRunner(prepared), lambda: False, None)
    with pytest.raises(torch.OutOfMemoryError):
        work.run(Slices(split, 8).read(0))


def test_auto_batches_and_limits() -> None:
    prepared = sample_context("lenet5")
    assert dataclasses.replace(prepared.subject.spec, batch_size=None).batch_size is None
    assert prepared.batch_size == 64


@pytest.mark.parametrize("labelled", [True, False])
def test_vectors_of_many_edits_at_once_are_those_of_each(labelled: bool) -> None:
    prepared = sample_context("lenet5")
    split = prepared.subject.evaluation
    assert split is not None
    whole = Slices(split, 64).read(0)
    part = whole if labelled else dataclasses.replace(whole, targets=None)
    task = prepared.subject.task
    work: _PartWork[int] = _PartWork(part, task, EditRunner(prepared), keep=False)
    dense = work.opened.dense
    outputs = [dense * scale + shift for scale, shift in ((1.0, 0.0), (-1.0, 2.0), (0.1, 1.0))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = work._vectors([*outputs, dense * torch.nan])
    for item, vector in zip(outputs, found, strict=False):
        torch.testing.assert_close(
            vector, task.vector(dense, item, part.targets), rtol=1e-12, atol=0
        )
    assert not torch.isfinite(found[-1]).all()


def test_a_task_that_cannot_be_batched_is_counted_one_by_one() -> None:
    prepared = sample_context("lenet5")
    split = prepared.subject.evaluation
    assert split is not None

    class Looking(Classification):
        def vector(self, dense, outputs, targets, groups=None) -> torch.Tensor:
            assert float(outputs.sum()) == float(outputs.sum())
            return super().vector(dense, outputs, targets, groups)

    part = Slices(split, 64).read(0)
    work: _PartWork[int] = _PartWork(part, Looking(), EditRunner(prepared), keep=False)
    dense = work.opened.dense
    found = work._vectors([dense, -dense])
    assert torch.equal(found[1], Classification().vector(dense, -dense, part.targets))
