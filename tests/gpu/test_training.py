"""Training on a GPU: the numbers of the CPU, the same bits again, and every method once."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import evaluate_plan
from analysis.plans import resolve
from analysis.records import SubjectSpec
from analysis.recovery.training import (
    TRAINING_METHODS,
    TrainingRecipe,
    TrainingUpdate,
    iter_training,
)
from analysis.subjects import load_subject
from tests.helpers.slow_training import after
from tests.helpers.trainable import opened, plan_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
BASE: dict[str, Any] = {"lr": 0.02, "batch_size": 64, "steps": 12, "augment": ("flip", "shift")}


@functools.cache
def sample(name: str) -> PreparedSubject:
    spec = SubjectSpec(
        model=f"sample:{name}",
        data="sample:fashion-mnist",
        samples=200,
        calibration_samples=64,
        device="cuda",
    )
    return prepare(load_subject(spec))


def trained(
    prepared: PreparedSubject, recipe: TrainingRecipe, *, granularity: str, **options: Any
) -> list[TrainingUpdate]:
    plan = plan_of(prepared, granularity=granularity)
    return list(iter_training(prepared, plan, recipe, seed=1, **options))


def learned(updates: list[TrainingUpdate]) -> dict[str, torch.Tensor]:
    assert updates[-1].recovery is not None
    return dict(updates[-1].recovery.edit.tensors)


def test_it_learns_what_the_cpu_learns(tmp_path: Path) -> None:
    """Strict float32 whatever the flags are, and these are left as found."""
    here = opened(tmp_path, "normed")
    there = prepare(load_subject(dataclasses.replace(here.subject.spec, device="cuda")))
    recipe = TrainingRecipe(lr=0.02, batch_size=16, steps=9, distill=0.5)
    torch.set_float32_matmul_precision("high")
    flags = (torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic)
    try:
        found = learned(trained(there, recipe, granularity="channel"))
        assert torch.get_float32_matmul_precision() == "high"
        assert flags == (
            torch.backends.cudnn.conv.fp32_precision,
            torch.backends.cudnn.deterministic,
        )
    finally:
        torch.set_float32_matmul_precision("highest")
    for name, tensor in learned(trained(here, recipe, granularity="channel")).items():
        torch.testing.assert_close(found[name].cpu(), tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "granularity", "fields"),
    [
        ("lenet5", "element", {"method": "movement", "precision": "fp16"}),
        ("resnet20", "channel", {"distill": 0.5, "ema": 0.9, "clip_norm": 0.1}),
        ("resnet20", "2:4", {"precision": "fp16", "accumulate": 2}),
        ("mobilenet_small", "channel", {"method": "acdc", "phase_epochs": 0.1}),
        ("densenet_small", "channel", {"precision": "bf16"}),
        ("vit_tiny", "head", {"optimizer": "adamw", "lr": 1e-3, "label_smoothing": 0.1}),
    ],
)
def test_a_resumed_training_has_the_same_bits(
    tmp_path: Path, model: str, granularity: str, fields: dict[str, Any]
) -> None:
    options = {
        "prepared": sample(model),
        "recipe": TrainingRecipe(**{**BASE, **fields}),
        "granularity": granularity,
    }
    whole = learned(trained(folder=tmp_path / "whole", **options))
    stopped = trained(folder=tmp_path / "part", cancel=after(6), **options)[-1]
    assert stopped.stage == "stopped"
    torch.rand(7, device="cuda")
    rest = trained(folder=tmp_path / "part", **options)
    assert rest[0].step == stopped.step > 0
    found = learned(rest)
    other = {name for name in whole if not torch.equal(found[name], whole[name])}
    assert not other


@pytest.mark.parametrize("method", TRAINING_METHODS.names())
def test_every_method_keeps_what_the_plan_keeps(method: str) -> None:
    """The first one after a range test; what it learned is evaluated as any repaired plan."""
    prepared = sample("lenet5")
    granularity = "element" if method in ("obert", "sparsegpt", "transfer") else "channel"
    changes = {"phase_epochs": 0.1, "gradients": 64, "lr": None if method == "finetune" else 0.01}
    recipe = TrainingRecipe.of(method, batch_size=64, steps=12, updates=3, **changes)
    *_, last = trained(prepared, recipe, granularity=granularity)
    plan = plan_of(prepared, granularity=granularity)
    assert last.is_done
    assert last.recovery is not None
    kept = sum(entry.kept for entry in last.recovery.plan.entries)
    assert kept == sum(entry.kept for entry in resolve(prepared, plan).entries)
    found = evaluate_plan(prepared, last.recovery.plan, recovery=last.recovery, latency_seconds=0)
    assert found.same_answers == found.samples
