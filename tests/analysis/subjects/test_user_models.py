"""From the opening to the plan: models and data of the kinds that users handed over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis.cli.app import main
from analysis.edits import Edit, PreparedSubject, edited_model, prepare, targets
from analysis.interop.formats.script import write_script
from analysis.measuring import Slices, measure
from analysis.plans import set_ratio, start_plan
from analysis.records import Plan, SubjectSpec
from analysis.recovery import recover_plan
from analysis.subjects import load_subject
from analysis.subjects.data import load_data
from analysis.subjects.overview import build_inventory
from analysis.subjects.parsing import parse_data
from analysis.tasks import CLASSIFICATION
from pruners.capture import capture
from pruners.errors import InputError, UnsupportedError
from pruners.groups import edits, find_structure
from tests.analysis.interop.test_script import loaded
from tests.helpers import user_models as made

WHERE = "tests.helpers.user_models"


def opened(model: str, data: str, **options: int) -> PreparedSubject:
    spec = SubjectSpec(model=f"{WHERE}:{model}", data=f"{WHERE}:{data}", **options)
    return prepare(load_subject(spec))


def test_a_last_batch_of_one_is_measured_as_any_other() -> None:
    """51 samples in batches of 50, for a model that squeezes its answers."""
    prepared = opened("squeezed", "planes", samples=51, calibration_samples=9)
    assert prepared.subject.evaluation is not None
    structure = prepared.require_structure()
    group = structure.group("conv")
    removed = torch.tensor([0, 3])
    edit = Edit(edits.consumer_edit(group, removed, prepared.evaluator.state))
    smaller = edited_model(prepared, Edit(kept={group.id: (1, 2, 4, 5)}))
    found = {"edit": 0.0, "removed": 0.0, "dense": 0.0}
    forms = {"edit": edit, "removed": smaller}
    slices = Slices(prepared.subject.evaluation, 50)
    for part in measure(prepared, forms, slices, CLASSIFICATION):
        found["dense"] += part.baseline["correct"]
        for name in forms:
            found[name] += part.require(name)["correct"]
    inputs, labels = prepared.subject.evaluation.part(0, 51)
    with torch.no_grad():
        right = int((smaller(inputs).argmax(1) == labels).sum())
    assert found == {"dense": 51, "edit": right, "removed": right}
    prepared.evaluator.program = None
    alone = prepared.evaluator.dense(inputs[:1])
    assert alone.outputs.shape == (1, 10)
    assert prepared.evaluator.evaluate(alone, edit.tensors).shape == (1, 10)


def test_calibration_has_no_batch_of_one() -> None:
    """A squeezing model, whose last calibration batch had one sample."""
    prepared = opened("squeezed", "planes", samples=51, calibration_samples=9)
    split = prepared.subject.calibration
    assert split is not None
    assert [len(inputs) for inputs, _ in split.batches(4)] == [4, 5]
    assert [len(inputs) for inputs, _ in split.batches(1)] == [1] * 9
    group = prepared.require_structure().group("conv")
    assert prepared.channel_scores(group, "fisher").shape == (6,)


def test_what_no_criterion_scores_is_no_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weight norm: no failed points, a plan for the rest, and a line."""
    prepared = opened("weight_normed", "images")
    free = [item.layer for item in targets(prepared, "channel") if item.prunable]
    assert free == ["second", "fc"]
    rows = build_inventory(prepared.model, prepared.require_structure()).layers
    reasons = {row.name: row.reason for row in rows}
    assert "computes its weight from other parameters" in reasons["first"]
    workspace = ["--workspace", str(tmp_path / "w")]
    model, data = f"{WHERE}:weight_normed", f"{WHERE}:images"
    sweep = ["sweep", "--model", model, "--data", data, "--criteria", "l1", "--ratios", "0.5"]
    assert main([*sweep, *workspace]) == 0
    assert "could not be measured" not in capsys.readouterr().err
    out = tmp_path / "plan.json"
    plan = ["plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.5", "--out", str(out)]
    assert main([*plan, *workspace]) == 0
    said = capsys.readouterr().err
    assert "first is left out: layer 'first' computes its weight from other parameters" in said


@pytest.mark.parametrize("method", ["search", "tune", "lsq"])
def test_repairs_leave_alone_what_reads_channels_by_its_rows(method: str) -> None:
    """A weight used turned round, too; `search` took inputs for its rows."""
    prepared = opened("not_square", "tokens")
    start = start_plan(prepared, criterion="l1", granularity="channel")
    plan: Plan = set_ratio(start, "enter", 0.5)
    found = recover_plan(prepared, plan, method=method)
    kept = {entry.layer: entry.kept for entry in found.plan.entries}
    assert kept == {"enter": 3, "shared": 8}


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_a_script_checks_itself_within_the_range_of_the_data(shift: float, tmp_path: Path) -> None:
    """A root of inputs was asked of negative ones, and compared as nan."""
    model = made.made(made.Rooted)
    generator = torch.Generator().manual_seed(1)
    example = torch.rand(2, 3, 8, 8, generator=generator) * (0.95 - shift) + shift + 1e-3
    script, _ = write_script(model, example, tmp_path)
    rebuilt = loaded(script)
    assert torch.equal(rebuilt(example), model(example))
    space: dict[str, object] = {"__name__": "rebuild", "__file__": str(script)}
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), space)
    check = space["check"]
    assert callable(check)
    assert check() < 1e-5
    with pytest.raises(UnsupportedError, match="not finite for inputs from 2 to 3"):
        write_script(model, example.round() + 2, tmp_path)


def test_a_subclass_of_a_tensor_data_set_gives_what_it_gives() -> None:
    """Its own `__getitem__` was never asked."""
    inputs, labels = load_data(parse_data(f"{WHERE}:shifted")).evaluation.read([2, 0])
    assert inputs.tolist() == [[9, 8, 7], [3, 2, 1]]
    assert labels is not None
    assert labels.tolist() == [2, 0]


def test_data_that_differ_at_each_read_are_refused() -> None:
    """Two runs differed without a word."""
    with pytest.raises(InputError, match="is another one each time it is read") as caught:
        opened("squeezed", "augmented")
    assert "\n" not in str(caught.value)


def test_a_wrapper_of_any_arguments_is_captured() -> None:
    """`forward(*args, **kwargs)`."""
    model, example = made.made(made.AnyArguments), torch.randn(2, 1, 8, 8)
    structure = find_structure(model, capture(model, example), example)
    assert structure.group("inner.conv").prunable
