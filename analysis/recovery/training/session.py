"""A training as it stands: one optimizer step after another, and all that must be kept of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.amp import GradScaler

from analysis.edits import PreparedSubject
from analysis.memory import is_out_of_memory
from analysis.recovery.training.method import Context
from analysis.recovery.training.optimizers import (
    load_optimizer_state,
    optimizer_state,
    parameter_groups,
    selected_state,
)
from analysis.recovery.training.passes import RoundedPass, TrainingLoss, weight_of_dense
from analysis.recovery.training.registry import (
    OPTIMIZERS,
    TRAINING_METHODS,
    TRAINING_PRECISIONS,
)
from analysis.recovery.training.sparsity import FixedMasks
from analysis.recovery.training.state import (
    Average,
    Best,
    Checkpoint,
    Generators,
    parts,
    training_key,
)
from pruners.batches import Inputs
from pruners.errors import InputError, PruneScopeError, one_line
from pruners.preserve import twin
from pruners.user_code import no_exit

if TYPE_CHECKING:
    from analysis.recovery.training.data import TrainingData
    from analysis.recovery.training.recipe import TrainingRecipe
    from analysis.recovery.training.several import Team
    from analysis.recovery.training.trainee import Trainee

# Where float16 computes as fast as it is small.
HALF_DEVICES = ("cuda", "xpu")
Batch = tuple[Inputs, Tensor | None]


class Session:
    """The parts of a training, and one step of it.

    Args:
        prepared: The subject.
        trainee: What is trained.
        data: What it learns from.
        recipe: How.
        seed: Of order, dropout and all else that is drawn.
        steps: Optimizer steps of the whole training.

    Attributes:
        steps: The same.
        steps_per_epoch: Steps in which each sample is seen once.
        sparsity: What the method does around each step.
        is_settled: Whether masks move no more.
        best: The best weights by the selection samples.
        seen: Sums since the last report: steps, samples, task loss, distillation, total.
        team: The processes that share each batch; None where this is the only one.

    Raises:
        InputError: The device does not compute in the recipe's precision, or the data has no
            labels and the task's loss has a weight.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        trainee: Trainee,
        data: TrainingData,
        recipe: TrainingRecipe,
        *,
        seed: int,
        steps: int,
    ) -> None:
        trainee.lay_out()
        self.trainee, self.steps, self._recipe = trainee, steps, recipe
        self._device = prepared.subject.example.device
        precision = TRAINING_PRECISIONS.get(recipe.precision)
        self._dtype = _dtype(precision.dtype, self._device)
        self._scaler = GradScaler(self._device.type, enabled=precision.is_scaled)
        self._open_optimizer()
        self._sampler = data.sampler(batch_size=recipe.batch_size, seed=seed)
        self.generators = Generators(seed, self._device)
        self.loss = training_loss(prepared, recipe)
        if not data.train.has_labels and self.loss.alpha < 1:
            raise InputError(
                "the training data have no labels; train on the dense model's outputs alone "
                "(distill 1), or give labelled data"
            )
        self.steps_per_epoch = steps_per_epoch(self._sampler.batches_per_epoch, recipe)
        self._average = None if recipe.ema is None else Average(self.tensors(), decay=recipe.ema)
        self.best = Best()
        self.seen = torch.zeros(5, dtype=torch.float32, device=self._device)
        self.team: Team | None = None
        self._fixed: FixedMasks | None = None
        self.is_settled = not TRAINING_METHODS.get(recipe.method).regrows
        self.sparsity = TRAINING_METHODS.get(recipe.method).make(
            Context(
                trainee=trainee,
                recipe=recipe,
                steps=steps,
                steps_per_epoch=self.steps_per_epoch,
                optimizer=self._optimizer,
                seed=seed,
                batches=lambda count: first_batches(data, recipe, seed, count),
                loss=self.loss,
            )
        )

    def _open_optimizer(self) -> None:
        model = self.trainee.model
        kind = OPTIMIZERS.get(self._recipe.optimizer)
        self._optimizer = kind.make(parameter_groups(model), self._recipe)
        self._names: dict[Tensor, str] = {item: name for name, item in model.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """Return the model's parameters and buffers of real numbers, shared ones once."""
        return self.trainee.tensors()

    def result(self) -> dict[str, Tensor]:
        """Return the weights that count now: the averaged ones where there are any."""
        return self.tensors() if self._average is None else dict(self._average.tensors)

    def lead(self, step: int, rate: float) -> None:
        """Do one optimizer step, and have the other processes of the team do it; see `step`."""
        if self.team is not None:
            self.team.tell(step, rate)
        self.step(step, rate)

    def check(self) -> None:
        """Check that all processes of the team have the same weights and masks.

        Raises:
            InputError: They have not.
        """
        if self.team is not None:
            self.team.check(self.digest())

    def step(self, step: int, rate: float) -> None:
        """Do one optimizer step.

        Args:
            step: Counted from 0.
            rate: The schedule's learning rate.
        """
        batches = [self._sampler.next() for _ in range(self._recipe.accumulate)]
        acting = self._fixed or self.sparsity
        acting.before_forward(step)
        self._optimizer.zero_grad(set_to_none=True)
        self._backward(batches, step)
        penalty = acting.penalty(step)
        if penalty is not None:
            _backpropagate(self._scaler.scale(penalty))
        self._scaler.unscale_(self._optimizer)
        acting.before_step(step)
        if self._recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.trainee.model.parameters(), self._recipe.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = self.sparsity.rate(step, rate)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        acting.after_step(step)
        if self._average is not None:
            self._average.update(self.tensors())
        if not self.is_settled and not self.sparsity.moves_after(step):
            self._settle()

    def see(self, step: int) -> None:
        """Sum up the losses of the next batches as a step does, and learn nothing."""
        if self.is_settled:
            batches = [self._sampler.next() for _ in range(self._recipe.accumulate)]
            self._add_gradients(batches, _samples(batches), step, learns=False)
        else:
            # Masks move with the steps, and change the loss.
            self.step(step, 0.0)

    def _backward(self, batches: list[Batch], step: int) -> None:
        """Add up the gradients of some batches, of all processes, as if they were one."""
        samples = _samples(batches)
        if self.team is None:
            self._add_gradients(batches, samples, step)
        else:
            own = [self.team.part(batch) for batch in batches]
            weight = _samples(own) / samples
            with self.team.sharing(self.trainee.model, self.seen, step=step, weight=weight):
                self._add_gradients(own, samples, step)
        self.seen[0] += 1
        self.seen[1] += samples

    def _add_gradients(
        self, batches: list[Batch], samples: int, step: int, *, learns: bool = True
    ) -> None:
        rounds = step >= self.steps * (1 - self._recipe.int8_share)
        run = RoundedPass(self.trainee.model) if rounds else self.trainee.model
        for inputs, targets in batches:
            share = len(inputs) / samples
            with _told_in_one_line():
                with self._autocast():
                    outputs = _checked(run(inputs))
                    found = self.loss(outputs, inputs, targets)
                if learns:
                    _backpropagate(self._scaler.scale(found.total * share))
            distill = found.task.new_zeros(()) if found.distill is None else found.distill
            values = torch.stack([found.task, distill, found.total.detach()]).float()
            self.seen[2:] += values * share

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, self._dtype)

    def _settle(self) -> None:
        """Remove what is masked, now that masks move no more; the optimizer goes on as it was."""
        self.is_settled = True
        smaller = self.trainee.smaller()
        if smaller is None:
            return
        state = selected_state(optimizer_state(self._optimizer, self._names), smaller.small)
        smaller.lay_out()
        self.trainee = smaller
        self._fixed = FixedMasks(smaller)
        self._open_optimizer()
        load_optimizer_state(self._optimizer, self._names, state)
        if self._average is not None:
            self._average.tensors = smaller.small(self._average.tensors)

    def finish(self) -> None:
        """Leave exactly what the plan keeps, after the last step."""
        if self._fixed is None:
            self.sparsity.finish()

    def checkpoint(self, facts: Mapping[str, Any]) -> Checkpoint:
        """Return all of the training."""
        return Checkpoint(
            {**facts, "scaler": self._scaler.state_dict(), "settled": self.is_settled},
            parts(
                model=self.trainee.state(),
                mask=self.trainee.masks,
                optimizer=optimizer_state(self._optimizer, self._names),
                sampler=self._sampler.state(),
                generators=self.generators.state(),
                sparsity=self.sparsity.state(),
                average={} if self._average is None else self._average.state(),
                best=self.best.state(),
                seen={"sums": self.seen},
            ),
        )

    def digest(self) -> str:
        """Return what changes with any weight or mask, as hexadecimal digits."""
        return training_key(parts(state=self.trainee.state(), mask=self.trainee.masks), [])

    @torch.no_grad()
    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from what `checkpoint` returned."""
        masks, trainee = checkpoint.part("mask"), self.trainee
        trainee.set_masks([(item, masks[trainee.key(item)]) for item in trainee.targets])
        if checkpoint.facts["settled"] and not self.is_settled:
            self._settle()
        state = self.trainee.state()
        for name, item in checkpoint.part("model").items():
            state[name].copy_(item)
        load_optimizer_state(self._optimizer, self._names, checkpoint.part("optimizer"))
        self._sampler.load_state(checkpoint.part("sampler"))
        self.generators.load_state(checkpoint.part("generators"))
        self.sparsity.load_state(checkpoint.part("sparsity"))
        if self._average is not None:
            self._average.load_state(checkpoint.part("average"))
        self.best.load_state(checkpoint.part("best"), self._device)
        self.seen.copy_(checkpoint.part("seen")["sums"])
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(checkpoint.facts["scaler"]))


def _samples(batches: list[Batch]) -> int:
    return sum(len(inputs) for inputs, _ in batches)


def _backpropagate(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Turn what a model raises in train mode into one line.

    Raises:
        InputError: The model, or its gradients, cannot be computed.
    """
    try:
        with no_exit():
            yield
    except PruneScopeError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(
                "memory ran out while training; take a smaller batch_size, and accumulate"
            ) from error
        # A model may raise anything.
        raise InputError(
            f"the model cannot be trained: in train mode it raised {one_line(error)}"
        ) from error


