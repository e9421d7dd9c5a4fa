"""Measure models and write their cards: `python -m sample_models.tools.cards [NAME ...]`.

Without names no model is measured. The table in the README is rewritten from the cards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sample_models.architectures import ARCHITECTURES
from sample_models.fashion_mnist import normalize
from sample_models.files import PACKAGE
from sample_models.images import load_images
from sample_models.model_card import Card, card_path, read_card
from sample_models.zoo import names, weights_path

README = PACKAGE / "README.md"
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"

ORIGINS: dict[str, tuple[str, str]] = {
    "lenet5": ("chain without norm, flatten into linear", "LeCun et al., Proc. IEEE 86(11), 1998"),
    "vgg_small": ("chain of conv-BN-ReLU, flatten into linear", "arXiv:1409.1556"),
    "resnet20": ("residual sums", "arXiv:1512.03385"),
    "mobilenet_small": ("inverted residuals, depthwise, ReLU6", "arXiv:1801.04381"),
    "densenet_small": ("concatenation, pre-activation", "arXiv:1608.06993"),
    "vit_tiny": ("attention, layer norm, one residual stream", "arXiv:2010.11929"),
}


@torch.inference_mode()
def count_correct(model: nn.Module, *, batch_size: int = 50) -> tuple[int, int]:
    """Return how many test images a model in eval mode gets right, and how many there are."""
    images, labels = load_images("test")
    correct = 0
    for start in range(0, len(images), batch_size):
        logits = model(normalize(images[start : start + batch_size]))
        correct += int((logits.argmax(1) == labels[start : start + batch_size]).sum())
    return correct, len(labels)


@torch.inference_mode()
def count_macs(model: nn.Module) -> int:
    """Return the multiply-adds for one image, bias, norms and activations excluded."""
    # The fused attention kernel of the CPU is not counted; its plain form is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, 28, 28))
    return int(counter.get_total_flops()) // 2


def make_card(name: str) -> Card:
    """Measure the weights in the package's folder and return their card."""
    content = weights_path(name).read_bytes()
    model = ARCHITECTURES[name]()
    model.load_state_dict(safetensors.torch.load(content))
    model.eval()
    made = _training(weights_path(name))
    correct, total = count_correct(model)
    topology, paper = ORIGINS[name]
    epochs, seed = made["recipe"]["epochs"], made["seed"]
    return Card(
        name=name,
        topology=topology,
        paper=paper,
        parameters=sum(p.numel() for p in model.parameters()),
        macs=count_macs(model),
        correct=correct,
        total=total,
        command=f"python -m sample_models.tools.train {name} --seed {seed} --epochs {epochs}",
        seed=seed,
        epochs=epochs,
        torch=made["torch"],
        licence="MIT",
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _training(path: Path) -> dict[str, Any]:
    """Return what `sample_models.tools.train` wrote into the header of a weights file."""
    with safe_open(path, framework="pt") as file:
        made: dict[str, Any] = json.loads(file.metadata()["training"])
    return made


def table(cards: Sequence[Card]) -> str:
    """Return the cards as a Markdown table."""
    lines = [
        "| name | topology | test accuracy | parameters | MACs | weights | epochs |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for card in cards:
        size = weights_path(card.name).stat().st_size
        lines.append(
            f"| `{card.name}` | {card.topology} | {card.accuracy:.2%} ({card.correct:,} of "
            f"{card.total:,}) | {card.parameters:,} | {card.macs / 1e6:.2f} M | "
            f"{size / 1e6:.2f} MB | {card.epochs} |"
        )
    return "\n".join(lines)


def write_table(readme: Path) -> None:
    """Replace what lies between the two marks of the README by the table of all cards."""
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = table([read_card(name) for name in names()])
    readme.write_text(f"{before}{BEGIN}\n{rows}\n{END}{after}", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_models.tools.cards", description=__doc__
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="model to measure")
    options = parser.parse_args(argv)
    unknown = sorted(set(options.names) - set(ARCHITECTURES))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}, known are {', '.join(ARCHITECTURES)}")
    for name in options.names:
        card = make_card(name)
        text = json.dumps(card.to_dict(), indent=2) + "\n"
        card_path(name).write_text(text, encoding="utf-8")
        print(f"{name}: {card.correct} of {card.total} correct, {card.macs / 1e6:.2f} M MACs")
    write_table(README)
    return 0


if __name__ == "__main__":
    sys.exit(main())
