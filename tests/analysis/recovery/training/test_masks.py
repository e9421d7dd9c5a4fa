"""What is pruned stays pruned, and what is trained is what is exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import fx, nn

from analysis.edits import PreparedSubject
from analysis.plans import mask_of_entry
from analysis.recovery import recovered_model
from analysis.recovery.training import (
    TRAINING_METHODS,
    Context,
    Trainee,
    TrainingMethod,
    TrainingRecipe,
    iter_training,
)
from analysis.recovery.training.data import open_training_data
from analysis.recovery.training.session import Session
from analysis.recovery.training.sparsity import FixedMasks
from pruners.errors import UnsupportedError
from tests.helpers.slow_training import after
from tests.helpers.trainable import opened, plan_of

Subjects = dict[str, PreparedSubject]


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    folder = tmp_path_factory.mktemp("subjects")
    return {name: opened(folder, name) for name in ("normed", "dropped", "halved")}


def session_of(
    prepared: PreparedSubject, trainee: Trainee, recipe: TrainingRecipe, *, steps: int = 20
) -> Session:
    data = open_training_data(prepared, recipe, seed=1)
    return Session(prepared, trainee, data, recipe, seed=1, steps=steps)


def losses(session: Session, steps: int) -> list[float]:
    found = []
    for step in range(steps):
        session.step(step, 0.05)
        found.append(float(session.seen[-1]))
        session.seen.zero_()
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("granularity", ["element", "block:1x2", "2:4", "channel"])
def test_zeros_stay_zero_after_every_step(
    subjects: Subjects, granularity: str, optimizer: str
) -> None:
    """Bit for bit, without a sign, with decay and momentum; and their momentum is zero as well."""
    prepared = subjects["dropped"]
    recipe = TrainingRecipe(lr=0.05, batch_size=16, optimizer=optimizer, weight_decay=0.1)
    trainee = Trainee(prepared, plan_of(prepared, granularity=granularity), is_dense_shaped=True)
    session = session_of(prepared, trainee, recipe)
    assert trainee.parameter_masks
    for step in range(6):
        session.step(step, 0.05)
        for name, mask in trainee.parameter_masks.items():
            lost = trainee.model.get_parameter(name).detach()[~mask]
            assert len(lost)
            assert not lost.view(torch.int32).any()
    state = session.checkpoint({}).part("optimizer")
    for name, mask in trainee.parameter_masks.items():
        moments = [item for key, item in state.items() if key.startswith(name) and item.dim()]
        assert moments
        assert all(not item[~mask].any() and item[mask].any() for item in moments)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_masked_training_is_that_of_the_smaller_model(subjects: Subjects, optimizer: str) -> None:
    """The same loss at every step, batch norms in train mode and the norm of gradients included."""
    prepared = subjects["normed"]
    plan = plan_of(prepared)
    recipe = TrainingRecipe(lr=0.05, batch_size=16, optimizer=optimizer, clip_norm=0.5, ema=0.9)
    masked = Trainee(prepared, plan, is_dense_shaped=True)
    removed = Trainee(prepared, plan)
    assert removed.is_smaller
    assert not masked.is_smaller
    sessions = [session_of(prepared, item, recipe) for item in (masked, removed)]
    one, other = (losses(session, 12) for session in sessions)
    assert one == pytest.approx(other, rel=1e-4)
    assert one[-1] < one[0]
    found = [
        session.trainee.recovery("", tensors=session.result()).edit.tensors for session in sessions
    ]
    inputs = prepared.subject.example
    outputs = [
        prepared.evaluator.evaluate(prepared.evaluator.dense(inputs), item) for item in found
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)


def test_what_is_trained_is_what_is_exported(subjects: Subjects) -> None:
    """The smaller model in training, the edit that evaluation takes, and the exported module."""
    prepared = subjects["normed"]
    recipe = TrainingRecipe(lr=0.05, batch_size=16, steps=6)
    *_, last = iter_training(prepared, plan_of(prepared), recipe, seed=1)
    assert last.recovery is not None
    inputs = prepared.subject.example
    evaluator = prepared.evaluator
    live = evaluator.evaluate(evaluator.dense(inputs), last.recovery.edit.tensors)
    with torch.no_grad():
        exported = recovered_model(prepared, last.recovery)(inputs)
    torch.testing.assert_close(exported, live, rtol=1e-4, atol=1e-5)
    assert last.recovery.method == "finetune"


def test_what_removal_rewrites_is_trained_in_its_own_class(subjects: Subjects) -> None:
    """Trap of the reference: in the rewritten graph no batch norm and no dropout trains."""
    prepared = subjects["halved"]
    plan = plan_of(prepared)
    trainee = Trainee(prepared, plan)
    assert not trainee.is_smaller
    assert type(trainee.model) is type(prepared.model)
    recipe = TrainingRecipe(lr=0.05, batch_size=16, steps=6)
    before = {name: item.clone() for name, item in trainee.tensors().items()}
    session = session_of(prepared, trainee, recipe)
    losses(session, 6)
    for name in ("norm.running_mean", "norm.running_var", "conv.weight", "out.weight"):
        assert not torch.equal(before[name], trainee.tensors()[name])
    inputs = prepared.subject.example
    with torch.no_grad():
        assert not torch.equal(trainee.model(inputs), trainee.model(inputs))  # dropout
    recovery = trainee.recovery("finetune")
    smaller = recovered_model(prepared, recovery)
    assert isinstance(smaller, fx.GraphModule)
    with torch.no_grad():
        expected = trainee.model.eval()(inputs)
        torch.testing.assert_close(smaller(inputs), expected, rtol=1e-4, atol=1e-5)


def test_what_masks_cannot_stand_for_is_refused(tmp_path: Path) -> None:
    """A norm over channels sees zeros of masked ones, and the rewritten graph does not train."""
    prepared = opened(tmp_path, "mixed")
    with pytest.raises(UnsupportedError, match="enter rewrites the model's graph, which cannot be"):
        Trainee(prepared, plan_of(prepared))


def test_units_and_elements_of_one_layer_are_pruned_together(subjects: Subjects) -> None:
    """A mask of elements is cut as the weight is that it belongs to."""
    prepared = subjects["normed"]
    channels, elements = plan_of(prepared), plan_of(prepared, granularity="element", ratio=0.3)
    plan = dataclasses.replace(channels, entries=channels.entries + elements.entries)
    recipe = TrainingRecipe(lr=0.05, batch_size=16)
    sessions = [
        session_of(prepared, Trainee(prepared, plan, is_dense_shaped=is_dense), recipe)
        for is_dense in (False, True)
    ]
    one, other = (losses(session, 5) for session in sessions)
    assert one == pytest.approx(other, rel=1e-4)
    kept = sessions[0].checkpoint({})
    again = session_of(prepared, Trainee(prepared, plan), recipe)
    again.load(kept)
    assert again.trainee.parameter_masks.keys() == sessions[0].trainee.parameter_masks.keys()
    for name, mask in again.trainee.parameter_masks.items():
        assert torch.equal(mask, sessions[0].trainee.parameter_masks[name])
    tensors = sessions[0].trainee.recovery("").edit.tensors
    for entry in elements.entries:
        _, mask = mask_of_entry(prepared, entry)
        assert not tensors[f"{entry.layer}.weight"][~mask].any()


def test_the_semantics_of_weights_masks_what_makes_the_channels(subjects: Subjects) -> None:
    """Nothing is removed then: norms and readers go on with what zero rows give."""
    prepared = subjects["normed"]
    plan = dataclasses.replace(plan_of(prepared), semantics="weights")
    trainee = Trainee(prepared, plan)
    assert not trainee.is_smaller
    assert set(trainee.parameter_masks) == {"0.weight", "3.weight"}
    losses(session_of(prepared, trainee, TrainingRecipe(batch_size=16)), 3)
    for name, mask in trainee.parameter_masks.items():
        assert not trainee.model.get_parameter(name).detach()[~mask].any()


def test_a_model_with_a_shared_weight_trains_it_once(tmp_path: Path) -> None:
    """Its mask, its state and what is learned go by its first name."""
    prepared = opened(tmp_path, "shared")
    trainee = Trainee(prepared, plan_of(prepared, granularity="element"))
    session = session_of(prepared, trainee, TrainingRecipe(batch_size=16))
    losses(session, 3)
    names = session.checkpoint({}).part("model")
    assert "1.weight" in names
    assert "3.weight" not in names
    assert isinstance(trainee.model, nn.Sequential)
    assert trainee.model[1].weight is trainee.model[3].weight
    assert set(trainee.parameter_masks) == {"1.weight", "5.weight"}
    # A method that masks by layers meets the weight under both of its names.
    zeros = Trainee(prepared, plan_of(prepared, granularity="element"))
    losses(session_of(prepared, zeros, TrainingRecipe(method="transfer", batch_size=16)), 3)
    assert set(zeros.parameter_masks) == {"1.weight", "5.weight"}
    lost = ~zeros.parameter_masks["1.weight"]
    assert lost.any()
    assert not zeros.model.get_parameter("1.weight").detach()[lost].any()


# --- what becomes smaller on the way ---------------------------------------------------------


class Sudden(FixedMasks):
    """Dense, and all at once pruned before the fourth step."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.trainee)
        self._trainee = context.trainee
        self._planned = dict(context.trainee.masks)
        self._trainee.open()

    def moves_after(self, step: int) -> bool:
        return step < 3

    def before_forward(self, step: int) -> None:
        if step == 3:
            masks = [(item, self._planned[item.name]) for item in self._trainee.targets]
            self._trainee.set_masks(masks)
            self._trainee.mask_weights()