def _checked(outputs: object) -> Tensor:
    """Return the outputs of a model in train mode, if a loss can be taken of them.

    Raises:
        InputError: They are no tensor, or have no gradients.
    """
    if not isinstance(outputs, Tensor):
        raise InputError(
            f"the model cannot be trained: in train mode it returns a {type(outputs).__name__}, "
            "not the tensor that it returns in eval mode; wrap it so that both are the same"
        )
    if not outputs.requires_grad:
        raise InputError(
            "the model cannot be trained: its outputs have no gradients; take torch.no_grad, "
            "inference_mode or detach out of its forward pass"
        )
    return outputs


def _dtype(name: str, device: torch.device) -> torch.dtype | None:
    if not name:
        return None
    dtype: torch.dtype = getattr(torch, name)
    if dtype == torch.float16 and device.type not in HALF_DEVICES:
        raise InputError(
            f"precision fp16 needs a GPU; the subject is on {device.type}: take fp32, or bf16"
        )
    return dtype


def training_loss(prepared: PreparedSubject, recipe: TrainingRecipe) -> TrainingLoss:
    """Return the loss of a recipe.

    Raises:
        InputError: It spreads targets over classes, and the task has none.
    """
    if recipe.label_smoothing and not prepared.subject.num_classes:
        task = prepared.subject.task.name
        raise InputError(
            f"label_smoothing needs classes, which the task {task} does not have; set it to 0"
        )
    return TrainingLoss(
        task=prepared.subject.task,
        smoothing=recipe.label_smoothing,
        alpha=weight_of_dense(prepared.subject.task, recipe.distill),
        temperature=recipe.temperature,
        dense=twin(prepared.model),
    )


def steps_per_epoch(batches: int, recipe: TrainingRecipe) -> int:
    """Return the optimizer steps in which so many batches are seen."""
    return max(1, math.ceil(batches / recipe.accumulate))


def first_batches(data: TrainingData, recipe: TrainingRecipe, seed: int, count: int) -> list[Batch]:
    """Return the first batches of a training; its sampler does not move."""
    sampler = data.sampler(batch_size=recipe.batch_size, seed=seed)
    return [sampler.next() for _ in range(count)]
