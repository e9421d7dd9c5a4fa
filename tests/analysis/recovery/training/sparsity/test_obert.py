"""oBERT in training: a network of twelve weights against numpy, and its learning rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.edits import PreparedSubject
from tests.helpers.training_steps import TWELVE, context_of, do_step, made, opened, pruned

GRADIENTS, DAMP = 30, 1e-4


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("twelve"), TWELVE)


def gradient_rows(subject: PreparedSubject) -> np.ndarray:
    """Gradients of the cross-entropy of single samples by hand: (p - y) x'."""
    split = subject.subject.calibration
    assert split is not None
    batches = list(split.batches(8))
    inputs = torch.cat([batch for batch, _ in batches])[:GRADIENTS]
    labels = torch.cat([truth for _, truth in batches if truth is not None])[:GRADIENTS]
    x = torch.nn.functional.adaptive_avg_pool2d(inputs, (1, 3)).flatten(1).double()
    chances = (x @ subject.evaluator.state["2.weight"].double().T).softmax(1)
    chances[torch.arange(len(labels)), labels] -= 1
    return torch.einsum("no,ni->noi", chances, x).flatten(1).numpy()


def test_twelve_weights_against_the_dense_inverse(twelve: PreparedSubject) -> None:
    """All scores, the choice of half of the weights, and the update of the others."""
    context = context_of(
        twelve, pruned(twelve, 0.5), "obert", steps=4, end=0.0, gradients=GRADIENTS, damp=DAMP
    )
    method = made(context)
    rows = gradient_rows(twelve)
    information = rows.T @ rows / len(rows) + DAMP * np.eye(12)
    inverse = np.linalg.inv(information)
    flat = twelve.evaluator.state["2.weight"].double().numpy().ravel()
    gone = np.argsort(flat**2 / (2 * np.diag(inverse)))[:6]
    method.before_forward(0)
    mask = context.trainee.parameter_masks["2.weight"].numpy().ravel()
    assert sorted(np.flatnonzero(~mask)) == sorted(gone)
    change = inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], flat[gone])
    found = context.trainee.model.get_parameter("2.weight").detach().numpy().ravel()
    np.testing.assert_allclose(found, np.where(mask, flat - change, 0.0), atol=2e-4)


def test_what_is_masked_already_takes_no_part(twelve: PreparedSubject) -> None:
    """The second move works with the information of the weights that are left alone."""
    context = context_of(
        twelve,
        pruned(twelve, 0.5),
        "obert",
        steps=10,
        end=0.5,
        updates=2,
        gradients=GRADIENTS,
        damp=DAMP,
    )
    method = made(context)
    method.before_forward(0)
    method.before_forward(2)
    left = context.trainee.parameter_masks["2.weight"].numpy().ravel().copy()
    assert left.sum() == 7  # 5.25 of 12 are gone, rounded
    weight = context.trainee.model.get_parameter("2.weight").detach()
    flat = weight.double().numpy().ravel().copy()
    state = dict(twelve.evaluator.state)
    state["2.weight"] = weight.clone()
    x = gradient_rows_at(twelve, weight)[:, left]
    inverse = np.linalg.inv(x.T @ x / len(x) + DAMP * np.eye(7))
    alive = flat[left]
    gone = int(np.argmin(alive**2 / np.diag(inverse)))
    method.before_forward(5)
    mask = context.trainee.parameter_masks["2.weight"].numpy().ravel()
    assert mask.sum() == 6
    assert np.flatnonzero(left)[gone] in np.flatnonzero(~mask)
    moved = alive - alive[gone] * inverse[:, gone] / inverse[gone, gone]
    found = context.trainee.model.get_parameter("2.weight").detach().numpy().ravel()
    np.testing.assert_allclose(found[left][np.arange(7) != gone], np.delete(moved, gone), atol=2e-4)


def gradient_rows_at(subject: PreparedSubject, weight: torch.Tensor) -> np.ndarray:
    before = subject.evaluator.state["2.weight"].clone()
    try:
        subject.evaluator.state["2.weight"].copy_(weight)
        return gradient_rows(subject)
    finally:
        subject.evaluator.state["2.weight"].copy_(before)


def test_the_model_is_left_as_found_but_for_its_weight(twelve: PreparedSubject) -> None:
    context = context_of(twelve, pruned(twelve, 0.5), "obert", steps=4, end=0.0, gradients=4)
    method = made(context)
    method.before_forward(0)
    assert context.trainee.model.training
    assert all(item.grad is None for item in context.trainee.model.parameters())
    assert all(item.requires_grad for item in context.trainee.model.parameters())


def test_the_rate_rises_anew_after_each_move(twelve: PreparedSubject) -> None:
    context = context_of(
        twelve, pruned(twelve, 0.5), "obert", steps=40, end=0.5, updates=2, warm_up=0.3, gradients=4
    )
    method = made(context)
    rates = [method.rate(step, 2.0) for step in range(40)]
    rising = [2 * share for share in (0.25, 0.5, 0.75)]
    longer = [2 * share / 7 for share in range(1, 7)]
    assert rates == pytest.approx([*rising, *[2.0] * 7, *rising, *[2.0] * 7, *longer, *[2.0] * 14])


def test_training_goes_on_from_the_update(twelve: PreparedSubject) -> None:
    context = context_of(twelve, pruned(twelve, 0.5), "obert", steps=12, updates=3, gradients=16)
    method = made(context)
    for step in range(12):
        do_step(context, method, step)
    assert int((context.trainee.model.get_parameter("2.weight") != 0).sum()) == 6
