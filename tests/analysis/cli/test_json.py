"""What ``--json`` prints."""

from __future__ import annotations

import pytest

from analysis.cli.commands.evaluate import for_machines
from analysis.cli.output import print_json
from analysis.records import ClassChange, Evaluation, MeasuredModel, Sums


def evaluation(changes: list[float]) -> Evaluation:
    zero = dict.fromkeys(("accuracy", "low", "high", "drop", "drop_low", "drop_high"), 0.0)
    counts = dict.fromkeys(("params", "nonzero", "macs", "file_bytes"), 1)
    model = MeasuredModel(name="dense", sums=Sums(), **zero, **counts)
    classes = tuple(
        ClassChange(
            class_name=f"class {at}",
            samples=4,
            dense=0.5,
            pruned=0.5 + change,
            change=change,
            change_low=change,
            change_high=change,
            clear=False,
        )
        for at, change in enumerate(changes)
    )
    return Evaluation(samples=4, labelled=True, dense=model, removed=model, classes=classes)


@pytest.mark.parametrize(
    ("changes", "listed", "unchanged"),
    [([0.0] * 99 + [0.25], 100, 0), ([0.0] * 998 + [0.25, -0.5], 2, 998)],
)
def test_of_very_many_classes_those_that_changed(
    changes: list[float], listed: int, unchanged: int
) -> None:
    """N9 of issue 9: each of 1,000 classes was listed, 998 of them for nothing."""
    found = for_machines(evaluation(changes))
    assert (len(found["classes"]), found["unchanged_classes"]) == (listed, unchanged)
    changed = {item["class_name"]: item["change"] for item in found["classes"] if item["change"]}
    assert changed == {f"class {at}": change for at, change in enumerate(changes) if change}


def test_json_has_no_negative_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """N9 of issue 9: `evaluate --json` gave changes of -0.0."""
    print_json({"change": -0.0, "classes": [{"change": -0.0}], "drop": -0.5})
    assert (
        capsys.readouterr().out == '{"change": 0.0, "classes": [{"change": 0.0}], "drop": -0.5}\n'
    )
