"""The pruned model in 8 bits beside float32 and dense, all in ONNX Runtime."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from analysis import runtimes
from analysis.edits import PreparedSubject
from analysis.measuring import EditRunner, Slice, Slices, compare_latency, measure
from analysis.plans import removed_model, require_fit
from analysis.records import (
    DENSE,
    INT8,
    REMOVED,
    DeployedModel,
    Deployment,
    Latency,
    OnProgress,
    Plan,
    Progress,
    Sums,
)
from analysis.recovery import Recovery, recovered_model
from analysis.tasks import Task
from pruners.errors import InputError


class _Alike:
    """How far 8 bits are from float32, collected batch by batch."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._vector: Tensor | None = None
        self.same = 0
        self.difference = 0.0

    def add(self, dense: Tensor, outputs: Mapping[str, Tensor], part: Slice) -> None:
        if INT8 in outputs and REMOVED in outputs:
            exact, found = outputs[REMOVED], outputs[INT8]
            truth = self._task.own_targets(dense) if part.targets is None else part.targets
            row = self._task.vector(exact, found, truth, part.groups).double().cpu()
            self._vector = row if self._vector is None else self._vector + row
            self.same += int(self._task.agree(exact, found).sum())
            self.difference = max(self.difference, runtimes.relative_difference(found, exact))

    @property
    def agreement(self) -> float | None:
        """Share of answers that both give."""
        assert self._vector is not None
        return self._task.agreement(self._task.sums(self._vector.tolist()))


def deploy_plan(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    recovery: Recovery | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    latency_seconds: float = 5.0,
    latency_batch: int | None = None,
    progress: OnProgress | None = None,
) -> Deployment:
    """Measure dense, pruned, and pruned in 8 bits on the whole evaluation subset in ONNX Runtime.

    Args:
        prepared: The subject. Its calibration samples say the ranges of activations.
        plan: The plan.
        recovery: The plan repaired or trained: then that model is taken.
        batch_size: Samples per batch; that of the subject by default.
        confidence: Of all intervals.
        latency_seconds: Time for the latency measurement of all three, in turn; 0 leaves it out.
        latency_batch: Samples per timed pass; that of the evaluation by default.
        progress: Told after each batch, in samples.

    Raises:
        PlanError: The plan does not fit the subject.
        InputError: There is no evaluation data, or no calibration data.
        UnsupportedError: The extra ``onnx`` is not installed, or a model does not go into ONNX or
            into 8 bits.
    """
    require_fit(prepared, plan)
    split = prepared.subject.evaluation
    if split is None:
        raise InputError("a plan is evaluated on data, but the subject has none: give --data")
    slices = Slices(split, batch_size or prepared.batch_size)
    files = _files(prepared, plan, recovery)
    models: dict[str, nn.Module] = {
        name: runtimes.OnnxModel(content) for name, content in files.items()
    }
    task = prepared.subject.task
    alike = _Alike(task)
    sums = {name: Sums() for name in files}
    runner = EditRunner(prepared, names=[])
    for found in measure(prepared, models, slices, task, runner=runner, observe=alike.add):
        for name in sums:
            sums[name] += found.require(name)
        if progress is not None:
            progress(Progress(sums[DENSE].samples, slices.total, "samples"))
    inputs = slices.read(0).inputs.cpu()[:latency_batch]
    latency = (
        compare_latency(models, inputs, seconds=latency_seconds) if latency_seconds > 0 else {}
    )
    measured = {
        name: _model(name, task, sums[name], content, latency.get(name), confidence=confidence)
        for name, content in files.items()
    }
    return Deployment(
        runtime=runtimes.version_of("onnxruntime"),
        calibration=len(prepared.subject.calibration or ()),
        dense=measured[DENSE],
        removed=measured[REMOVED],
        int8=measured[INT8],
        same_answers=alike.same,
        difference=alike.difference,
        agreement=alike.agreement,
    )


def _files(prepared: PreparedSubject, plan: Plan, recovery: Recovery | None) -> dict[str, bytes]:
    """Return the three models as ONNX; the dense one is written once a subject."""
    runtimes.require_int8(prepared)
    example = prepared.subject.example
    small = (
        removed_model(prepared, plan) if recovery is None else recovered_model(prepared, recovery)
    )
    pruned = runtimes.as_onnx(small, example)
    return {
        DENSE: prepared.once(_files, lambda: runtimes.as_onnx(prepared.model, example)),
        REMOVED: pruned,
        INT8: runtimes.quantized_onnx(pruned, partial(runtimes.calibration_inputs, prepared)),
    }


def _model(
    name: str,
    task: Task,
    sums: Sums,
    content: bytes,
    latency: Latency | None,
    *,
    confidence: float,
) -> DeployedModel:
    return DeployedModel(
        name=name,
        sums=sums,
        # The dense model is the one that it is compared with, whatever runs it.
        **task.reading(sums, confidence, is_dense=name == DENSE),
        file_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, mtime=0)),
        zeros=runtimes.count_zeros(content),
        latency=latency,
    )
