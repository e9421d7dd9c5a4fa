"""Run the verifiers of an export, each in a process of the library's own environment."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from analysis.files import write_text
from analysis.interop.registry import FORMATS
from analysis.interop.request import ExportRequest
from analysis.interop.verification.records import (
    FAILED,
    MISSING,
    PASSED,
    REFUSED,
    Check,
    Confirmation,
    Verification,
)
from analysis.interop.verification.reference import write_reference
from analysis.interop.verification.registry import VERIFIERS
from analysis.interop.verification.verifier import Verifier
from analysis.records import decode_json
from pruners.errors import InputError
from pruners.float32 import strict

FILE = "verification.json"
HARNESS = Path(__file__).with_name("harness.py")
SECONDS = 900


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the harness writes."""

    version: str
    python: str
    checks: tuple[Check, ...]
    missing: str = ""
    refused: str = ""
    failed: str = ""


def now() -> str:
    """Return day and time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def verifiers_of(name: str) -> tuple[Verifier, ...]:
    """Return the verifiers of a format.

    Raises:
        UnknownNameError: No such format.
        InputError: It has none.
    """
    found = tuple(VERIFIERS.get(item) for item in FORMATS.get(name).verify)
    if not found:
        able = ", ".join(entry.name for entry in FORMATS if entry.verify)
        raise InputError(f"no library reads the format {name}; those that can be verified: {able}")
    return found


@strict
def verify(request: ExportRequest, name: str, *, python: str | None = None) -> Verification:
    """Have the libraries that an export is for confirm it; write ``verification.json`` beside it.

    Args:
        request: What was exported; its folder holds the files.
        name: The format.
        python: Interpreter of an environment with the libraries; by default this one.

    Raises:
        UnknownNameError: No such format.
        InputError: It has no verifier, or there is no such interpreter.
        PlanError: The plan does not fit the subject.
        StoreError: The result cannot be written.
    """
    chosen = verifiers_of(name)
    with tempfile.TemporaryDirectory(prefix="prunescope-") as place:
        reference = Path(place)
        write_reference(request, reference)
        answers = [
            confirm(item, request.directory, reference, python=python or sys.executable)
            for item in chosen
        ]
    found = Verification(
        format=name,
        date=now(),
        python=next((version for _, version in answers if version), ""),
        targets=tuple(target for target, _ in answers),
    )
    write_text(request.directory / FILE, found.to_json(indent=1) + "\n")
    return found


def confirm(
    verifier: Verifier, folder: Path, reference: Path, *, python: str
) -> tuple[Confirmation, str]:
    """Return what one library says, and the version of Python that ran it.

    Args:
        verifier: The verifier.
        folder: The export.
        reference: What `write_reference` wrote.
        python: The interpreter.

    Raises:
        InputError: There is no such interpreter.
    """
    answer = reference / f"answer-{verifier.name}.json"
    command = [python, "-IB", str(HARNESS), str(verifier.script), str(folder.resolve())]
    command += [str(reference), str(answer), verifier.library, verifier.file]
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=environment,
            # Libraries leave logs where they run.
            cwd=reference,
        )
        fault = _last_line(done.stderr) or f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        fault = f"did not finish within {SECONDS} s"
    except OSError as error:
        raise InputError(f"no Python can be run at {python}: {error.strerror}") from None
    blank = Confirmation(
        verifier=verifier.name,
        label=verifier.label,
        version="",
        result=FAILED,
        text=fault,
        install=verifier.install,
        seconds=round(time.perf_counter() - start, 1),
    )
    if not answer.is_file():
        return blank, ""
    try:
        found = decode_json(_Answer, answer.read_bytes(), name="the answer of the script")
    except InputError as error:
        return dataclasses.replace(blank, text=str(error)), ""
    result, text = _result(found, verifier)
    return dataclasses.replace(
        blank, version=found.version, result=result, text=text, checks=found.checks
    ), found.python


def _result(found: _Answer, verifier: Verifier) -> tuple[str, str]:
    if found.missing:
        return MISSING, f"{found.missing} is not installed: {verifier.install}"
    if found.refused:
        return REFUSED, found.refused
    if found.failed:
        return FAILED, found.failed
    wrong = [f"{check.name}: {check.text}" for check in found.checks if not check.passed]
    if wrong or not found.checks:
        return FAILED, "; ".join(wrong) or "nothing was compared"
    return PASSED, ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
