"""Repaired plans are computed once, and everything speaks of one model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.evaluation.evaluate import evaluate_plan
from analysis.evaluation.repairing import Repairs
from analysis.evaluation.session import LoadedSubject
from analysis.interop import ExportRequest, export, round_trip
from analysis.interop.verification.reading_back import _samples
from analysis.plans.apply import resolve, start_plan
from analysis.plans.editing import set_ratio
from analysis.plans.files import read_plan
from analysis.records.plan import Plan
from analysis.records.subject import SubjectSpec
from analysis.recovery import plan_repair
from analysis.recovery.kept import repair_key, repaired_plan
from analysis.recovery.plan_repair import Recovery, recover_plan
from analysis.repairs import usual_repair
from analysis.repairs.registry import plan_repairs
from analysis.subjects.subject import load_subject
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

SPEC = SubjectSpec(
    model="sample:lenet5",
    data="sample:fashion-mnist",
    samples=60,
    batch_size=30,
    calibration_samples=32,
)


def opened(folder: Path, **changes: object) -> PreparedSubject:
    """Return the subject as a process opens it that knows nothing but the workspace."""
    prepared = prepare(load_subject(dataclasses.replace(SPEC, **changes)))  # type: ignore[arg-type]
    prepared.use_cache(folder / "statistics")
    return prepared


def halved(prepared: PreparedSubject, repair: str = "lsq") -> Plan:
    plan = start_plan(prepared, criterion="l1", granularity="channel")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.5)
    return dataclasses.replace(plan, repair=repair)


def found_for(prepared: PreparedSubject, plan: Plan) -> Recovery:
    recovery = repaired_plan(prepared, plan)
    assert recovery is not None
    return recovery


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The repairs that are computed, by method."""
    found: list[str] = []
    repair = plan_repair.Repairer.repair

    def counted(self: plan_repair.Repairer, plan: Plan, **options: object) -> Recovery:
        found.append(plan.repair)
        return repair(self, plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(plan_repair.Repairer, "repair", counted)
    return found


def test_plans_of_older_programs_are_not_repaired() -> None:
    plan = halved(sample_context("lenet5"))
    old = {**json.loads(plan.to_json()), "schema_version": 1}
    del old["repair"]
    assert Plan.from_json(json.dumps(old)) == dataclasses.replace(plan, repair="none")
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_that_repairs_nothing_has_no_repair(made: list[str]) -> None:
    prepared = sample_context("lenet5")
    assert repaired_plan(prepared, halved(prepared, "none")) is None
    dense = start_plan(prepared, criterion="l1", granularity="channel")
    assert repaired_plan(prepared, dataclasses.replace(dense, repair="lsq")) is None
    assert made == []


def test_a_repair_is_computed_once(tmp_path: Path, made: list[str]) -> None:
    prepared = opened(tmp_path)
    plan = halved(prepared)
    first = found_for(prepared, plan)
    noted = dataclasses.replace(plan, note="mine", run="r-1")
    again = found_for(prepared, noted)
    assert again.plan.note == "mine"
    assert made == ["lsq"]
    elsewhere = opened(tmp_path)
    read = found_for(elsewhere, plan)
    assert made == ["lsq"]
    for found in (again, read):
        assert found.layers == first.layers
        assert found.method == "lsq"
        assert found.plan.entries == first.plan.entries
        assert found.edit.tensors.keys() == first.edit.tensors.keys()
        for name, tensor in first.edit.tensors.items():
            assert torch.equal(found.edit.tensors[name], tensor)


def renamed(prepared: PreparedSubject, plan: Plan) -> Plan:
    """The masks of a plan, chosen by another criterion and locked."""
    entries = resolve(prepared, plan).entries
    changed = (dataclasses.replace(item, criterion="fpgm", locked=True) for item in entries)
    return dataclasses.replace(plan, entries=tuple(changed))


@pytest.mark.parametrize(("method", "repairs"), [("lsq", 1), ("search", 2)])
def test_plans_of_the_same_masks_keep_their_own_criteria_and_locks(
    tmp_path: Path, made: list[str], method: str, repairs: int
) -> None:
    prepared = opened(tmp_path)
    first = halved(prepared, method)
    other = renamed(prepared, first)
    found_for(prepared, first)
    *_, state = Repairs(prepared).follow(other)
    assert state.recovery is not None
    # A repair that chooses other channels says by which criterion.
    assert made == [method] * repairs
    found = [state.recovery, found_for(prepared, other), found_for(opened(tmp_path), other)]
    expected = recover_plan(prepared, other, method=method).plan
    assert [item.plan for item in found] == [expected] * 3


def test_whatever_a_repair_depends_on_makes_another_one(tmp_path: Path) -> None:
    prepared = opened(tmp_path)
    plan = halved(prepared)
    other_weights = dataclasses.replace(prepared.subject, fingerprint="f" * 64)
    variants = {
        "the same": (prepared, plan),
        "mask": (prepared, set_ratio(plan, "conv2", 0.25)),
        "criterion": (
            prepared,
            dataclasses.replace(
                plan,
                entries=tuple(dataclasses.replace(item, criterion="fpgm") for item in plan.entries),
            ),
        ),
        "method": (prepared, dataclasses.replace(plan, repair="obs")),
        "seed": (opened(tmp_path, seed=1), plan),
        "calibration": (opened(tmp_path, calibration_samples=16), plan),
        "weights": (dataclasses.replace(prepared, subject=other_weights), plan),
    }
    keys = {name: repair_key(*item) for name, item in variants.items()}
    assert len(set(keys.values())) == len(keys), keys
    # Evaluated samples and batches are no part of it.
    assert repair_key(opened(tmp_path, samples=40, batch_size=20), plan) == keys["the same"]


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "no facts", "one bit"])
def test_a_damaged_file_is_made_again(tmp_path: Path, made: list[str], damage: str) -> None:
    prepared = opened(tmp_path)
    plan = halved(prepared)
    expected = found_for(prepared, plan)
    (path,) = (tmp_path / "repairs").iterdir()
    content = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "noise": bytes(200),
            # Tensors lie behind the header; a disk may turn one bit of them.
            "one bit": content[:-1] + bytes([content[-1] ^ 1]),
            "no facts": content.replace(b"error", b"orrer").replace(b'"repair"', b'"riaper"'),
        }[damage]
    )
    found = found_for(opened(tmp_path), plan)
    assert made == ["lsq", "lsq"]
    assert found.layers == expected.layers
    assert found_for(opened(tmp_path), plan).layers == expected.layers
    assert made == ["lsq", "lsq"]


