"""Tiny models and data of other tasks than classification, by address."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from analysis.tasks import DETECTION

WHERE = "tests.helpers.task_subjects"
SAMPLES = 200


def _noise(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _labelled(model: nn.Module, inputs: Tensor, noise: float = 0.3) -> TensorDataset:
    """Return targets near the model's own answers."""
    with torch.no_grad():
        found = model(inputs)
    return TensorDataset(inputs, found + noise * _noise(found.shape, 2))


def regression() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2)
    )


def regression_data() -> TensorDataset:
    return _labelled(regression(), _noise(torch.Size([SAMPLES, 6]), 1), 0.1)


def binary() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))


def binary_data() -> TensorDataset:
    inputs, targets = _labelled(binary(), _noise(torch.Size([SAMPLES, 6]), 1)).tensors
    return TensorDataset(inputs, (targets[:, 0] > 0).long())


def multi_label() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5))


def multi_label_data() -> TensorDataset:
    inputs, targets = _labelled(multi_label(), _noise(torch.Size([SAMPLES, 6]), 1)).tensors
    return TensorDataset(inputs, (targets > 0).long())


def embedding() -> nn.Module:
    return multi_label()


def embedding_data() -> TensorDataset:
    return TensorDataset(_noise(torch.Size([SAMPLES, 6]), 1), torch.zeros(SAMPLES))


def segmentation() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(),
        nn.Conv2d(6, 4, 1),
    )  # fmt: skip


def segmentation_data() -> TensorDataset:
    inputs = _noise(torch.Size([SAMPLES, 1, 6, 6]), 1)
    targets = _labelled(segmentation(), inputs, 0.1).tensors[1].argmax(1)
    targets[:, 0, 0] = -100
    return TensorDataset(inputs, targets)


def image_to_image() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))


def image_to_image_data() -> TensorDataset:
    return _labelled(image_to_image(), _noise(torch.Size([SAMPLES, 1, 6, 6]), 1), 0.1)


class Tokens(nn.Module):
    """The next token from this one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.head = nn.Linear(8, 11)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.embed(ids)
        found: Tensor = self.head(hidden + self.down(self.up(hidden).relu()))
        return found


def language_modelling() -> nn.Module:
    torch.manual_seed(5)
    return Tokens()


def language_modelling_data() -> TensorDataset:
    ids = torch.randint(11, (SAMPLES, 9), generator=torch.Generator().manual_seed(6))
    targets = _labelled(language_modelling(), ids, 0.5).tensors[1].argmax(-1)
    targets[:, -1] = -100
    found = TensorDataset(ids, targets)
    # Samples of a window of 20 documents.
    found.documents = torch.arange(SAMPLES) // 10  # type: ignore[attr-defined]
    return found


class Detector(nn.Module):
    """Sides of a box around each cell of 2 x 2 pixels, and scores of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 12, 3, 2, padding=1)
        self.head = nn.Conv2d(12, 6, 1)
        rows, columns = torch.meshgrid(*[torch.arange(1.0, 16, 2)] * 2, indexing="ij")
        self.register_buffer("centres", torch.stack([columns, rows], -1).reshape(64, 2))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        hidden = self.second(self.first(images).relu()).relu()
        found = self.head(hidden).flatten(2).transpose(1, 2)
        sides = 3 * found[..., :4].exp()
        boxes = torch.cat([self.centres - sides[..., :2], self.centres + sides[..., 2:]], -1)
        return {"boxes": boxes, "scores": (8 * found[..., 4:]).sigmoid()}


def detection() -> nn.Module:
    torch.manual_seed(8)
    return Detector()


class Labelled(Dataset):
    """Images with what torchvision's data sets say of them: as many boxes as there are."""

    classes = ("cup", "fork")

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        found = self.targets[index]
        found = found[found[:, 4] >= 0]
        return self.images[index], {"boxes": found[:, :4], "labels": found[:, 4].long()}


def detection_data() -> Dataset:
    images = _noise(torch.Size([SAMPLES, 1, 16, 16]), 1)
    with torch.no_grad():
        outputs = DETECTION.packed(detection()(images + 0.1 * _noise(images.shape, 2)))
    return Labelled(images, DETECTION.own_targets(outputs))


def entities_data() -> TensorDataset:
    found = language_modelling_data()
    kinds = [f"{part}-{kind}" for kind in "VWXYZ" for part in "BI"]
    found.classes = ("O", *kinds)  # type: ignore[attr-defined]
    return found


def masked_data() -> TensorDataset:
    ids, targets = language_modelling_data().tensors
    is_masked = torch.rand(targets.shape, generator=torch.Generator().manual_seed(7)) < 0.3
    is_masked[:, 0] = True
    return TensorDataset(ids, targets.where(is_masked, -100))
