"""Train a pruned model: step by step, to be stopped and taken up again at any time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from analysis.edits import PreparedSubject
from analysis.records import Plan
from analysis.recovery.plan_repair import Recovery
from analysis.recovery.training.cost import cost_of, opened_trainee, tried_rate
from analysis.recovery.training.data import TrainingData, open_training_data
from analysis.recovery.training.rates import rate_at, rewound_rate
from analysis.recovery.training.recipe import TrainingRecipe, original_recipe
from analysis.recovery.training.session import Session
from analysis.recovery.training.several import Meeting, check_devices, leading, order_of
from analysis.recovery.training.state import (
    Checkpoint,
    Store,
    parts,
    read_checkpoint,
    training_key,
)
from analysis.recovery.training.update import (
    DONE,
    STOPPED,
    TIMING,
    SelectionScore,
    TrainingPoint,
    TrainingUpdate,
)
from analysis.recovery.training.users_loop import users_training
from analysis.subjects.data import Split
from pruners.batches import Inputs
from pruners.errors import InputError
from pruners.float32 import float32
from pruners.preserve import twin

# What is computed between two checkpoints is what a killed training loses.
CHECKPOINT_SECONDS = 20.0
# Points of a curve; more cannot be told apart.
POINTS = 200
# Looks at the selection samples, at least.
LOOKS = 10
# Dense outputs of the selection samples are kept up to this size.
KEPT_BYTES = 2**26
_NOTHING_DONE = {"step": 0, "seconds": 0.0, "stopped": False}


def iter_training(
    prepared: PreparedSubject,
    plan: Plan,
    recipe: TrainingRecipe,
    *,
    seed: int,
    folder: Path | None = None,
    start: Recovery | None = None,
    cancel: Callable[[], bool] = lambda: False,
    roots: Sequence[Path] | None = None,
    apart: Split | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    meeting: Meeting | None = None,
) -> Iterator[TrainingUpdate]:
    """Train a plan's model and tell how it goes.

    A training of the same content that was stopped or killed goes on from the checkpoint in its
    folder, and ends bit for bit as one that ran through. Several devices of the subject share each
    batch, a process each.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned.
        recipe: How it is trained.
        seed: Of order, dropout, augmentation and all else that is drawn.
        folder: Where checkpoint and history are kept; None keeps nothing.
        start: The repaired plan to start from; None starts from the dense weights.
        cancel: Asked before each step; the checkpoint is kept.
        roots: Folders below which files may lie; None allows everything.
        apart: Samples that the trained model is judged on; see `open_training_data`.
        checkpoint_seconds: A killed training loses no more than what it did in this time.
        meeting: Other machines that share each batch; None for this one alone.

    Yields:
        Updates; the last one has what was learned.

    Raises:
        PlanError: The plan does not fit the subject.
        InputError: Nothing is pruned, data are missing or do not fit, the device does not compute
            in the recipe's precision, the loss is not finite, or the processes of several devices
            cannot work together.
        StoreError: The folder cannot be written.
        CancelledError: It was cancelled while rates were tried, before the first step.
    """
    trainee = opened_trainee(prepared, plan, recipe, start)
    if recipe.user_loop is not None:
        yield from users_training(trainee, recipe, seed=seed, roots=roots)
        return
    data = open_training_data(prepared, recipe, seed=seed, roots=roots, apart=apart)
    machines = () if meeting is None else meeting.machines
    spec, batch_size = prepared.subject.spec, min(recipe.batch_size, len(data.train))
    check_devices(spec.device, batch_size, machines=machines)
    original = original_recipe(recipe, roots=roots)
    entries = [entry.to_dict() for entry in trainee.plan.entries]
    key = training_key(
        parts(state=trainee.state(), mask=trainee.parameter_masks),
        [recipe.to_dict(), seed, data.fingerprint, original and original.to_dict(), entries],
    )
    kept = None if folder is None else read_checkpoint(folder, key)
    facts = {} if kept is None else dict(kept.facts)
    if kept is None:
        yield TrainingUpdate(step=0, steps=0, epoch=0, rate=0, ratio=0, stage=TIMING)
        cost = cost_of(prepared, trainee, data, recipe)
        lr = (original or recipe).lr
        lr = lr or tried_rate(prepared, trainee, data, recipe, seed=seed, cost=cost, cancel=cancel)
        facts = {"steps": cost.steps, "lr": lr, "step_seconds": cost.step_seconds, **_NOTHING_DONE}
    session = Session(prepared, trainee, data, recipe, seed=seed, steps=facts["steps"])
    run = _Run(prepared, session, data, recipe, facts, original)
    run.rate(0)
    if kept is not None:
        session.load(kept)
    store = Store(folder, key, seconds=checkpoint_seconds)
    store.open(run.step, is_new=kept is None)
    if kept is None:
        store.save(run.checkpoint())
    order = order_of(
        prepared,
        trainee.plan,
        recipe,
        seed=seed,
        steps=run.steps,
        data=data,
        roots=roots,
        machines=machines,
    )
    tensors = {} if start is None else start.edit.tensors
    with leading(order, tensors, run.checkpoint, cancel=cancel, meeting=meeting) as session.team:
        yield from _trained(run, store, cancel)


def _trained(run: _Run, store: Store, cancel: Callable[[], bool]) -> Iterator[TrainingUpdate]:
    """Train to the end, or until cancelled."""
    with run.computing():
        point = run.begun()
    yield run.update(point, notes=run.notes)
    while not run.is_over and not cancel():
        with run.computing():
            found = run.advance(lambda: cancel() or store.is_due)
        if found is not None:
            point = found
            store.append(point)
        if store.is_due or run.is_over:
            run.check_finite()
            store.save(run.checkpoint())
        if found is not None and not run.is_over:
            yield run.update(point)
    if run.is_over:
        with run.computing():
            recovery = run.finished()
        about = {"is_done": True, "keeps_start": run.session.best.is_start}
        yield run.update(point, stage=DONE, recovery=recovery, **about)
    else:
        run.check_finite()
        store.save(run.checkpoint())
        yield run.update(run.point(), stage=STOPPED, recovery=run.stopped())


class _Run:
    """A training with its clock."""

    def __init__(
        self,
        prepared: PreparedSubject,
        session: Session,
        data: TrainingData,
        recipe: TrainingRecipe,
        facts: dict[str, Any],
        original: TrainingRecipe | None,
    ) -> None:
        self._original = original
        self.session, self._recipe, self._data = session, recipe, data
        self.notes = data.words
        self._task, self._batch_size = prepared.subject.task, prepared.batch_size
        self._dense_model, self._dense = twin(prepared.model), list[Tensor]()
        self.facts = facts
        self.steps, self.lr = session.steps, float(facts["lr"])
        # Some buffers are infinite from the start, as masks of attention are.
        self._finite = {name for name, item in session.tensors().items() if item.isfinite().all()}
        self._every = max(1, self.steps // POINTS)
        self._look = max(1, min(session.steps_per_epoch, math.ceil(self.steps / LOOKS)))
        self._clock = time.perf_counter()
        self._point_seconds = float(facts["seconds"])

    @property
    def step(self) -> int:
        return int(self.facts["step"])

    @property
    def is_over(self) -> bool:
        return self.step >= self.steps or bool(self.facts["stopped"])

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Use the training's own generators, and count the time."""
        self._clock = time.perf_counter()
        with float32(), self.session.generators.in_use():
            yield
        self._count_time()

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.facts["seconds"] += now - self._clock
        self._clock = now

    def checkpoint(self) -> Checkpoint:
        """Return all of the training, which is the same in all of its processes."""
        self.session.check()
        return self.session.checkpoint(self.facts)

    def rate(self, step: int) -> float:
        """Return the schedule's learning rate of a step.

        Raises:
            InputError: The original training, which is rewound to, had fewer steps.
        """
        if self._original is not None:
            # Counted in samples: the original may have had other batches.
            longer = self._recipe.samples_per_step / self._original.samples_per_step
            return rewound_rate(
                self._original,
                (self.steps - step) * longer,
                steps_per_epoch=self.session.steps_per_epoch * longer,
            )
        return rate_at(self._recipe, step, self.steps, lr=self.lr)

    def _used_rate(self) -> float:
        step = max(0, self.step - 1)
        return self.session.sparsity.rate(step, self.rate(step))

    def advance(self, interrupted: Callable[[], bool]) -> TrainingPoint | None:
        """Train up to the next point of the curves; None if interrupted before it."""
        while True:
            self.session.lead(self.step, self.rate(self.step))
            self.facts["step"] += 1
            is_last = self.step == self.steps
            looks = is_last or self.step % self._look == 0
            selection = self._score() if looks else None
            if looks or self.step % self._every == 0:
                self._count_time()
                return self.point(self._sums(), selection=selection)
            if interrupted():
                return None

    def begun(self) -> TrainingPoint:
        """Return where the training begins, the start's score with it where that can be kept.

        Nothing is known of a start that still has what goes later, nor of one that steps will
        round to 8 bits.
        """
        is_answer = self.session.is_settled and self.session.sparsity.ratio >= 1
        is_kept = is_answer and not self._recipe.int8_share and self.step == 0
        if not is_kept or self._data.selection is None:
            return self.point()
        found = self._measured(self._data.selection)
        self.session.best.see(found.score, 0, self.session.result())
        return self.point(selection=found)

    def _score(self) -> SelectionScore | None:
        """Ask the selection samples, keep the best weights, and see whether to stop.

        Without patience the last weights are the result, unless the start was better.
        """
        if self._data.selection is None:
            return None
        found = self._measured(self._data.selection)
        session, patience = self.session, self._recipe.patience
        if patience is None:
            if session.best.tensors and self.step == self.steps:
                session.best.see(found.score, self.step, session.result(), ties=True)
        elif session.is_settled:
            session.best.see(found.score, self.step, session.result())
            since = self.step - session.best.step
            if session.best.tensors and since >= patience * session.steps_per_epoch:
                self.facts["stopped"] = True
        return found

    @torch.no_grad()
    def _measured(self, split: Split) -> SelectionScore:
        model, weights = self.session.trainee.model.eval(), self.session.result()
        rows, keeps, seen = [], not self._dense, 0
        for number, (inputs, targets) in enumerate(split.batches(self._batch_size)):
            dense = self._dense_outputs(number, inputs, keeps=keeps)
            outputs = functional_call(model, weights, (inputs,))
            if bool(outputs.isnan().any()):
                raise self._diverged("model's answers are")
            first, seen = seen, seen + len(inputs)
            groups = split.groups(first, seen)
            rows.append(self._task.vector(dense, outputs, targets, groups))
        model.train()
        sums = self._task.sums(torch.stack(rows).sum(0).tolist())
        interval = self._task.score_interval(sums)
        score = self._task.score(sums)
        return SelectionScore(
            score=score, low=interval.low, high=interval.high, samples=sums.samples
        )

    def _dense_outputs(self, number: int, inputs: Inputs, *, keeps: bool) -> Tensor:
        if not keeps and number < len(self._dense):
            return self._dense[number]
        dense: Tensor = self._dense_model(inputs)
        if keeps and sum(item.nbytes for item in self._dense) + dense.nbytes <= KEPT_BYTES:
            self._dense.append(dense)
        return dense

    def _sums(self) -> list[float]:
        """Return the sums since the last point; they start anew."""
        sums: list[float] = self.session.seen.tolist()
        self.session.seen.zero_()
        if not math.isfinite(sums[-1]):
            raise self._diverged("training loss is")
        return sums

    def check_finite(self) -> None:
        """Refuse weights that can be neither used nor gone on with.

        Raises:
            InputError: Some are not finite: the last step was too large, which no loss tells yet.
        """
        tensors = (*self.session.tensors().items(), *self.session.result().items())
        if not all(item.isfinite().all() for name, item in tensors if name in self._finite):
            raise self._diverged("weights are")

    def _diverged(self, what: str) -> InputError:
        return InputError(
            f"the {what} not finite at step {self.step}; lower the learning rate "
            f"({self.lr:g}), or limit the gradients (clip_norm)"
        )

    def point(
        self, sums: Sequence[float] = (0.0,) * 5, *, selection: SelectionScore | None = None
    ) -> TrainingPoint:
        """Return where the training is.

        Args:
            sums: What the session has seen since the last point.
            selection: The score of the selection samples, where it was asked for.
        """
        count, samples, task, distill, total = sums
        seconds = float(self.facts["seconds"])
        spent, self._point_seconds = seconds - self._point_seconds, seconds
        pace = seconds / self.step if self.step else float(self.facts["step_seconds"])
        return TrainingPoint(
            step=self.step,
            steps=self.steps,
            epoch=self.step / self.session.steps_per_epoch,
            rate=self._used_rate(),
            ratio=self.session.sparsity.ratio,
            loss=total / count if count else None,
            task_loss=task / count if count and self._data.train.has_labels else None,
            distill_loss=distill / count if count and self.session.loss.alpha else None,
            selection=selection,
            seconds=seconds,
            images_per_second=samples / spent if spent > 0 else 0.0,
            eta_seconds=0.0 if self.is_over else pace * (self.steps - self.step),
        )

    def update(self, point: TrainingPoint, **changes: Any) -> TrainingUpdate:
        """Return a point as it is told."""
        values = {item.name: getattr(point, item.name) for item in fields(point)}
        return TrainingUpdate(**{**values, **changes})

    def stopped(self) -> Recovery | None:
        """Return what was learned so far, if all is pruned."""
        is_pruned = self.session.is_settled
        return self._recovery(self.session.result()) if is_pruned else None

    def finished(self) -> Recovery:
        """Return what was learned: the best weights where they were looked for, else the last."""
        self.session.finish()
        best = self.session.best
        is_best = self._recipe.patience is not None or best.is_start
        return self._recovery((best.tensors if is_best else {}) or self.session.result())

    def _recovery(self, tensors: dict[str, Tensor]) -> Recovery:
        masks = self.session.trainee.parameter_masks
        exact = {
            name: item.masked_fill(~masks[name], 0) if name in masks else item
            for name, item in tensors.items()
        }
        return self.session.trainee.recovery(
            self._recipe.method, tensors=exact, seconds=float(self.facts["seconds"])
        )
