"""Trained weights belong to a plan: kept, found by all that measures or writes it, dropped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from analysis.cli.app import main
from analysis.comparison.plans import compare_plans
from analysis.edits.edit import Edit
from analysis.edits.prepared import PreparedSubject
from analysis.evaluation.evaluate import evaluate_plan
from analysis.evaluation.kept import keep_evaluation, kept_evaluation
from analysis.evaluation.session import LoadedSubject
from analysis.interop import ExportRequest, export, round_trip
from analysis.plans import editing
from analysis.plans.apply import resolve
from analysis.plans.files import write_plan
from analysis.plans.history import History
from analysis.records.plan import Plan
from analysis.recovery.files import read_recovery, write_recovery
from analysis.recovery.kept import repair_key, repaired_plan
from analysis.recovery.plan_repair import Recovery, recover_plan
from analysis.recovery.trained import keep_trained, training_recipe
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.reporting.report import Report, report_html
from analysis.snippets.verbs import evaluate_plan as snippet
from analysis.store.contents.plan_content import content_of
from analysis.store.store import Store
from pruners.errors import InputError, PlanError
from tests.analysis.recovery.test_kept import halved, opened

WORDS = "finetune, 3 epochs"
RECIPE = TrainingRecipe(method="gmp", epochs=2.0, lr=0.05)


def learned(prepared: PreparedSubject, plan: Plan) -> Recovery:
    """Return what a training might give: the repaired weights, and a bias that learned."""
    found = recover_plan(prepared, plan, method=plan.repair)
    name = "fc3.bias"
    tensors = dict(found.edit.tensors)
    bias = tensors.get(name, prepared.evaluator.state[name])
    tensors[name] = bias + torch.linspace(-3, 3, len(bias))
    edit = Edit(tensors, found.edit.kept)
    return dataclasses.replace(found, edit=edit, method="finetune")


@pytest.fixture
def trained(tmp_path: Path) -> tuple[PreparedSubject, Plan]:
    prepared = opened(tmp_path)
    plan = resolve(prepared, halved(prepared))
    return prepared, keep_trained(prepared, learned(prepared, plan), WORDS, recipe=RECIPE)


def test_all_speak_of_the_trained_weights(
    tmp_path: Path, trained: tuple[PreparedSubject, Plan]
) -> None:
    """What was trained is measured, compared, exported and told."""
    prepared, plan = trained
    assert plan.training is not None
    path = tmp_path / "trained" / f"{plan.training}.safetensors"
    assert path.is_file()
    # By a process that knows nothing but the workspace.
    prepared = opened(tmp_path)
    found = repaired_plan(prepared, plan)
    assert found is not None
    expected = learned(prepared, plan.repaired_by("lsq"))
    assert found.edit.tensors.keys() == expected.edit.tensors.keys()
    for name, item in expected.edit.tensors.items():
        assert torch.equal(found.edit.tensors[name], item)
    after = evaluate_plan(prepared, plan, recovery=found, latency_seconds=0)
    bare = plan.repaired_by("lsq")
    before = evaluate_plan(
        prepared, bare, recovery=repaired_plan(prepared, bare), latency_seconds=0
    )
    assert after.removed.accuracy != before.removed.accuracy
    assert (after.repair, after.trained) == ("lsq", WORDS)
    assert after.recovery_words == f"trained: {WORDS}"
    assert f"masked and removed are trained: {WORDS}" in after.notes
    both = compare_plans(prepared, bare, plan)
    assert (both.one.recovered_by, both.other.recovered_by) == ("lsq", WORDS)
    assert both.other.accuracy == after.removed.accuracy
    request = ExportRequest(
        prepared=prepared, plan=plan, recovery=found, directory=tmp_path / "out", evaluation=after
    )
    export("zip", request)
    card = json.loads((tmp_path / "out" / "model.json").read_text())
    assert (card["repair"], card["trained"]) == ("lsq", WORDS)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert f"trained: {WORDS}" in readme
    assert "--repair" not in readme
    assert Plan.from_json((tmp_path / "out" / "plan.json").read_text()).training == plan.training
    assert round_trip(prepared, plan, recovery=found).passed
    with pytest.raises(InputError, match="evaluate the model that you export"):
        export("json", dataclasses.replace(request, evaluation=before))
    assert "use_cache" in snippet("p-1", plan, None).python
    # The report named the training, but not its recipe.
    assert prepared.cache_folder is not None
    known = training_recipe(prepared.cache_folder.parent, plan)
    assert known == RECIPE.to_dict()
    page = report_html(
        Report(
            plan=plan, evaluation=after, identity=prepared.identity, title="Mine", training=known
        )
    )
    assert "method gmp, epochs 2.0, lr 0.05" in page
    assert f"The pruned model is trained: {WORDS}; on samples that are not evaluated." in page


def test_live_accuracy_is_of_the_trained_model(trained: tuple[PreparedSubject, Plan]) -> None:
    prepared, plan = trained
    subject = LoadedSubject(prepared)
    found = {}
    for item in (plan.repaired_by("lsq"), plan):
        *_, state = subject.repair(item)
        assert state.recovery is not None
        *_, live = subject.measure_repaired(item, state.recovery)
        measured = evaluate_plan(prepared, item, recovery=state.recovery, latency_seconds=0)
        assert live.accuracy == measured.removed.accuracy
        found[item.recovered_by] = live.accuracy
    assert found["lsq"] != found[WORDS]
    assert subject.known_repaired(plan) is not None


def test_evaluations_and_measurements_of_both_stand_beside_each_other(
    tmp_path: Path, trained: tuple[PreparedSubject, Plan]
) -> None:
    prepared, plan = trained
    store, bare = Store(tmp_path), plan.repaired_by("lsq")
    assert len({content_of(plan), content_of(bare), repair_key(prepared, plan)}) == 3
    assert repair_key(prepared, plan) != repair_key(prepared, bare)
    for item in (plan, bare):
        recovery = repaired_plan(prepared, item)
        found = evaluate_plan(prepared, item, recovery=recovery, latency_seconds=0)
        keep_evaluation(store, prepared, item, found)
        kept = kept_evaluation(store, prepared, item)
        assert kept is not None
        assert kept.evaluation.trained == item.trained
    # Live accuracy before training is of the raw plan.
    store.measurements.add(plan, prepared.identity, found.removed.sums)
    known = store.measurements.all(prepared.identity)
    assert [item.plan.trained for item in known] == [WORDS, "", ""]
    assert [item.plan.repair for item in known] == ["lsq", "lsq", "none"]


def test_what_changes_the_plan_drops_its_training_and_undo_brings_it_back(
    trained: tuple[PreparedSubject, Plan],
) -> None:
    """Trained weights of other units would be another model's."""
    prepared, plan = trained
    first = plan.entries[0]
    changes = [
        editing.set_ratio(plan, first.name, 0.25),
        editing.set_kept(plan, first.name, first.kept + 1),
        editing.set_criterion(plan, first.name, "l2"),
        editing.scale(plan, 0.5),
        editing.clear(plan),
        dataclasses.replace(plan, repair="bn"),
        dataclasses.replace(plan, repair="none"),
        dataclasses.replace(plan, semantics="weights"),
        dataclasses.replace(plan, reduction="max"),
        dataclasses.replace(plan, fingerprint="0" * 32),
        plan.repaired_by(plan.repair),
    ]
    assert [(item.training, item.trained) for item in changes] == [(None, "")] * len(changes)
    same = [
        editing.lock(plan, first.name),
        editing.set_ratio(plan, first.name, first.ratio),
        editing.compact(plan),
        editing.expand(editing.compact(plan), plan),
        resolve(prepared, plan),
        dataclasses.replace(plan, note="mine", strategy="search"),
        Plan.from_json(plan.to_json()),
    ]
    assert [item.training for item in same] == [plan.training] * len(same)
    past = History.start(plan).do(changes[0], action="ratio")
    assert past.plan.training is None
    assert past.undo().plan.training == plan.training
    # By hand, in a file.
    edited = {**plan.to_dict(), "repair": "bn"}
    assert Plan.from_dict(edited).training is None


