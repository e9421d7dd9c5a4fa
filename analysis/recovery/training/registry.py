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
            make=lambda context: sparsity.FixedMasks(context.trainee),
            citation="Han et al. 2015, arXiv:1506.02626; Li et al. 2017, arXiv:1608.08710",
        ),
        TrainingMethod(
            name="iterative",
            label="Iterative",
            help="pruned in equal parts with training between them, scored anew before each",
            make=lambda context: sparsity.GrowingMasks(context, "iterative"),
            citation="Han et al. 2015, arXiv:1506.02626, section 3",
            regrows=True,
            may_regrow=True,
        ),
        TrainingMethod(
            name="linear",
            label="Linear",
            help="the ratio grows evenly while the model is trained",
            make=lambda context: sparsity.GrowingMasks(context, "linear"),
            regrows=True,
            may_regrow=True,
        ),
        TrainingMethod(
            name="gmp",
            label="GMP (AGP)",
            help="the ratio grows by a cubic schedule while the model is trained: fast at first, "
            "when there is much to spare",
            make=lambda context: sparsity.GrowingMasks(context, "cubic"),
            citation="Zhu, Gupta 2017, arXiv:1710.01878, equation 1",
            regrows=True,
            may_regrow=True,
        ),
        TrainingMethod(
            name="gmp_star",
            label="GMP*",
            help="GMP that begins with a jump, distills from the dense model, and lets the rate "
            "fall to 0 and rise again with each move of the masks",
            make=lambda context: sparsity.GrowingMasks(context, "cubic", cycles=True),
            citation="Kurtic, Alistarh 2022, arXiv:2210.06384",
            regrows=True,
            may_regrow=True,
            preset={
                "initial_ratio": 0.6,
                "distill": 0.9,
                "schedule": "constant",
                "warm_up": 0.0,
            },
        ),
        TrainingMethod(
            name="acdc",
            label="AC/DC",
            help="pruned and dense training take turns, dense first and pruned last; each time the "
            "units are chosen anew",
            make=lambda context: sparsity.AlternatingMasks(context),
            citation="Peste et al. 2021, arXiv:2106.12379, algorithm 1",
            regrows=True,
        ),
        TrainingMethod(
            name="movement",
            label="Movement",
            help="keeps the weights that training moves away from zero, by scores that are learned",
            make=lambda context: sparsity.MovementMasks(context),
            citation="Sanh, Wolf, Rush 2020, arXiv:2005.07683, section 4 (hard)",
            regrows=True,
        ),
        TrainingMethod(
            name="soft_movement",
            label="Soft movement",
            help="movement with a threshold on the scores and a penalty that makes them fall; in "
            "the end as many stay as the plan says",
            make=lambda context: sparsity.SoftMovementMasks(context),
            citation="Sanh, Wolf, Rush 2020, arXiv:2005.07683, section 4 (soft)",
            regrows=True,
        ),
        TrainingMethod(
            name="obert",
            label="oBERT",
            help="weights go by the curvature of the loss and the others of their block make up "
            "for them, by a cubic schedule; the rate rises anew each time. Not for channels",
            make=lambda context: sparsity.SurgeonMasks(context),
            citation="Kurtic et al. 2022, arXiv:2203.07259, section 3.1",
            regrows=True,
            prunes_units=False,
        ),
        TrainingMethod(
            name="sparsegpt",
            label="SparseGPT first",
            help="the repair obs, then training with the masks of the plan",
            make=lambda context: sparsity.SurgeryFirst(context),
            citation="Frantar, Alistarh 2023, arXiv:2301.00774, algorithm 1",
        ),
        TrainingMethod(
            name="transfer",
            label="Sparse transfer",
            help="keeps what is zero in the given weights, beside what the plan prunes; a new head "
            "stays dense",
            make=lambda context: sparsity.KeptZeros(context),
            citation="Iofinova et al. 2022, arXiv:2111.13445",
            needs_pruning=False,
        ),
        TrainingMethod(
            name="layerwise",
            label="Layer by layer",
            help="one layer after the other in the order of execution: pruned, then the whole "
            "network trained for some steps",
            make=lambda context: sparsity.LayerwiseMasks(context),
            citation="AIMET, user guide: per-layer fine-tuning",
            regrows=True,
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
