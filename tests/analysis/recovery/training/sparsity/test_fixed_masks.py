"""Masks that never move: after the repair obs, and of weights that are sparse already."""

from __future__ import annotations

import pytest
import torch

from analysis.edits import PreparedSubject
from analysis.plans import start_plan
from analysis.recovery import recover_plan, recovered_model
from analysis.recovery.training.sparsity.fixed_masks import KeptZeros
from tests.helpers.tiny_subject import MODEL_SOURCE
from tests.helpers.training_steps import context_of, do_step, made, opened, pruned

# The head is new: no zeros in it. Another one has begun with nothing but zeros.
SPARSE = MODEL_SOURCE.replace(
    "    return nn.Sequential(",
    "    model = nn.Sequential(",
).replace(
    "        nn.Linear(8 * 4 * 4, 4),\n    )\n",
    """        nn.Linear(8 * 4 * 4, 4),
    )
    with torch.no_grad():
        for layer in (model[0], model[2]):
            small = layer.weight.abs() < layer.weight.abs().median()
            layer.weight[small] = 0.0
    return model
""",
    1,
)
ZERO_HEAD = SPARSE.replace(
    "    return model\n", "    nn.init.zeros_(model[5].weight)\n    return model\n"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    return opened(tmp_path_factory.mktemp("sparse"), SPARSE)


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_sparsegpt_starts_from_the_repair_and_keeps_the_plans_masks(
    tiny: PreparedSubject, granularity: str
) -> None:
    plan = pruned(tiny, 0.5, granularity)
    repaired = recover_plan(tiny, plan, method="obs")
    context = context_of(tiny, plan, "sparsegpt", steps=6)
    method = made(context)
    before = {name: mask.clone() for name, mask in context.trainee.masks.items()}
    start = context.trainee.recovery("sparsegpt")
    example = tiny.subject.example
    with torch.no_grad():
        expected = recovered_model(tiny, repaired)(example)
        torch.testing.assert_close(recovered_model(tiny, start)(example), expected)
    for step in range(6):
        do_step(context, method, step)
    assert all(torch.equal(mask, before[name]) for name, mask in context.trainee.masks.items())
    assert method.ratio == 1
    kept = [entry.kept for entry in context.trainee.recovery("sparsegpt").plan.entries]
    assert kept == [entry.kept for entry in plan.entries]


def zeros(prepared: PreparedSubject, name: str) -> int:
    return int((prepared.evaluator.state[name] == 0).sum())


def test_transfer_keeps_the_zeros_and_a_new_head_is_dense(sparse: PreparedSubject) -> None:
    """No plan is needed: what is zero says what is pruned."""
    plan = start_plan(sparse, criterion="l1", granularity="element")
    context = context_of(sparse, plan, "transfer", steps=10, weight_decay=0.01)
    method = made(context)
    assert set(context.trainee.parameter_masks) == {"0.weight", "2.weight"}
    counts = {name: zeros(sparse, name) for name in ("0.weight", "2.weight")}
    assert counts == {"0.weight": 26, "2.weight": 215}
    head = context.trainee.model.get_parameter("5.weight").detach().clone()
    for step in range(10):
        do_step(context, method, step)
        for name, count in counts.items():
            weight = context.trainee.model.get_parameter(name).detach()
            where = sparse.evaluator.state[name] == 0
            assert bool((weight[where] == 0).all())
            assert int((weight == 0).sum()) == count
    assert bool((context.trainee.model.get_parameter("5.weight") != head).any())


def test_a_head_of_nothing_but_zeros_learns(tmp_path_factory: pytest.TempPathFactory) -> None:
    subject = opened(tmp_path_factory.mktemp("head"), ZERO_HEAD)
    plan = start_plan(subject, criterion="l1", granularity="element")
    context = context_of(subject, plan, "transfer", steps=4)
    method = made(context)
    for step in range(4):
        do_step(context, method, step)
    assert bool((context.trainee.model.get_parameter("5.weight") != 0).any())


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_transfer_prunes_what_the_plan_says_as_well(
    sparse: PreparedSubject, granularity: str
) -> None:
    context = context_of(sparse, pruned(sparse, 0.75, granularity), "transfer", steps=6)
    method = made(context)
    assert isinstance(method, KeptZeros)
    before = {name: item.detach() == 0 for name, item in context.trainee.model.named_parameters()}
    for step in range(6):
        do_step(context, method, step)
    for name in ("0.weight", "2.weight"):
        after = context.trainee.model.get_parameter(name).detach() == 0
        assert torch.equal(after, before[name])
        assert bool(after.any())
