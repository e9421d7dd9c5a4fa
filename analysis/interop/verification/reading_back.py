"""The round-trip check: export, read everything back, rebuild in another process, compare."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from analysis import runtimes
from analysis.curves import for_files
from analysis.edits import PreparedSubject
from analysis.interop.formats.runtimes import onnx
from analysis.interop.formats.script import SCRIPT, WEIGHTS
from analysis.interop.formats.smaller_model import export_model
from analysis.interop.formats.tables import export_csv, export_json
from analysis.interop.request import ExportRequest
from analysis.interop.verification.records import Check
from analysis.plans import compact, meter, pruned_entries, read_plan, resolve
from analysis.records import Count, Document, Plan, Sums, decode_json
from analysis.recovery import Recovery
from analysis.sentences import plural
from analysis.tasks import Task
from pruners.batches import Inputs, joined, parts_of
from pruners.calls import as_batch
from pruners.errors import InputError
from pruners.float32 import strict
from pruners.granularity import parse

# The other process gets its samples as a file; large subjects are compared on fewer samples.
MAX_BYTES = 256 * 2**20
SECONDS = 600
# What runs there: it imports the exported script and torch, nothing of this program.
DRIVER = """
import importlib.util, json, sys
import torch
script, samples, outputs, threads, batch = sys.argv[1:]
torch.set_num_threads(int(threads))
spec = importlib.util.spec_from_file_location("rebuild", script)
rebuild = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rebuild)
model = rebuild.load()
tensors = rebuild.read_safetensors(samples)[0]
inputs = [tensors[str(at)] for at in range(len(tensors))]
answers = []
with torch.no_grad():
    for at in range(0, len(inputs[0]), int(batch)):
        parts = [part[at : at + int(batch)] for part in inputs]
        count = len(parts[0])
        # Some models take no single sample.
        batched = parts if count > 1 else [torch.cat([part, part]) for part in parts]
        answers.append(model(*batched)[:count])
