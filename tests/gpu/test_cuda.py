"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from analysis.edits import PreparedSubject, prepare
from analysis.engine.convolutions import Fusing
from analysis.engine.program import Program
from analysis.engine.recording import Recorder
from analysis.evaluation import LiveEvaluator
from analysis.measuring import EditRunner, Slices
from analysis.measuring.loop import _SliceWork
from analysis.records import Plan, PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from pruners.float32 import Float32, float32

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
NAMES = ("resnet20", "mobilenet_small", "vit_tiny")


@functools.cache
def opened(name: str, device: str = "cuda", *, batch_size: int | None = None) -> PreparedSubject:
    return prepare(
        load_subject(
            SubjectSpec(
                model=f"sample:{name}",
                data="sample:fashion-mnist",
                samples=300,
                batch_size=batch_size,
                device=device,
                calibration_samples=64,
            )
        )
    )


def swept(prepared: PreparedSubject, **changes: object) -> dict[PointKey, Sums]:
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1", "taylor"), ratios=(0.2, 0.5))
    *_, update = iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, **changes)))  # type: ignore[arg-type]
    assert not update.failed
    return update.sums


def differing(first: dict[PointKey, Sums], second: dict[PointKey, Sums]) -> int:
    assert first.keys() == second.keys()
    return sum(abs(first[key].count("correct") - second[key].count("correct")) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_that_of_the_cpu_whatever_the_flags(name: str) -> None:
    torch.set_float32_matmul_precision("high")
    try:
        found = swept(opened(name))
    finally:
        torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(8)
    assert differing(found, swept(opened(name, "cpu"))) <= 1
    assert all(sums.seconds > 0 for sums in found.values())


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("name", [*NAMES, "vgg_small", "densenet_small"])
def test_fused_kernels_multiply_in_full_whatever_the_flags(name: str, channels_last: bool) -> None:
    prepared, other = opened(name), opened(name, "cpu")
    assert prepared.graph is not None
    graph = prepared.graph.on("cuda")
    tensors = graph.tensors(prepared.model)
    program = Program(graph, tensors, channels_last=channels_last, fuse=Fusing.SUMS)
    assert other.subject.evaluation is not None
    inputs = other.subject.evaluation.part(0, 64)[0]
    torch.set_float32_matmul_precision("high")
    try:
        with torch.inference_mode(), float32():
            values = program.run(program.whole(), program.prepare(inputs.to("cuda")))
    finally:
        torch.set_float32_matmul_precision("highest")
    expected = other.evaluator.outputs(inputs, {})
    scale = expected.abs().max()
    # TF32 would be off by about 1e-3.
    assert (values[program.output].cpu() - expected).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", ["ieee", "tf32"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_fused_kernels_hide_nothing_that_is_no_number(
    bad: float, mode: Float32, dtype: torch.dtype | None
) -> None:
    """In TF32, kernels of 1x1 convolutions were seen to turn NaN into 0."""
    for name in ("resnet20", "mobilenet_small"):
        prepared = opened(name)
        assert prepared.graph is not None
        graph = prepared.graph.on("cuda")
        tensors = graph.tensors(prepared.model)
        fused, plain = (
            Program(graph, tensors, fuse=fuse, dtype=dtype)
            for fuse in (Fusing.SUMS, Fusing.NOTHING)
        )
        inputs = torch.randn(70, *prepared.subject.example.shape[1:], device="cuda")
        broken = inputs.clone()
        broken[1, 0, 3, 3] = bad
        with torch.inference_mode(), float32(mode):
            for step in (None, *fused.steps[:12:2], fused.steps[-4]):
                edit = {}
                if step is not None and step.state:
                    edit[step.state[0]] = prepared.evaluator.state[step.state[0]].clone()
                    edit[step.state[0]][0] = bad
                given = inputs if edit else broken
                found, expected = (
                    item.run(item.whole(), item.prepare(given), item.edited(edit))[item.output]
                    for item in (fused, plain)
                )
                assert torch.equal(found.isfinite(), expected.isfinite()), (name, step)
                assert not torch.isnan(torch.tensor(bad)) or not found.isfinite().all()


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_reduced_precisions_give_the_same_answers(name: str, precision: str) -> None:
    prepared = opened(name)
    exact = swept(prepared)
    answers = sum(sums.samples for sums in exact.values())
    assert differing(swept(prepared, precision=precision), exact) <= answers / 2000


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_waits_between_the_edits_of_a_slice() -> None:
    prepared = opened("resnet20")
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.6))
    planned = plan_sweep(prepared, spec)
    items = [item for item in planned.grid.items if item.names]
    runner = EditRunner(prepared, names=[item.names for item in items])
    whole = planned.slices.read(0)
    edits = {item: (lambda item=item: item.edit(prepared)) for item in items}
    for turn in range(4):
        work = _SliceWork(edits, prepared.subject.task, runner, lambda: False, None)
        torch.cuda.synchronize()
        # The first turns choose kernels and record.
        torch.cuda.set_sync_debug_mode("error" if turn > 1 else "default")
        try:
            assert work.run(whole)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert not work.measured().failed


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_recorded_parts_give_what_steps_give(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = opened("mobilenet_small")
    evaluator = prepared.evaluator_at(precision)
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.6))
    items = [item for item in plan_sweep(prepared, spec).grid.items if item.names]
    monkeypatch.setattr("analysis.engine.recording.BOUND", 1e9)
    recorder = evaluator._recorder
    assert recorder is not None
    assert prepared.subject.evaluation is not None
    slices = Slices(prepared.subject.evaluation, 100)
    expected = {}
    for number in range(3):
        batch = evaluator.dense(slices.read(number).inputs)
        for item in items:
            edit = item.edit(prepared).tensors
            evaluator._recorder = None
            expected[number, item] = evaluator.provisional(batch, edit)
            evaluator._recorder = recorder
            found = evaluator.provisional(batch, edit)
            torch.cuda.synchronize()
            torch.testing.assert_close(found, expected[number, item], rtol=1e-4, atol=1e-4)
    assert any(item is not None for item in recorder._recordings.values())