def test_plans_from_before_training_are_read(trained: tuple[PreparedSubject, Plan]) -> None:
    _, plan = trained
    old = plan.repaired_by("lsq").to_dict()
    del old["training"], old["trained"]
    assert Plan.from_dict(old) == plan.repaired_by("lsq")
    # Contents of old evaluations are those of then.
    assert len(content_of(Plan.from_dict(old))) == 32


def test_missing_and_changed_weights_are_told_in_one_line(
    tmp_path: Path, trained: tuple[PreparedSubject, Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    _, plan = trained
    elsewhere = opened(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="has not got the trained weights") as error:
        repaired_plan(elsewhere, plan)
    assert "\n" not in str(error.value)
    assert WORDS in str(error.value)
    path = tmp_path / "trained" / f"{plan.training}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="other weights than were written"):
        repaired_plan(opened(tmp_path), plan)
    # A whole file, of another training.
    path.write_bytes(whole)
    found = read_recovery(path, elsewhere)
    tensors = {name: item + 1 for name, item in found.edit.tensors.items()}
    other = dataclasses.replace(found, edit=Edit(tensors, found.edit.kept))
    write_recovery(path, other)
    with pytest.raises(InputError, match="is not what was trained"):
        repaired_plan(opened(tmp_path), plan)
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be used"):
        repaired_plan(opened(tmp_path), plan)
    with pytest.raises(PlanError):
        repaired_plan(opened(tmp_path, model="sample:vgg_small"), plan)
    file = tmp_path / "plan.json"
    write_plan(plan, file)
    place = ["--plan", str(file), "--workspace", str(tmp_path)]
    assert main(["evaluate", *place, "--latency-seconds", "0"]) == 2
    # A repair takes the place of the training.
    assert main(["evaluate", *place, "--latency-seconds", "0", "--repair", "lsq", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"] == ""


def test_the_name_of_trained_weights_is_no_path(trained: tuple[PreparedSubject, Plan]) -> None:
    """A plan file could name any file of the machine to be opened as weights."""
    _, plan = trained
    assert plan.training is not None
    for name in (f"{plan.training[:12]}/../../secret", f"{plan.training}0", plan.training[:12]):
        assert dataclasses.replace(plan, training=name).training is None
    assert dataclasses.replace(plan, training=plan.training).training == plan.training
