"""What a training was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.files import read_given
from analysis.records import Count, Document, PositiveCount, Share
from analysis.recovery.training.data import check_augmentations
from analysis.recovery.training.rates import RATES, REWIND
from analysis.recovery.training.registry import (
    FINETUNE,
    OPTIMIZERS,
    TRAINING_METHODS,
    TRAINING_PRECISIONS,
)
from analysis.subjects import allowed_paths, parse_function
from pruners.errors import InputError

# Field -> what it must be, for values that JSON may hold but training cannot use.
_ABOVE_ZERO = ("epochs", "minutes", "lr", "clip_norm", "temperature", "score_lr", "phase_epochs")
_AT_LEAST_ZERO = ("weight_decay", "penalty", "damp")
_SHARES: tuple[str, ...] = ("distill", "begin", "end", "drops", "int8_share")
# What no training needs more of, and numbers do not overflow with.
_LARGEST = 1e30
_MOST = 10**6
_BELOW_ONE = ("momentum", "label_smoothing", "warm_up", "ema", "initial_ratio", "selection")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe(Document):
    """How a pruned model is trained. The seed is no part of it: one recipe runs with several.

    Attributes:
        method: One of `TRAINING_METHODS`.
        train_data: Address of the training data; None takes the training samples that the
            subject's data know.
        epochs: How often each training sample is seen; counts where neither steps nor minutes do.
        least_steps: Steps at least, where epochs of few samples would be fewer.
        steps: Optimizer steps instead.
        minutes: Time instead: the number of steps is fixed at the start, from timed ones.
        batch_size: Samples a batch.
        accumulate: Batches an optimizer step.
        optimizer: ``sgd`` or ``adamw``.
        momentum: Of SGD (Nesterov); 0 for none.
        weight_decay: Of weights with two or more dims.
        lr: Largest learning rate; None finds one by a range test.
        schedule: One of `RATES`.
        warm_up: Share of the steps in which the rate rises to ``lr``.
        drops: Shares of the steps after which ``step`` lowers the rate to a tenth.
        rewind: File of the original training's recipe, for the schedule ``rewind``.
        precision: ``fp32``, ``bf16`` or ``fp16`` (with scaled gradients).
        int8_share: Share of the steps, the last ones, in which layers round weights and inputs as
            an export in 8 bits does; zeros stay zero. 0 for none.
        clip_norm: Largest norm of all gradients together; None for no limit.
        label_smoothing: Share of each target that is spread over all classes.
        distill: Weight of the divergence from the dense model, 0..1; the rest is the task's loss.
        temperature: Of the distillation.
        ema: Decay a step of averaged weights, which then are the result; None for none.
        patience: Stop after so many epochs without gain on the selection samples, and keep the
            best; None trains to the end and keeps the last. What was better before the first
            step is kept either way.
        selection: Share of the training data that is set apart to select by, 2,000 at most.
        augment: Names of augmentations, or ``file.py:function``.
        user_loop: A loop of one's own instead: ``file.py:function(model, masks, epochs)``.
        initial_ratio: Ratio with which methods begin that prune on the way.
        begin: Share of the steps before masks move.
        end: Share of the steps after which they stay.
        updates: How often masks move.
        phase_epochs: Length of each phase of methods that have phases.
        score_lr: Learning rate of scores, of methods that learn them; None for the method's own.
        penalty: Weight of the penalty on scores; None for the method's own.
        gradients: Gradients that second-order methods average.
        damp: What they add to the diagonal.
        block: Size of their blocks.
        layer_steps: Steps after each layer of methods that go layer by layer; None shares them out.
        regrow: Whether what is pruned may come back.

    Raises:
        InputError: A value is out of its range, or two contradict each other.
        UnknownNameError: No such method or schedule.
    """

    method: str = FINETUNE
    train_data: str | None = None
    epochs: float = 1.0
    least_steps: Count = 0
    steps: PositiveCount | None = None
    minutes: float | None = None
    batch_size: PositiveCount = 128
    accumulate: PositiveCount = 1
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    lr: float | None = None
    schedule: str = "cosine"
    warm_up: Share = 0.1
    drops: tuple[Share, ...] = (0.5, 0.75)
    rewind: str | None = None
    precision: str = "fp32"
    int8_share: Share = 0.0
    clip_norm: float | None = None
    label_smoothing: Share = 0.0
    distill: Share = 0.0
    temperature: float = 4.0
    ema: Share | None = None
    patience: PositiveCount | None = None
    selection: Share = 0.1
    augment: tuple[str, ...] = ()
    user_loop: str | None = None
    initial_ratio: Share = 0.0
    begin: Share = 0.0
    end: Share = 0.75
    updates: PositiveCount = 20
    phase_epochs: float = 1.0
    score_lr: float | None = None
    penalty: float | None = None
    gradients: PositiveCount = 1024
    damp: float = 1e-7
    block: PositiveCount = 50
    layer_steps: Count | None = None
    regrow: bool = False

    @classmethod
    def of(cls, method: str, **given: Any) -> TrainingRecipe:
        """Return the recipe of a method with its preset, where nothing else is given.

        Raises:
            InputError: As the recipe's.
            UnknownNameError: As the recipe's.
        """
        return cls(**{**TRAINING_METHODS.get(method).preset, **given, "method": method})

    def __post_init__(self) -> None:
        TRAINING_METHODS.get(self.method)
        RATES.get(self.schedule)
        OPTIMIZERS.get(self.optimizer)
        TRAINING_PRECISIONS.get(self.precision)
        for names, fits, what in (
            (_ABOVE_ZERO, lambda value: 0 < value < math.inf, "above 0"),
            (_AT_LEAST_ZERO, lambda value: 0 <= value < math.inf, "at least 0"),
            (
                (*_ABOVE_ZERO, *_AT_LEAST_ZERO, "steps", "least_steps", "layer_steps"),
                lambda value: value <= _LARGEST,
                f"at most {_LARGEST:g}",
            ),
            (
                ("updates", "gradients", "accumulate", "epochs", "phase_epochs", "minutes"),
                lambda value: value <= _MOST,
                f"at most {_MOST:,}",
            ),
            (_BELOW_ONE, lambda value: 0 <= value < 1, "at least 0 and below 1"),
            (_SHARES, lambda value: 0 <= value <= 1, "0 to 1"),
        ):
            self._require(names, fits, what)
        for names in (
            ("steps", "batch_size", "accumulate", "patience"),
            ("updates", "gradients", "block"),
        ):
            self._require(names, lambda value: value >= 1, "at least 1")
        self._check_pairs()
        check_augmentations(self.augment)
        if self.user_loop is not None:
            parse_function(self.user_loop, "training loop")

    @property
    def samples_per_step(self) -> int:
        """Samples of an optimizer step."""
        return self.batch_size * self.accumulate

    def _require(self, names: tuple[str, ...], fits: Any, what: str) -> None:
        for name in names:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            for item in values:
                if not fits(item):
                    raise InputError(f"the recipe's {name} must be {what}; found {_told(item)}")

    def _check_pairs(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise InputError(
                f"the recipe asks for {self.steps} steps and for {self.minutes:g} minutes; give one"
            )
        if self.begin > self.end:
            raise InputError(
                f"the recipe's masks begin to move at {self.begin:g} of the steps and end at "
                f"{self.end:g}; begin must not come after end"
            )
        if (self.schedule == REWIND) != (self.rewind is not None):
            raise InputError(
                "the schedule rewind needs the recipe of the original training (rewind), and "
                f"no other schedule takes one; found schedule {self.schedule} and rewind "
                f"{self.rewind or 'none'}"
            )
        if self.user_loop is not None and self.method != FINETUNE:
            raise InputError(
                f"a training loop of one's own (user_loop) trains what the plan leaves, so it goes "
                f"with {FINETUNE}; found method {self.method}"
            )
        if self.user_loop is not None and self.int8_share:
            raise InputError(
                "a training loop of one's own (user_loop) runs the model itself, so nothing is "
                f"rounded for it; leave out int8_share {self.int8_share:g}, or the loop"
            )
        if self.regrow and not TRAINING_METHODS.get(self.method).may_regrow:
            raise InputError(
                f"training method {self.method} has no use for regrow; leave it out, or take gmp"
            )
        if self.patience is not None and self.selection == 0:
            raise InputError(
                "stopping early (patience) needs samples to select by; give a selection above 0"
            )


def _told(number: float) -> str:
    """Return a number; a whole one may be too large to be written as others are."""
    try:
        return f"{number:g}"
    except OverflowError:
        return "a larger one"


def original_recipe(
    recipe: TrainingRecipe, *, roots: Sequence[Path] | None = None
) -> TrainingRecipe | None:
    """Return the recipe whose learning rates are rewound to; None where none are.

    Args:
        recipe: Names its file.
        roots: Folders below which files may lie; None allows everything.

    Raises:
        AddressError: The file is not there, or may not be read.
        InputError: It holds no recipe, or one without a learning rate of its own.
    """
    if recipe.rewind is None:
        return None
    path = allowed_paths.check_path(Path(recipe.rewind), roots=roots)
    try:
        text = read_given(path).decode("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the original recipe {str(path)!r}: {error}") from None
    original = TrainingRecipe.from_json(text)
    if original.lr is None or original.schedule == REWIND or original.minutes is not None:
        raise InputError(
            f"the original recipe {str(path)!r} must give lr, epochs or steps, and a schedule "
            f"other than {REWIND}"
        )
    return original
