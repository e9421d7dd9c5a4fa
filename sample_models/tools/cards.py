"""Measure models and write their cards: `python -m sample_models.tools.cards [NAME ...]`.

Without names no model is measured. The table in the README is rewritten from the cards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sample_models.architectures import ARCHITECTURES
from sample_models.data_sets import DATA_SETS
from sample_models.files import PACKAGE
from sample_models.king_james import IGNORED
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
    "llama_tiny": (
        "grouped queries, rotary positions, SwiGLU, tied embeddings",
        "arXiv:2302.13971, arXiv:2305.13245",
    ),
    "unet_small": ("concatenation skips, transposed convolutions", "arXiv:1505.04597"),
    "kws_conv1d": ("1-D convolutions on raw sound, residual sums", "arXiv:1610.00087"),
}


# What models are measured on where it is not Fashion-MNIST, and by what where not by accuracy.
DATA = {"llama_tiny": "king-james", "unet_small": "scenes", "kws_conv1d": "keywords"}
METRICS = {"llama_tiny": "perplexity", "unet_small": "mIoU"}
_BATCH = 50


@torch.inference_mode()
def measure(
    model: nn.Module, *, data: str, metric: str = "accuracy", samples: int | None = None
) -> tuple[float, int]:
    """Measure a model in eval mode on the test samples.

    Args:
        model: The model.
        data: Name of a data set.
        metric: A key of `SUMS`.
        samples: So many from the first on; all without a number.

    Returns:
        What was measured, and the number of samples.
    """
    source = DATA_SETS[data]
    inputs, targets = (part[:samples] for part in source.load("test"))
    sums, value = SUMS[metric]
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(inputs), _BATCH):
        outputs = model(source.prepare(inputs[start : start + _BATCH]))
        total = total + sums(outputs, targets[start : start + _BATCH]).double()
    return float(value(total)), len(targets)


def _right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return how many answers are right, and how many there are."""
    return torch.tensor([int((outputs.argmax(1) == targets).sum()), targets.numel()])


def _overlaps(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the pixels of each class, (classes, 2): in answer and target, in either of them."""
    answers, classes = outputs.argmax(1), outputs.shape[1]
    both = targets[answers == targets].bincount(minlength=classes)
    seen = answers.flatten().bincount(minlength=classes)
    seen = seen + targets.flatten().bincount(minlength=classes)
    return torch.stack([both, seen - both], 1)


def _tokens(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of all tokens in nats, and how many there are."""
    flat = outputs.flatten(0, 1), targets.flatten()
    loss = F.cross_entropy(*flat, ignore_index=IGNORED, reduction="sum")
    return torch.stack([loss, (targets != IGNORED).sum()])


# Metric -> what is summed over batches, and what the sums come to.
SUMS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "accuracy": (_right, lambda total: total[0] / total[1]),
    "mIoU": (_overlaps, lambda total: (total[:, 0] / total[:, 1]).mean()),
    "perplexity": (_tokens, lambda total: (total[0] / total[1]).exp()),
}


@torch.inference_mode()
def count_macs(model: nn.Module, *, data: str = "fashion-mnist") -> int:
    """Return the multiply-adds for one input, bias, norms and activations excluded."""
    # The fused attention kernel of the CPU is not counted; its plain form is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(DATA_SETS[data].example(1))
    return int(counter.get_total_flops()) // 2


def make_card(name: str) -> Card:
    """Measure the weights in the package's folder and return their card."""
    content = weights_path(name).read_bytes()
    model = ARCHITECTURES[name]()
    model.load_state_dict(safetensors.torch.load(content))
    model.eval()
    made = _training(weights_path(name))
    topology, paper = ORIGINS[name]
    data = DATA.get(name, "fashion-mnist")
    metric = METRICS.get(name, "accuracy")
    value, total = measure(model, data=data, metric=metric)
    epochs, seed = made["recipe"]["epochs"], made["seed"]
    return Card(
        name=name,
        topology=topology,
        paper=paper,
        parameters=sum(p.numel() for p in model.parameters()),
        macs=count_macs(model, data=data),
        data=data,
        metric=metric,
        value=value,
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
        "| name | topology | data | measured | parameters | MACs | weights | epochs |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for card in cards:
        size = weights_path(card.name).stat().st_size
        lines.append(
            f"| `{card.name}` | {card.topology} | `{card.data}` | {_measured(card)} "
            f"| {card.parameters:,} | {card.macs / 1e6:.2f} M | "
            f"{size / 1e6:.2f} MB | {card.epochs} |"
        )
    return "\n".join(lines)


def _measured(card: Card) -> str:
    """Return what was measured, in words."""
    if card.metric == "accuracy":
        right = round(card.value * card.total)
        return f"{card.value:.2%} ({right:,} of {card.total:,})"
    return f"{card.metric} {card.value:.3f}"


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
        print(f"{name}: {_measured(card)}, {card.macs / 1e6:.2f} M MACs")
    write_table(README)
    return 0


if __name__ == "__main__":
    sys.exit(main())
