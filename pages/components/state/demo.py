"""The subject of the demo."""

from __future__ import annotations

from analysis.records import SubjectSpec

DEMO = SubjectSpec(
    model="sample:resnet20", data="sample:fashion-mnist", samples=2000, batch_size=100
)