@pytest.fixture
def sudden() -> Iterator[None]:
    with TRAINING_METHODS.restored():
        TRAINING_METHODS.register(
            TrainingMethod(name="sudden", label="S", help="s", make=Sudden, regrows=True)
        )
        yield


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_optimizer_goes_on_with_what_is_kept(
    subjects: Subjects, monkeypatch: pytest.MonkeyPatch, sudden: None, optimizer: str
) -> None:
    """Its state is that of a masked run at the kept places, bit for bit, and so are the losses."""
    prepared = subjects["normed"]
    recipe = TrainingRecipe(
        method="sudden", lr=0.05, batch_size=16, optimizer=optimizer, ema=0.9, steps=10
    )
    sessions = []
    for settles in (True, False):
        trainee = Trainee(prepared, plan_of(prepared), is_dense_shaped=True)
        sessions.append(session_of(prepared, trainee, recipe, steps=10))
        sessions[-1].is_settled = not settles
    removed, masked = sessions
    assert losses(removed, 4) == losses(masked, 4)
    assert removed.trainee.is_smaller
    assert not masked.trainee.is_smaller
    own, whole = (item.checkpoint({}).part("optimizer") for item in sessions)
    assert own.keys() == whole.keys()
    for where, state in own.items():
        name = where.rpartition(":")[0]
        aim = whole[where]
        assert torch.equal(state, removed.trainee.small({name: aim})[name] if aim.dim() else aim)
    for name, item in removed.result().items():
        assert torch.equal(item, removed.trainee.small(masked.result())[name])
    assert losses(removed, 6) == pytest.approx(losses(masked, 6), rel=1e-4)


