"""The registry of training methods.

Names and help are known without torch: what the entries do is looked up when they do it.
"""

from __future__ import annotations

from analysis.recovery.training import sparsity
from analysis.recovery.training.method import TrainingMethod
from pruners.registry import Registry

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