@pytest.mark.parametrize("method", plan_repairs())
def test_all_speak_of_one_model(tmp_path: Path, method: str) -> None:
    """Live, Evaluate, the files of Export and the plan's file agree."""
    prepared = sample_context("resnet20")
    plan = halved(prepared, method)
    recovery = found_for(prepared, plan)
    evaluation = evaluate_plan(prepared, plan, recovery=recovery, latency_seconds=0)
    right = evaluation.removed.sums["correct"]
    subject = LoadedSubject(prepared)
    with_states = list(subject.repair(plan))
    assert with_states[-1].recovery is not None
    *_, live = subject.measure_repaired(plan, with_states[-1].recovery)
    assert live.sums["correct"] == right
    assert subject.known_repaired(plan) == live
    request = ExportRequest(
        prepared=prepared, plan=plan, recovery=recovery, directory=tmp_path, evaluation=evaluation
    )
    export("json", request)
    written = read_plan(tmp_path / "plan.json")
    assert written.repair == method
    # A search finds the same units again, from what it has chosen itself.
    again = evaluate_plan(
        prepared, written, recovery=found_for(prepared, written), latency_seconds=0
    )
    assert again.removed.sums["correct"] == right
    inputs, labels = _samples(prepared)
    assert labels is not None
    with torch.inference_mode():
        assert int((request.model()(inputs).argmax(1) == labels).sum()) == right
    if method in ("lsq", "search"):
        trip = round_trip(prepared, plan, recovery=recovery)
        assert trip.passed, trip
        assert trip.correct == right


def test_the_usual_repair() -> None:
    prepared = sample_context("resnet20")
    assert usual_repair(prepared).name == "lsq"
    assert usual_repair(prepared, semantics="weights").name == "bn"
    assert usual_repair(sample_context("lenet5"), semantics="weights").name == "none"
    bare = dataclasses.replace(prepared.subject, evaluation=None)
    assert usual_repair(dataclasses.replace(prepared, subject=bare)).name == "none"