found = torch.cat(answers)
written = torch.from_file(outputs, shared=True, size=found.numel(), dtype=torch.float64)
written.copy_(found.flatten())
print(json.dumps({"shape": list(found.shape), "check": rebuild.check()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip(Document):
    """All comparisons of an export.

    Attributes:
        checks: In the order in which they were made.
        samples: Samples that the rebuilt model answered.
        correct: How many of its answers are right; None without labels, or where the score is
            no share.
    """

    checks: tuple[Check, ...]
    samples: Count = 0
    correct: Count | None = None

    @property
    def passed(self) -> bool:
        """Whether everything came back as it went."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What the driver prints: the shape of the outputs in its file, the script's difference."""

    shape: tuple[Count, ...]
    check: float


@strict
def round_trip(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    recovery: Recovery | None = None,
    points: pd.DataFrame | None = None,
    directory: Path | None = None,
    with_onnx: bool = False,
) -> RoundTrip:
    """Export a plan, read it back, rebuild the model in another process and compare.

    Args:
        prepared: The subject.
        plan: The plan.
        recovery: The plan repaired or trained: then that model is exported.
        points: The points table, to be compared as well.
        directory: Where the files go; by default a temporary folder that is removed.
        with_onnx: Write ``model.onnx`` as well and run it under onnxruntime.

    Raises:
        PlanError: The plan does not fit the subject.
        UnsupportedError: ONNX is asked for, but its packages are missing, or the model holds what
            it cannot say.
    """
    if with_onnx:
        runtimes.require_onnx()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="prunescope-") as folder:
            return round_trip(
                prepared,
                plan,
                recovery=recovery,
                points=points,
                directory=Path(folder),
                with_onnx=with_onnx,
            )
    request = ExportRequest(
        prepared=prepared, plan=plan, recovery=recovery, directory=directory, points=points
    )
    directory.mkdir(parents=True, exist_ok=True)
    export_json(request)
    notes = export_model(request).notes
    back = read_plan(directory / f"{request.name}.json")
    small = dataclasses.replace(request, plan=back).model()
    checks = [
        *_plan_checks(prepared, request.chosen, back),
        _weights_check(prepared, back, directory / WEIGHTS),
    ]
    samples, correct = 0, None
    if (directory / SCRIPT).exists():
        ran, samples, correct = _script_checks(prepared, small, directory)
        checks += ran
    else:
        checks.append(Check(name="script", passed=False, text="; ".join(notes)))
    if points is not None and not points.empty:
        export_csv(request)
        checks.append(_points_check(points, directory / "points.csv", prepared.subject.task))
    if with_onnx:
        onnx.export_onnx(request)
        checks.append(_onnx_check(prepared, small, directory / onnx.FILE))
    return RoundTrip(checks=tuple(checks), samples=samples, correct=correct)


def _plan_checks(prepared: PreparedSubject, plan: Plan, back: Plan) -> list[Check]:
    written = resolve(prepared, compact(plan))
    same = dataclasses.replace(back, extra=written.extra) == written
    entries = pruned_entries(back)
    listed = [entry for entry in entries if entry.indices is not None]
    bare = tuple(dataclasses.replace(entry, indices=None) for entry in back.entries)
    again = resolve(prepared, dataclasses.replace(back, entries=bare))
    differing = [
        entry.layer
        for entry, other in zip(back.entries, again.entries, strict=True)
        if entry.indices != other.indices
    ]
    count = sum(entry.kept for entry in listed)
    return [
        Check(
            name="plan",
            passed=same,
            text=f"plan: {len(entries)} pruned entries "
            + ("read back as they were written" if same else "came back changed"),
        ),
        Check(
            name="indices",
            passed=True,
            text=f"indices: {count} kept units are listed; "
            + (
                "the scores choose the same ones again"
                if not differing
                # A plan may well list units that a person or another tool chose.
                else f"in {', '.join(differing)} they are others than the scores would choose"
            ),
        ),
    ]


def _weights_check(prepared: PreparedSubject, plan: Plan, path: Path) -> Check:
    structured = tuple(item for item in plan.entries if parse(item.granularity).is_structured)
    expected, _ = meter(prepared).sizes(dataclasses.replace(plan, entries=structured))
    buffers = {name for name, _ in prepared.model.named_buffers()}
    with safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name not in buffers]  # noqa: SIM118 (no dict)
        found = sum(file.get_tensor(name).numel() for name in names)
    return Check(
        name="weights",
        passed=found == expected,
        text=f"weights: {found:,} parameters in {path.name}, {expected:,} expected",
    )


def _script_checks(
    prepared: PreparedSubject, small: nn.Module, directory: Path
) -> tuple[list[Check], int, int | None]:
    inputs, labels = _samples(prepared)
    batch = prepared.batch_size
    task = prepared.subject.task
    with torch.inference_mode():
        here = torch.cat([as_batch(small, part) for part in inputs.split(batch)]).cpu()
    path, answers = directory / "samples.safetensors", directory / "outputs.bin"
    tensors = {str(at): part.cpu().contiguous() for at, part in enumerate(parts_of(inputs))}
    safetensors.torch.save_file(tensors, str(path))
    try:
        found = _run(directory / SCRIPT, path, answers, batch=batch)
        if isinstance(found, str):
            return [Check(name="script", passed=False, text=f"script: {found}")], 0, None
        there = _read(answers, found.shape).to(here.dtype)
    finally:
        path.unlink()
        answers.unlink(missing_ok=True)
    same = int(task.agree(here, there).sum()) if there.shape == here.shape else 0
    # Other hardware rounds otherwise, and a sample in a thousand may sit on the border.
    allowed = 0 if inputs.device.type == "cpu" else len(here) // 1000
    checks = [
        Check(
            name="script",
            passed=same >= len(here) - allowed and found.check < 1e-3,
            text=f"script: run in another process, it gives the same answer to {same:,} of "
            f"{plural(len(here), 'sample')}",
        )
    ]
    if labels is None or there.shape != here.shape:
        return checks, len(here), None
    before, after = (task.sums(task.vector(here, item, labels).tolist()) for item in (here, there))
    checks.append(_score_check(task, before, after, allowed=allowed))
    return checks, len(here), task.right_count(after)


def _read(path: Path, shape: Sequence[int]) -> Tensor:
    """Return the outputs that the other process wrote, float64."""
    size = math.prod(shape)
    return torch.from_file(str(path), size=size, dtype=torch.float64).clone().reshape(*shape)


def _score_check(task: Task, before: Sums, after: Sums, *, allowed: int) -> Check:
    """Compare the score of the other process with that of this one."""
    words = task.words
    counts = task.right_count(before), task.right_count(after)
    if counts[0] is not None and counts[1] is not None:
        passed = abs(counts[1] - counts[0]) <= allowed
        found = f"{counts[1]:,} of {after.samples:,} right ({words.score(task.score(after))})"
        expected = f"{counts[0]:,}"
    else:
        passed = math.isclose(task.score(after), task.score(before), rel_tol=1e-3, abs_tol=1e-6)
        found, expected = words.score(task.score(after)), words.score(task.score(before))
    return Check(
        name="accuracy", passed=passed, text=f"{words.label}: {found}, {expected} expected"
    )


def _onnx_check(prepared: PreparedSubject, small: nn.Module, path: Path) -> Check:
    inputs, _ = _samples(prepared)
    parts = inputs.split(prepared.batch_size)
    with torch.inference_mode():
        expected = torch.cat([small(part) for part in parts]).cpu()
    run = runtimes.OnnxModel(path.read_bytes())
    found = torch.cat([run(part.cpu()) for part in parts])
    difference = runtimes.relative_difference(found, expected)
    return Check(
        name=onnx.NAME,
        passed=difference < runtimes.TOLERANCE,
        text=f"onnx: the outputs that onnxruntime computes for {len(inputs):,} samples "
        f"{runtimes.difference_words(difference)}",
    )


def _samples(prepared: PreparedSubject) -> tuple[Inputs, Tensor | None]:
    """Return as much of the evaluation subset as fits in the file, or the example."""
    split = prepared.subject.evaluation
    if split is None:
        return prepared.subject.example, None
    inputs, labels, taken = [], [], 0
    for part, truth in split.batches(prepared.batch_size):
        inputs.append(part)
        if truth is not None:
            labels.append(truth)
        taken += part.nbytes
        if taken >= MAX_BYTES:
            break
    return joined(inputs), torch.cat(labels).cpu() if labels else None


def _run(script: Path, samples: Path, outputs: Path, *, batch: int) -> _Answers | str:
    """Run the exported script in another process; return what it found, or what went wrong."""
    command = [sys.executable, "-IB", "-c", DRIVER, *map(str, (script, samples, outputs))]
    command += [str(torch.get_num_threads()), str(batch)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"did not finish within {SECONDS} s"
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
    try:
        return decode_json(_Answers, done.stdout, name="its output")
    except InputError as error:
        return f"failed: {error}"


def _points_check(points: pd.DataFrame, path: Path, task: Task) -> Check:
    back, written = pd.read_csv(path), for_files(points, task.name)
    counts = ["kept", "samples", *filter(None, [task.right])]
    same = (
        len(back) == len(points)
        and list(back.columns) == list(written.columns)
        and bool((back[counts].to_numpy() == written[counts].to_numpy()).all())
    )
    return Check(
        name="points",
        passed=same,
        text=f"points: {len(back):,} rows read back, {len(points):,} written",
    )
