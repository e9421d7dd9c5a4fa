"""What a recipe chooses from by name.

Names and help are known without torch: what the entries do is looked up when they do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.recovery import training
from analysis.recovery.training import sparsity
from analysis.recovery.training.method import TrainingMethod
from pruners.registry import Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from analysis.recovery.training.recipe import TrainingRecipe

Groups = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerKind:
    """An optimizer.

    Attributes:
        name: Name in commands and files.
        label: Name on pages.
        help: What it is, in plain words.
        make: Makes one of parameter groups, without a rate of its own.
    """

    name: str
    label: str
    help: str
    make: Callable[[Groups, TrainingRecipe], Optimizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPrecision:
    """What the forward pass of a training computes in; weights stay float32.

    Attributes:
        name: Name in commands and files.
        label: Name on pages.
        help: What it is, in plain words.
        dtype: Name of the torch type; empty for the weights' own.
        is_scaled: Whether gradients would vanish in it unless the loss is scaled up.
    """

    name: str
    label: str
    help: str
    dtype: str = ""
    is_scaled: bool = False


FINETUNE = "finetune"
TRAINING_METHODS = Registry(
    "training method",
    (
        TrainingMethod(
            name=FINETUNE,
            label="Fine-tuning",
            help="all is pruned at once, then the rest is trained",
            make=lambda context: sparsity.FixedMasks(context),
            citation="Han et al. 2015; Li et al. 2017",
        ),
    ),
)
OPTIMIZERS = Registry(
    "optimizer",
    (
        OptimizerKind(
            name="sgd",
            label="SGD",
            help="gradient descent with Nesterov's momentum",
            make=lambda groups, recipe: training.sgd(groups, recipe),
        ),
        OptimizerKind(
            name="adamw",
            label="AdamW",
            help="Adam with decoupled weight decay",
            make=lambda groups, recipe: training.adamw(groups, recipe),
        ),
    ),
)
TRAINING_PRECISIONS = Registry(
    "training precision",
    (
        TrainingPrecision(name="fp32", label="float32", help="float32 in full"),
        TrainingPrecision(
            name="bf16", label="bfloat16", help="forward pass in bfloat16", dtype="bfloat16"
        ),
        TrainingPrecision(
            name="fp16",
            label="float16",
            help="forward pass in float16, with scaled gradients",
            dtype="float16",
            is_scaled=True,
        ),
    ),
)
