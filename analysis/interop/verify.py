"""The round-trip check: export, read everything back, rebuild in another process, compare."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from analysis.edits import PreparedSubject
from analysis.interop.formats import onnx
from analysis.interop.formats.script import SCRIPT, WEIGHTS
from analysis.interop.formats.smaller_model import export_model
from analysis.interop.formats.tables import export_csv, export_json
from analysis.interop.request import ExportRequest
from analysis.plans import compact, meter, pruned_entries, read_plan, resolve
from analysis.records import Count, Document, Plan, Record, decode_json
from analysis.recovery import Recovery
from pruners.calls import as_batch
from pruners.errors import InputError
from pruners.granularity import parse

# The other process gets its samples as a file; large subjects are compared on fewer samples.
MAX_BYTES = 256 * 2**20
SECONDS = 600
# What runs there: it imports the exported script and torch, nothing of this program.
DRIVER = """
import importlib.util, json, sys
import torch
script, samples, threads, batch = sys.argv[1:]
torch.set_num_threads(int(threads))
spec = importlib.util.spec_from_file_location("rebuild", script)
rebuild = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rebuild)
model = rebuild.load()
inputs = rebuild.read_safetensors(samples)[0]["inputs"]
answers = []
with torch.no_grad():
    for first in range(0, len(inputs), int(batch)):
        part = inputs[first : first + int(batch)]
        # Some models take no single sample.
        batched = part if len(part) > 1 else torch.cat([part, part])
        answers += model(batched).argmax(1).tolist()[: len(part)]
params = sum(item.numel() for item in model.parameters())
print(json.dumps({"answers": answers, "params": params, "check": rebuild.check()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Record):
    """One comparison.

    Attributes:
        name: ``plan``, ``indices``, ``weights``, ``script``, ``accuracy``, ``points`` or ``onnx``.
        passed: Whether it holds.
        text: What was expected and found, for a person.
    """

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip(Document):
    """All comparisons of an export.

    Attributes:
        checks: In the order in which they were made.
        samples: Samples that the rebuilt model answered.
        correct: How many of its answers are right; None without labels.
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
    """What the driver prints: classes of the samples, parameters, the script's own difference."""

    answers: tuple[Count, ...]
    params: Count
    check: float


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
        recovery: The plan repaired: then the repaired model is exported.
        points: The points table, to be compared as well.
        directory: Where the files go; by default a temporary folder that is removed.
        with_onnx: Write ``model.onnx`` as well and run it under onnxruntime.

    Raises:
        PlanError: The plan does not fit the subject.
        UnsupportedError: ONNX is asked for, but its packages are missing, or the model holds what
            it cannot say.
    """
    if with_onnx:
        onnx.require_packages()
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
        checks.append(_points_check(points, directory / "points.csv"))
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
    batch = prepared.subject.spec.batch_size
    with torch.inference_mode():
        here = torch.cat(
            [as_batch(small, part).argmax(1) for part in torch.split(inputs, batch)]
        ).cpu()
    path = directory / "samples.safetensors"
    safetensors.torch.save_file({"inputs": inputs.cpu().contiguous()}, str(path))
    try:
        found = _run(directory / SCRIPT, path, batch=batch)
    finally:
        path.unlink()
    if isinstance(found, str):
        return [Check(name="script", passed=False, text=f"script: {found}")], 0, None
    there = torch.tensor(found.answers, dtype=torch.int64)
    same = int((there == here).sum())
    # Other hardware rounds otherwise, and a sample in a thousand may sit on the border.
    allowed = 0 if inputs.device.type == "cpu" else len(here) // 1000
    checks = [
        Check(
            name="script",
            passed=same >= len(here) - allowed and found.check < 1e-3,
            text=f"script: run in another process, it gives the same answer to {same} of "
            f"{len(here)} samples",
        )
    ]
    if labels is None:
        return checks, len(here), None
    correct, expected = int((there == labels).sum()), int((here == labels).sum())
    checks.append(
        Check(
            name="accuracy",
            passed=abs(correct - expected) <= allowed,
            text=f"accuracy: {correct} of {len(here)} right ({correct / len(here):.2%}), "
            f"{expected} expected",
        )
    )
    return checks, len(here), correct


def _onnx_check(prepared: PreparedSubject, small: nn.Module, path: Path) -> Check:
    inputs, _ = _samples(prepared)
    parts = torch.split(inputs, prepared.subject.spec.batch_size)
    with torch.inference_mode():
        expected = torch.cat([small(part) for part in parts]).cpu()
    found = torch.cat([onnx.run_onnx(path, part) for part in parts])
    difference = onnx.relative_difference(found, expected)
    return Check(
        name=onnx.NAME,
        passed=difference < onnx.TOLERANCE,
        text=f"onnx: the logits that onnxruntime computes for {len(inputs)} samples differ by "
        f"{difference:.1e} of the largest",
    )


def _samples(prepared: PreparedSubject) -> tuple[Tensor, Tensor | None]:
    """Return as much of the evaluation subset as fits in the file, or the example."""
    split = prepared.subject.evaluation
    if split is None:
        return prepared.subject.example, None
    inputs, labels, taken = [], [], 0
    for part, truth in split.batches(prepared.subject.spec.batch_size):
        inputs.append(part)
        if truth is not None:
            labels.append(truth)
        taken += part.nbytes
        if taken >= MAX_BYTES:
            break
    return torch.cat(inputs), torch.cat(labels).cpu() if labels else None


def _run(script: Path, samples: Path, *, batch: int) -> _Answers | str:
    """Run the exported script in another process; return what it found, or what went wrong."""
    command = [sys.executable, "-I", "-c", DRIVER, str(script), str(samples)]
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


def _points_check(points: pd.DataFrame, path: Path) -> Check:
    back = pd.read_csv(path)
    same = (
        len(back) == len(points)
        and list(back.columns) == list(points.columns)
        and bool((back["kept"].to_numpy() == points["kept"].to_numpy()).all())
        and bool((back["correct"].to_numpy() == points["correct"].to_numpy()).all())
    )
    return Check(
        name="points",
        passed=same,
        text=f"points: {len(back)} rows read back, {len(points)} written",
    )
