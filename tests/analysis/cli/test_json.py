"""What ``--json`` prints."""

from __future__ import annotations

import pytest

from analysis.cli.commands.evaluate import for_machines, print_evaluation
from analysis.cli.output import print_json
from analysis.cli.scores import with_scores
from analysis.records import ClassChange, Evaluation, MeasuredModel, Sums
from analysis.tasks import scoring_of


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
    """Each of 1,000 classes was listed, 998 of them for nothing."""
    found = for_machines(evaluation(changes), scoring_of("classification"))
    assert (len(found["classes"]), found["unchanged_classes"]) == (listed, unchanged)
    changed = {item["class_name"]: item["change"] for item in found["classes"] if item["change"]}
    assert changed == {f"class {at}": change for at, change in enumerate(changes) if change}


@pytest.mark.parametrize(
    ("task", "classes", "is_printed"),
    [("segmentation", 30, True), ("segmentation", 31, False), ("classification", 3, False)],
)
def test_the_table_has_each_class_of_a_mean_over_classes(
    task: str,
    classes: int,
    is_printed: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their IoU and its interval were in JSON alone."""
    monkeypatch.setattr("analysis.evaluation.measures", lambda *_, **__: {})
    print_evaluation("Plan", evaluation([-0.125] * classes), scoring_of(task))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "class 1 " in line]
    expected = ["class", "1", "4", "50.00%", "37.50%", "-12.50", "(-12.50", "to", "-12.50)"]
    assert rows == ([expected] if is_printed else [])


def test_json_has_no_negative_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """`evaluate --json` gave changes of -0.0."""
    print_json({"change": -0.0, "classes": [{"change": -0.0}], "drop": -0.5})
    assert (
        capsys.readouterr().out == '{"change": 0.0, "classes": [{"change": 0.0}], "drop": -0.5}\n'
    )


def test_scores_are_as_people_count_them() -> None:
    """`shrink --json` gave a perplexity of 13.44 as `accuracy` -13.44."""
    words = scoring_of("language_modelling").words
    side = {"accuracy": -20.0, "low": -23.0, "high": -18.0, "drop": 0.49, "drop_low": 0.4}
    found = with_scores(
        {
            "dense_accuracy": -13.44,
            "pruned_accuracy": None,
            "samples": 8,
            "removed": side,
            "points": [{"score": -15.0, "low": -16.0, "high": -14.0}],
            "recovered": {"accuracy": -14.0, "accuracy_low": -15.0, "accuracy_high": -13.0},
            "interval": {"low": -0.5, "high": 0.5},
        },
        words,
    )
    shown = {"perplexity": 20.0, "low": 18.0, "high": 23.0, "drop": 0.49, "drop_low": 0.4}
    assert found == {
        "dense_perplexity": 13.44,
        "pruned_perplexity": None,
        "samples": 8,
        "removed": shown,
        "points": [{"score": 15.0, "low": 14.0, "high": 16.0}],
        "recovered": {"perplexity": 14.0, "perplexity_low": 13.0, "perplexity_high": 15.0},
        # Of no score.
        "interval": {"low": -0.5, "high": 0.5},
        "metric": "perplexity",
        "better": "lower",
    }


def test_of_classification_nothing_changes_but_what_is_said_of_it() -> None:
    """Scripts read these names."""
    plain = evaluation([0.25]).to_dict()
    found = with_scores(plain, scoring_of("classification").words)
    assert found == {**plain, "metric": "accuracy", "better": "higher"}
