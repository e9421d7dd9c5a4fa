"""Small models to train: with and without batch norm and dropout, and one that removal rewrites."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from analysis.edits import PreparedSubject, prepare
from analysis.plans import set_ratio, start_plan
from analysis.records import Plan, SubjectSpec
from analysis.subjects import load_subject
from tests.helpers.tiny_subject import write_images


class Viewed(nn.Module):
    """Reads images as rows by `view`, from contiguous memory only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.last = nn.Conv2d(6, 8, 3)
        self.out = nn.Linear(128, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.last(self.conv(inputs).relu()).relu()
        return self.out(values.view(inputs.shape[0], -1))


class Halved(nn.Module):
    """Its code holds the numbers of channels, so that removal rewrites its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(4 * 36, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.drop(self.norm(self.conv(inputs)).relu())
        first, second = values.split([4, 4], dim=1)
        return self.out((first * second).flatten(1))


class Mixed(nn.Module):
    """As `Halved`, and a norm mixes the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(64, 8)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = self.norm(self.enter(inputs.flatten(1))).split([4, 4], dim=1)
        return self.out(first * second)


def plain() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 4),
    )


def viewed() -> nn.Module:
    torch.manual_seed(9)
    return Viewed()


def normed() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 4),
    )


def dropped() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 4),
    )


def halved() -> nn.Module:
    torch.manual_seed(6)
    return Halved()


def mixed() -> nn.Module:
    torch.manual_seed(8)
    return Mixed()


def shared() -> nn.Module:
    torch.manual_seed(7)
    first, second = nn.Linear(64, 64), nn.Linear(64, 64)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(64, 4))


def opened(folder: Path, model: str) -> PreparedSubject:
    """Return one of these models with 160 samples to evaluate and 80 to train on."""
    data = write_images(folder / "images.npz")
    spec = SubjectSpec(
        model=f"{Path(__file__)}:{model}",
        data=f"npz:{data}#mean=0.5&std=0.25",
        samples=160,
        calibration_samples=40,
        batch_size=64,
    )
    return prepare(load_subject(spec))


def plan_of(prepared: PreparedSubject, *, granularity: str = "channel", ratio: float = 0.5) -> Plan:
    """Return a plan with one ratio everywhere."""
    plan = start_plan(prepared, criterion="l1", granularity=granularity)
    for entry in plan.entries:
        plan = set_ratio(plan, entry.name, ratio)
    return plan
