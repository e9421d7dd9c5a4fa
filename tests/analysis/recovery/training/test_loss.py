"""The task's loss and the divergence from the dense model, against their definitions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from analysis.edits import PreparedSubject
from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.recovery.training.passes import TrainingLoss
from analysis.recovery.training.session import training_loss
from analysis.tasks import CLASSIFICATION, Classification
from pruners.errors import InputError
from tests.helpers.slow_training import divergence
from tests.helpers.trainable import opened, plan_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("subject"), "normed")


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_the_divergence_by_its_definition(temperature: float) -> None:
    outputs, dense = logits(7, 5), logits(7, 5, seed=1)
    found = CLASSIFICATION.distillation(outputs, dense, temperature=temperature)
    torch.testing.assert_close(found, divergence(outputs, dense, temperature))
    assert float(
        CLASSIFICATION.distillation(dense, dense, temperature=temperature)
    ) == pytest.approx(0, abs=1e-6)


def test_its_gradient_at_a_high_temperature_is_the_difference_of_logits() -> None:
    """Hinton et al.: (z - z_dense) / classes of centred logits; here a mean over samples."""
    outputs = logits(6, 10).double().requires_grad_()
    dense = logits(6, 10, seed=1).double()
    soft, aim = (item - item.mean(1, keepdim=True) for item in (outputs.detach(), dense))
    # In float32 the softmaxes of nearly equal numbers would leave nothing of the difference.
    temperature = 100.0
    (gradient,) = torch.autograd.grad(divergence(outputs, dense, temperature), outputs)
    torch.testing.assert_close(gradient, (soft - aim) / 10 / 6, rtol=0.1, atol=1e-3)
    single = outputs.detach().float().requires_grad_()
    (own,) = torch.autograd.grad(
        CLASSIFICATION.distillation(single, dense.float(), temperature=temperature), single
    )
    torch.testing.assert_close(own, gradient.float(), rtol=0.02, atol=1e-3)


def test_both_parts_are_told_apart_and_joined_by_alpha() -> None:
    dense = nn.Linear(3, 4).eval()
    lost = TrainingLoss(task=CLASSIFICATION, alpha=0.3, temperature=2.0, dense=dense)
    inputs, targets = logits(8, 3), torch.arange(8) % 4
    outputs = logits(8, 4, seed=2).requires_grad_()
    found = lost(outputs, inputs, targets)
    task = F.cross_entropy(outputs, targets)
    distill = divergence(outputs, dense(inputs).detach(), 2.0)
    assert found.distill is not None
    torch.testing.assert_close(found.task, task.detach())
    torch.testing.assert_close(found.distill, distill.detach())
    torch.testing.assert_close(found.total, 0.7 * task + 0.3 * distill)
    found.total.backward()  # type: ignore[no-untyped-call]
    assert dense.weight.grad is None
    assert not found.task.requires_grad
    assert not found.distill.requires_grad


def test_labels_are_smoothed_as_torch_does() -> None:
    lost = TrainingLoss(task=CLASSIFICATION, smoothing=0.2, dense=nn.Identity())
    outputs, targets = logits(8, 4), torch.arange(8) % 4
    aim = F.cross_entropy(outputs, targets, label_smoothing=0.2)
    torch.testing.assert_close(lost(outputs, outputs, targets).total, aim)


def test_without_labels_the_dense_model_is_all_that_is_learned_from() -> None:
    dense = nn.Linear(3, 4).eval()
    lost = TrainingLoss(task=CLASSIFICATION, alpha=1.0, temperature=2.0, dense=dense)
    outputs, inputs = logits(8, 4), logits(8, 3, seed=1)
    found = lost(outputs, inputs, None)
    torch.testing.assert_close(found.total, divergence(outputs, dense(inputs).detach(), 2.0))
    assert float(found.task) == 0


def test_alpha_0_is_the_plain_run_bit_for_bit(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never runs the dense model: any temperature gives the same."""
    monkeypatch.setattr(Classification, "distillation", None)
    found = []
    for temperature in (1.0, 9.0):
        recipe = TrainingRecipe(lr=0.02, batch_size=16, steps=5, temperature=temperature)
        *_, last = iter_training(prepared, plan_of(prepared), recipe, seed=1)
        assert last.distill_loss is None
        assert last.loss == last.task_loss
        assert last.recovery is not None
        found.append(last.recovery.edit.tensors)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_distilling_tells_both_losses(prepared: PreparedSubject) -> None:
    recipe = TrainingRecipe(lr=0.02, batch_size=16, steps=5, distill=0.9)
    updates = list(iter_training(prepared, plan_of(prepared), recipe, seed=1))[2:]
    for update in updates:
        assert update.task_loss is not None
        assert update.distill_loss is not None
        total = 0.1 * update.task_loss + 0.9 * update.distill_loss
        assert update.loss == pytest.approx(total, rel=1e-5)


def test_a_task_without_classes_spreads_no_targets(prepared: PreparedSubject) -> None:
    other = dataclasses.replace(
        prepared, subject=dataclasses.replace(prepared.subject, num_classes=0)
    )
    with pytest.raises(InputError, match="needs classes, which the task classification does"):
        training_loss(other, TrainingRecipe(label_smoothing=0.1))
    training_loss(other, TrainingRecipe(distill=0.5))
