"""Detectors as on the page on tasks give the boxes of torchvision, and are pruned as others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from analysis.subjects.torchvision_import import torchvision
from analysis.tasks import DETECTION
from pruners.capture import capture
from pruners.groups.groups import find_structure
from pruners.groups.removal import difference, edited_outputs, remove

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
SIZE = 128
BEST = 30


def page() -> dict[str, Any]:
    torchvision()
    (code,) = (
        found
        for found in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
        if "class Candidates" in found
    )
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def detector(kind: str) -> nn.Module:
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    torch.manual_seed(0)
    if kind == "retinanet":
        backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        return detection.RetinaNet(backbone, 3, min_size=SIZE, max_size=SIZE).eval()
    found = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    found.transform.fixed_size = (SIZE, SIZE)
    return found.eval()


class Packed(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = DETECTION.packed(self.model(images))
        return found


def by_score(boxes: torch.Tensor, scores: torch.Tensor, *_: object) -> torch.Tensor:
    """Stand in for the suppression of torchvision, whose operator is not compiled everywhere."""
    return scores.argsort(descending=True)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["ssdlite", "retinanet"])
def test_detectors_of_torchvision_are_pruned(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates of detectors that people have, and ordinary groups."""
    candidates, own = page()["Candidates"], detector(kind)
    model = candidates(own, SIZE, SIZE).eval()
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(images)
        monkeypatch.setattr("torchvision.ops.boxes.batched_nms", by_score)
        own.score_thresh, own.detections_per_img, own.topk_candidates = 0.0, BEST, BEST
        expected = own(list(images))
    first = 1 if kind == "ssdlite" else 0  # 0 is the background there
    for boxes, scores, theirs in zip(found["boxes"], found["scores"], expected, strict=True):
        torch.testing.assert_close(scores.flatten().topk(BEST).values, theirs["scores"])
        away = (boxes.clamp(0, SIZE)[None] - theirs["boxes"][:, None]).abs().amax(-1)
        lower = (scores[:, theirs["labels"] - first].T - theirs["scores"][:, None]).abs()
        # Of as good scores any may come first, so that each is looked for among all candidates.
        assert ((away < 1e-3) & (lower < 1e-5)).any(1).all()

    packed = Packed(model).eval()
    structure = find_structure(packed, capture(packed, images), images)
    groups = [group for group in structure.groups if group.prunable and group.exact]
    assert len(groups) > 10
    kept = {group.id: list(range(0, group.units, 2)) for group in groups}
    smaller = remove(packed, structure, kept, verify=False)
    with torch.no_grad():
        removed = smaller(images)
    assert difference(removed, edited_outputs(packed, structure, kept)) < 1e-4
    assert sum(map(torch.numel, smaller.parameters())) < sum(map(torch.numel, packed.parameters()))
    heads = [group.producers[0].layer for group in structure.groups if not group.prunable]
    assert any("head" in layer for layer in heads)
