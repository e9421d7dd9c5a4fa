"""What `lsq` and `obs` cost as networks get deeper: one pass through the layers, or two a layer.

Residual networks for images of 32x32 (6 n + 2 layers, random weights) lose every second input
channel of every layer. Printed are processor seconds of each way of repairing them, in turns, and
the largest difference of their weights.

Run ``python benchmarks/repair_depth.py --blocks 1,3,9``.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.reconstruction import Repair, least_squares, obs_fit, repair_layers

FITS = {"lsq": least_squares, "obs": obs_fit}
WIDTHS = (16, 32, 64)
MANY_BYTES = 2**40


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.stride, self.more = stride, wider - width
        self.conv1 = nn.Conv2d(width, wider, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(wider, wider, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(wider), nn.BatchNorm2d(wider)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, wider, H, W)``."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(shortcut, (0, 0, 0, 0, 0, self.more)))


def network(blocks: int) -> nn.Module:
    """Return a residual network with three stages of so many blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, 1, 1), nn.BatchNorm2d(WIDTHS[0])]
    width = WIDTHS[0]
    for wider in WIDTHS:
        for _ in range(blocks):
            layers.append(Block(width, wider, 1 if wider == width else 2))
            width = wider
    tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return nn.Sequential(*layers, *tail).eval()


def half_masks(model: nn.Module) -> dict[str, Tensor]:
    """Return masks that keep every second input channel of each layer but the first."""
    masks = {}
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and weight.shape[1] > 3:
            keep = torch.arange(weight.shape[1]) % 2 == 0
            shape = (1, -1, *[1] * (weight.dim() - 2))
            masks[name] = keep.reshape(shape).expand(weight.shape)
    return masks


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", default="1,3,9", help="blocks a stage; 9 is ResNet-56")
    parser.add_argument("--fit", choices=FITS, default="lsq")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    batches = [(part, None) for part in torch.randn(options.samples, 3, 32, 32).split(64)]
    for blocks in map(int, options.blocks.split(",")):
        model = network(blocks)
        masks, state = half_masks(model), dict(model.named_parameters())
        edit = {name: state[name].detach() * mask for name, mask in masks.items()}
        found: dict[str, Repair] = {}
        for name, limit in (("two passes a layer", 0), ("one pass", MANY_BYTES)):
            start = time.process_time()
            found[name] = repair_layers(
                model,
                batches,
                edit=edit,
                masks=masks,
                fit=FITS[options.fit],
                memory_limit=limit,
            )
            seconds = time.process_time() - start
            print(f"{6 * blocks + 2:3d} layers, {name:18s} {seconds:7.1f} s", flush=True)
        one, two = (item.edit for item in found.values())
        error = max(float((one[name] - two[name]).abs().max()) for name in one)
        print(f"largest difference of a weight: {error:.1e}")


if __name__ == "__main__":
    main()
