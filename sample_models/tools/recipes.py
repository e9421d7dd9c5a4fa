"""Training hyper-parameters of each sample model, as used for the shipped weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained.

    Attributes:
        epochs: Passes over the samples.
        material: What the model is trained on, a key of `sample_models.tools.materials.MATERIALS`.
        optimizer: SGD with Nesterov momentum 0.9, or AdamW.
        lr: Peak of the one-cycle schedule.
        weight_decay: Applied to weights of two or more dimensions only.
        warm_up: Part of the steps before the peak.
        beta2: How slowly AdamW forgets squared gradients.
        clip: Largest norm of the gradient; None lets it be.
        batch_size: Samples per step.
        smoothing: Label smoothing.
        shift: Largest random shift in pixels, in each direction.
        bf16: Forward pass in bfloat16 autocast; chosen where it is faster on a CPU with
            avx512_bf16. The weights stay float32.
    """

    epochs: int
    material: Literal["images", "text", "scenes", "sounds"] = "images"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    weight_decay: float = 5e-4
    warm_up: float = 0.2
    beta2: float = 0.999
    clip: float | None = None
    batch_size: int = 128
    smoothing: float = 0.05
    shift: int = 2
    bf16: bool = False


RECIPES: dict[str, Recipe] = {
    "lenet5": Recipe(
        epochs=20, optimizer="adamw", lr=2e-3, weight_decay=0.01, smoothing=0.0, shift=1, bf16=True
    ),
    "vgg_small": Recipe(epochs=18, bf16=True),
    "resnet20": Recipe(epochs=22, bf16=True),
    "mobilenet_small": Recipe(epochs=18, weight_decay=1e-4),
    "densenet_small": Recipe(epochs=18, bf16=True),
    "vit_tiny": Recipe(epochs=14, optimizer="adamw", lr=2e-3, weight_decay=0.05, shift=1),
    "llama_tiny": Recipe(
        epochs=5,
        material="text",
        optimizer="adamw",
        lr=3e-3,
        weight_decay=0.1,
        warm_up=0.05,
        beta2=0.95,
        clip=1.0,
        batch_size=16,
        smoothing=0.0,
    ),
    "unet_small": Recipe(
        epochs=5,
        material="scenes",
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.01,
        batch_size=16,
        smoothing=0.0,
        bf16=True,
    ),
    "kws_conv1d": Recipe(
        epochs=36,
        material="sounds",
        optimizer="adamw",
        lr=3e-3,
        weight_decay=0.05,
        batch_size=64,
        bf16=True,
    ),
}