def test_few_samples_through_the_whole_program() -> None:
    prepared = opened("resnet20")
    program = prepared.evaluator.program
    assert program is not None
    recorder = Recorder(program)
    inputs = torch.randn(37, *prepared.subject.example.shape[1:], device="cuda")
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.6))
    for _ in range(3):
        for item in plan_sweep(prepared, spec).grid.items[:4]:
            edit = item.edit(prepared).tensors
            with torch.inference_mode():
                found = recorder.whole(inputs, prepared.evaluator.spread(edit))
            torch.cuda.synchronize()
            expected = prepared.evaluator.forward(inputs, edit)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert recorder.whole(inputs.repeat(100, 1, 1, 1), {}) is None


def test_live_edits_give_the_numbers_of_the_cpu() -> None:
    results = []
    for device in ("cuda", "cpu"):
        prepared = opened("resnet20", device)
        live = LiveEvaluator(prepared)
        plan = Plan(subject=prepared.subject.spec, fingerprint="", entries=())
        results.append(list(live.evaluate(plan))[-1])
    assert results[0].sums["correct"] == results[1].sums["correct"]
    assert results[0].is_final


def test_memory_that_runs_out_halves_the_parts() -> None:
    prepared = opened("resnet20")
    assert prepared.subject.evaluation is not None
    whole = Slices(prepared.subject.evaluation, 300).read(0)
    runner = EditRunner(prepared)
    runner.max_samples = None
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    # A value of all samples takes 15 MB, and three are needed at once: too many for two of them.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**25) / total)
    try:
        work = _SliceWork({}, prepared.subject.task, runner, lambda: False, None)
        assert work.run(whole)
        assert work.measured().baseline.samples == 300
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert runner.max_samples is not None
