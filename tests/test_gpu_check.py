"""`benchmarks.gpu_check` is one run that ends in time; its exit code says what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analysis.records import PointKey, Sums
from benchmarks.gpu_check import __main__ as program
from benchmarks.gpu_check import speed
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.several import items, model
from benchmarks.gpu_check.speed import Case, Times
from benchmarks.gpu_check.tables import compared

POINT = PointKey(
    criterion="l1",
    granularity="channel",
    layer="conv",
    group=None,
    ratio_requested=0.5,
    kept=4,
    total=8,
)
SMALL = Case("small", "sample:small", samples=8000, batch=8000, until=0.5)


def held(device: str, report: Report) -> None:
    report.add("held", f"on {device}")


def missed(device: str, report: Report) -> None:
    report.add("missed", "too slow", passed=False, aim="fast")


def raising(device: str, report: Report) -> None:
    with report.guarded("raising"):
        raise RuntimeError("it broke\nhere")


@pytest.mark.parametrize(
    ("checks", "code", "states"),
    [
        ([held, held], 0, [True, True]),
        ([missed, held], 1, [False, True]),
        ([raising, held], 1, [False, True]),
    ],
)
def test_the_exit_code_says_whether_an_aim_was_missed(
    checks: list[Callable[[str, Report], None]],
    code: int,
    states: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    numbered = {str(at): check for at, check in enumerate(checks)}
    monkeypatch.setattr(program, "CHECKS", numbered)
    out = tmp_path / "rows.json"
    assert program.main(["--device", "cpu", "--json", str(out)]) == code
    assert [row["passed"] for row in json.loads(out.read_text())] == states
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"{sum(states)} of {len(states)} checks hold")
    assert sum(line.startswith("MISS") for line in lines) == states.count(False)


def test_a_check_without_time_is_a_missed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(device: str, report: Report) -> None:
        report._begun -= 200

    report = Report(limit=300)
    program.run_checks({"first": slow, "second": slow, "third": held}, "cpu", report)
    assert report.missed == ["third"]
    assert "time is used up" in report.rows[-1]["value"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_device_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("no device cuda here: ")


def test_an_unknown_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--only", "resnet21"])
    assert ended.value.code == 2
    assert "unknown check 'resnet21'" in capsys.readouterr().err


def sums(correct: int, samples: int = 1000) -> dict[PointKey, Sums]:
    return {POINT: Sums(samples=samples, terms={"correct": correct, "loss": 2.0 * samples})}


def times(*, strict: float, fast: float, at_250: float = 30.0) -> Times:
    """The plain loop takes 4 s in full, 3 s in TF32, at its best batch."""
    plain = {("ieee", 250): [at_250], ("ieee", 8000): [9.0, 4.0, 3.0]}
    plain |= {("tf32", 250): [at_250], ("tf32", 8000): [3.0]}
    engine = {"float32": [strict], "fp16": [fast]}
    ways = {"float32": "fused sums", "fp16": "fused nothing, channels last"}
    return Times(plain, engine, {POINT: 500}, {name: sums(500) for name in engine}, ways)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "flips", "expected"),
    [
        (times(strict=4 / 2.3, fast=3 / 4.1), 0, []),
        (times(strict=4 / 2.1, fast=3 / 4.1), 0, ["small float32"]),
        (times(strict=4 / 2.3, fast=3 / 3.9), 0, ["small fastest reduced precision"]),
        (times(strict=4 / 2.3, fast=3 / 4.1, at_250=16.0), 0, ["small float32"]),
        (times(strict=4 / 2.3, fast=3 / 4.1), 2, ["small float32 answers", "small fp16 answers"]),
    ],
)
def test_aims_of_speed_and_answers(
    found: Times, flips: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found.counts = {POINT: 500 + flips}
    monkeypatch.setattr(speed, "measured", lambda *_: found)
    report = Report()
    speed.compare(SMALL, None, report)  # type: ignore[arg-type]
    assert report.missed == expected
    assert len(report.rows) == 5
    assert report.rows[2]["value"].endswith("fused nothing, channels last")


def test_turns_are_repeated_while_there_is_time() -> None:
    report = Report(limit=100)
    assert report.has_time(40, share=0.5)
    report._begun -= 20
    assert not report.has_time(40, share=0.5)
    assert report.has_time(40)


def test_tables_are_compared_by_answers_or_by_scores() -> None:
    assert compared(sums(500), sums(500), "classification")["passed"]
    assert compared(sums(500), sums(501), "classification")["passed"]
    assert not compared(sums(500), sums(502), "classification")["passed"]


def test_the_model_of_several_inputs_takes_its_samples() -> None:
    inputs, target = items()[5]
    batch = {"ids": inputs["ids"][None], "more": {k: v[None] for k, v in inputs["more"].items()}}
    assert model()(**batch).shape == (1, 3)
    assert target == 2
