"""Make the shipped data file from the original one: `python -m sample_models.tools.data`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sample_models.fashion_mnist import CLASSES, DEFAULT_DIR, read_raw
from sample_models.images import DATA_FACTS, DATA_FILE

SEED = 0
PER_CLASS = 200


def choose_balanced(labels: Tensor, *, per_class: int, seed: int) -> Tensor:
    """Choose the same number of images of each class at random.

    Args:
        labels: Class of each image.
        per_class: Images to choose of each class.
        seed: Seed of the choice.

    Returns:
        Sorted indices, so that any first part of them is mixed as the original file is.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in range(len(CLASSES)):
        members = (labels == label).nonzero()[:, 0]
        chosen.append(members[torch.randperm(len(members), generator=generator)[:per_class]])
    return torch.cat(chosen).sort().values


def make(data_dir: Path, *, out: Path, facts: Path) -> None:
    """Write the data file and the JSON file with its checksum, origin and licence."""
    test_images, test_labels = read_raw(data_dir, split="test")
    images, labels = read_raw(data_dir, split="train")
    chosen = choose_balanced(labels, per_class=PER_CLASS, seed=SEED)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        test_images=test_images[:, 0].numpy(),
        test_labels=test_labels.numpy().astype(np.uint8),
        calibration_images=images[chosen, 0].numpy(),
        calibration_labels=labels[chosen].numpy().astype(np.uint8),
    )
    content = {
        "schema_version": 1,
        "name": "Fashion-MNIST",
        "source": "https://github.com/zalandoresearch/fashion-mnist",
        "licence": "MIT, copyright 2017 Zalando SE",
        "test": "all 10,000 test images in the original order",
        "calibration": f"{PER_CLASS} training images of each class, seed {SEED}",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    facts.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_models.tools.data", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DIR, help="(default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        make(options.data_dir, out=DATA_FILE, facts=DATA_FACTS)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {DATA_FILE} ({DATA_FILE.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
