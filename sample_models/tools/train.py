"""Train one sample model: `python -m sample_models.tools.train NAME`.

Only training data are read; the weights written are those of the last step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from sample_models.architectures import ARCHITECTURES
from sample_models.fashion_mnist import DEFAULT_DIR
from sample_models.files import PACKAGE
from sample_models.tools.materials import MATERIALS, Material
from sample_models.tools.recipes import RECIPES, Recipe

WEIGHTS = PACKAGE / "weights"


def make_optimizer(
    model: nn.Module, recipe: Recipe, *, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """Return the recipe's optimizer and its one-cycle schedule over `steps` steps."""
    groups = [
        {
            "params": [p for p in model.parameters() if p.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, recipe.beta2))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.lr,
        total_steps=steps,
        pct_start=recipe.warm_up,
        cycle_momentum=False,
    )
    return optimizer, schedule


def batches(
    material: Material, recipe: Recipe, *, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of batches in random order."""
    order = torch.randperm(material.count, generator=generator)
    # A shorter last batch would have noisier statistics, so it is left out.
    for start in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
        yield material.batch(order[start : start + recipe.batch_size], generator)


def classes_second(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return both so that the logits of a target lie along the second dimension.

    Logits of tokens (N, tokens, classes) have them last; of images and pixels, they have already.
    """
    if logits.ndim == 3:
        return logits.flatten(0, 1), targets.flatten()
    return logits, targets


def train(name: str, *, recipe: Recipe, data_dir: Path, seed: int) -> nn.Module:
    """Train a fresh model and return it in eval mode.

    Args:
        name: Name of the architecture.
        recipe: Hyper-parameters.
        data_dir: Folder with the original Fashion-MNIST files, where the model learns of them.
        seed: Seed of initialization, order and augmentation.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    material = MATERIALS[recipe.material](recipe, data_dir)
    model = ARCHITECTURES[name]()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = material.count // recipe.batch_size * recipe.epochs
    optimizer, schedule = make_optimizer(model, recipe, steps=steps)
    start = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        total_loss, correct, seen = 0.0, 0, 0
        for inputs, targets in batches(material, recipe, generator=generator):
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
                logits = model(inputs)
            logits, targets = classes_second(logits.float(), targets)
            loss = F.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * targets.numel()
            correct += int((logits.argmax(1) == targets).sum())
            seen += targets.numel()
        _report(name, epoch, recipe.epochs, total_loss / seen, correct / seen, start)
    return model.eval()


def _report(name: str, epoch: int, epochs: int, loss: float, accuracy: float, start: float) -> None:
    spent = time.monotonic() - start
    left = spent / epoch * (epochs - epoch)
    print(
        f"{name} epoch {epoch}/{epochs} train loss {loss:.4f} train accuracy {accuracy:.4f} "
        f"{spent / 60:.1f} min, {left / 60:.1f} min left",
        flush=True,
    )


def save(model: nn.Module, path: Path, *, name: str, recipe: Recipe, seed: int) -> None:
    """Write the weights as safetensors, with how they were made in the header."""
    tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
    made = {
        "name": name,
        "seed": seed,
        "recipe": dataclasses.asdict(recipe),
        "torch": torch.__version__,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"training": json.dumps(made, sort_keys=True)})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_models.tools.train", description=__doc__
    )
    parser.add_argument("name", choices=sorted(ARCHITECTURES))
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DIR, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, help="(default: as in sample_models/tools/recipes.py)"
    )
    parser.add_argument("--out", type=Path, help="(default: the package's weights folder)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    options = parser.parse_args(argv)
    # Sums depend on the number of threads; one thread is what the shipped weights were made with.
    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.name]
    if options.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    try:
        model = train(options.name, recipe=recipe, data_dir=options.data_dir, seed=options.seed)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out = options.out or WEIGHTS / f"{options.name}.safetensors"
    save(model, out, name=options.name, recipe=recipe, seed=options.seed)
    print(f"wrote {out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