def test_what_became_smaller_is_resumed_so(
    subjects: Subjects, sudden: None, tmp_path: Path
) -> None:
    """Bit for bit, before and after the change of its structure."""
    prepared = subjects["dropped"]
    recipe = TrainingRecipe(method="sudden", lr=0.05, batch_size=16, steps=10, ema=0.9, patience=2)
    options = {"plan": plan_of(prepared), "recipe": recipe, "seed": 1}
    *_, whole = iter_training(prepared, **options)
    for stop in (2, 4, 2):
        *_, part = iter_training(prepared, **options, folder=tmp_path, cancel=after(stop))
    assert part.step == 8
    *_, rest = iter_training(prepared, **options, folder=tmp_path)
    assert whole.recovery is not None
    assert rest.recovery is not None
    one, other = whole.recovery.edit.tensors, rest.recovery.edit.tensors
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert rest.recovery.plan == whole.recovery.plan


def test_images_are_laid_out_for_speed_where_the_model_allows(tmp_path: Path) -> None:
    """`view` after a convolution refuses channels-last; learned weights do not tell."""
    recipe = TrainingRecipe(lr=0.02, batch_size=16, steps=9)
    for name, is_laid_out in (("plain", True), ("viewed", False)):
        prepared = opened(tmp_path, name)
        trainee = Trainee(prepared, plan_of(prepared))
        data = open_training_data(prepared, recipe, seed=1)
        before = torch.random.get_rng_state()
        Session(prepared, trainee, data, recipe, seed=1, steps=1)
        assert torch.equal(torch.random.get_rng_state(), before)
        weight = trainee.model.get_parameter("2.weight" if name == "plain" else "last.weight")
        assert weight.is_contiguous() is not is_laid_out
        *_, last = iter_training(prepared, plan_of(prepared), recipe, seed=1)
        assert last.recovery is not None
        assert all(item.is_contiguous() for item in last.recovery.edit.tensors.values())
