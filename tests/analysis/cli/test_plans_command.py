"""``prunescope plans`` and ``prunescope report``: kept plans from the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from analysis.plans.files import read_plan, write_plan
from analysis.store.store import Store
from pruners.errors import StoreReadOnlyError
from tests.analysis.cli.conftest import opened
from tests.helpers.command_line import Run, assert_one_line
from tests.helpers.tiny_subject import MODEL_SOURCE


@pytest.fixture
def plan_file(run: Run, swept: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for command in ("plans", "report"):
        monkeypatch.setattr(f"analysis.cli.commands.{command}.prepare_subject", opened)
    path = folder / "kept.json"
    code, _, err = run(
        "plan", "--run", swept, "--strategy", "uniform", "--budget", "macs=0.6", "--out", path
    )
    assert code == 0, err
    return path


def test_plans_are_listed_named_and_deleted(run: Run, store: Store, plan_file: Path) -> None:
    """Plans have names, and keep what was measured of them."""
    plan = read_plan(plan_file)
    name = store.plans.save(plan, params_left=0.5, macs_left=0.25)
    row = json.loads(run("plans", "list", "--json")[1])["plans"][0]
    assert (row["plan_id"], row["macs_left"], row["params_left"]) == (name, 0.25, 0.5)
    found = json.loads(run("evaluate", "--plan", plan_file, "--latency-seconds", "0", "--json")[1])
    row = json.loads(run("plans", "list", "--json")[1])["plans"][0]
    assert row["evaluated"]["accuracy"] == found["removed"]["accuracy"]
    assert row["evaluated"]["drop_high"] == found["removed"]["drop_high"]
    assert row["macs_left"] == found["removed"]["macs"] / found["dense"]["macs"]
    assert run("plans", "name", name, "two thirds", "--note", "for the phone")[0] == 0
    shown = run("plans", "show", name)[1]
    assert "two thirds" in shown
    assert "for the phone" in shown
    listed = run("plans", "list")[1]
    assert "two thirds" in listed
    assert f"{100 * found['removed']['accuracy']:.2f}%" in listed
    assert_one_line(run("plans", "name", name), says="needs a NAME")
    for command in (["show"], ["delete"], ["name", "x"], ["compare", "p-zzzz"]):
        arguments = [command[0], "p-zzzz", *command[1:]]
        assert_one_line(run("plans", *arguments), says="unknown plan")
    assert run("plans", "delete", name)[0] == 0
    assert store.plans.saved() == ()


def test_two_plans_side_by_side(run: Run, store: Store, plan_file: Path) -> None:
    """Against a loop over the answers of two models."""
    import torch

    from analysis.plans.apply import removed_model
    from analysis.recovery import recovered_model, repaired_plan

    raw = dataclasses.replace(read_plan(plan_file), repair="none")
    fixed = dataclasses.replace(raw, repair="lsq")
    one, other = store.plans.save(raw), store.plans.save(fixed)
    code, out, err = run("plans", "compare", one, other, "--json")
    assert code == 0, err
    found = json.loads(out)
    prepared = opened(raw.subject, None)
    recovery = repaired_plan(prepared, fixed)
    assert recovery is not None
    images, labels = (
        torch.cat(parts) for parts in zip(*prepared.subject.evaluation.batches(16), strict=True)
    )
    with torch.inference_mode():
        first = removed_model(prepared, raw)(images).argmax(1)
        second = recovered_model(prepared, recovery)(images).argmax(1)
    assert found["samples"] == len(labels) == 96
    assert found["same_answers"] == int((first == second).sum())
    right = [float((answers == labels).double().mean()) for answers in (first, second)]
    assert [found[side]["accuracy"] for side in ("one", "other")] == pytest.approx(right)
    assert found["drop"] == pytest.approx(right[0] - right[1])
    assert found["drop_low"] <= found["drop"] <= found["drop_high"]
    for item in found["classes"]:
        among = labels == int(item["class_name"])
        assert item["samples"] == int(among.sum())
        assert item["dense"] == pytest.approx(float((first == labels)[among].double().mean()))
        assert item["pruned"] == pytest.approx(float((second == labels)[among].double().mean()))
    shares = {
        item.layer: 1 - item.kept / item.total for item in raw.entries if item.kept < item.total
    }
    assert {item["layer"]: item["one"] for item in found["layers"]} == pytest.approx(shares)
    said = run("plans", "compare", one, plan_file)[1]
    assert "B: " in said
    dense = dataclasses.replace(raw, fingerprint="other")
    assert_one_line(
        run("plans", "compare", one, store.plans.save(dense)), says="of different weights"
    )


def test_a_report_of_a_saved_plan_and_of_a_file(
    run: Run, store: Store, swept: str, plan_file: Path, folder: Path
) -> None:
    """What was measured is not measured again, and nothing is left out."""
    name = store.plans.save(read_plan(plan_file))
    store.plans.rename(name, "for the phone")
    out = folder / "report.html"
    code, _, err = run("report", "--plan", name, "--out", out)
    assert code == 0, err
    page = out.read_text(encoding="utf-8")
    assert "Plan for the phone" in page
    assert "<h2>Curves</h2>" in page
    assert swept in page
    identity = opened(read_plan(plan_file).subject, None).identity
    known = store.evaluations.all(identity)
    code, printed, err = run("report", "--plan", plan_file, "--out", out, "--run", swept, "--json")
    assert code == 0, err
    assert json.loads(printed) == {"path": str(out), "run": swept}
    assert "Plan kept" in out.read_text(encoding="utf-8")
    assert store.evaluations.all(identity) == known
    # A plan of the same layers, made for other weights: what is kept is not of it.
    stranger = dataclasses.replace(read_plan(plan_file), fingerprint="0" * 64)
    other = folder / "other-weights.json"
    write_plan(stranger, other)
    for command in ("report", "--out", out), ("evaluate",):
        said = run(command[0], "--plan", other, *command[1:])
        assert_one_line(said, says="made for weights 000000000000")
    for seconds in ("nan", "-1", "inf"):
        said = run("evaluate", "--plan", plan_file, "--latency-seconds", seconds)
        assert_one_line(said, says="--latency-seconds")
    for tolerance in ("nan", "-0.01", "inf"):
        said = run("plan", "--run", swept, "--out", other, "--tolerance", tolerance)
        assert_one_line(said, says="tolerance")
    assert_one_line(run("report", "--plan", "p-zzzz", "--out", out), says="unknown plan")
    assert_one_line(run("report", "--plan", name, "--out", folder), says="ends in .html")


@pytest.mark.parametrize(
    ("changed", "seed", "says"),
    [
        (("nn.ReLU()", "nn.ReLU()"), 0, ""),
        (("nn.ReLU()", "nn.ReLU()"), 1, "names other samples: both are measured on those of"),
        (("nn.ReLU()", "nn.Tanh()"), 0, "only plans of one model fit"),
    ],
)
def test_plans_under_two_addresses_are_of_one_model(
    run: Run, plan_file: Path, tmp_path: Path, changed: tuple[str, str], seed: int, says: str
) -> None:
    """Equal weights in other code, or on other data, were measured as those of the first plan."""
    plan = read_plan(plan_file)
    (tmp_path / "other.py").write_text(MODEL_SOURCE.replace(*changed), encoding="utf-8")
    subject = dataclasses.replace(plan.subject, model=f"{tmp_path / 'other.py'}:build", seed=seed)
    write_plan(dataclasses.replace(plan, subject=subject), tmp_path / "other.json")
    code, _, err = run("plans", "compare", plan_file, tmp_path / "other.json", "--json")
    assert code == (2 if "fit" in says else 0), err
    assert says in " ".join(err.split())
    assert says or "names other" not in err


def test_an_evaluation_that_cannot_be_kept_is_told(
    run: Run, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreReadOnlyError("the workspace may not be written")

    monkeypatch.setattr("analysis.cli.commands.evaluate.evaluation.keep_evaluation", refuse)
    code, out, err = run("evaluate", "--plan", plan_file, "--latency-seconds", "0", "--json")
    assert code == 0, err
    assert json.loads(out)["samples"] == 96
    assert "could not be kept: the workspace may not be written" in " ".join(err.split())
