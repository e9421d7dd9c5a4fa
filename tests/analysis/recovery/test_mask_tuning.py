"""Mask tuning of groups that one layer reads together."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.repairs.mask_tuning import tuned_edit
from analysis.repairs.student import Student
from pruners.capture import capture
from pruners.groups import find_structure
from pruners.reconstruction.lsq import RIDGE

UNITS = 6


class TwoReadByOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, UNITS), nn.Linear(5, UNITS)
        self.out = nn.Linear(2 * UNITS, 3)

    def features(self, x: Tensor) -> Tensor:
        return torch.cat([F.relu(self.first(x)), F.relu(self.second(x))], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x))


def test_factors_of_a_second_group_reckon_with_those_of_the_first() -> None:
    """Found in review: the second group was fitted beside the first one's weights before tuning."""
    torch.manual_seed(0)
    model, x = TwoReadByOne().eval(), torch.randn(40, 5)
    structure = find_structure(model, capture(model, x), x)
    keep = {"first": torch.arange(UNITS) < 3, "second": torch.arange(UNITS) >= 2}
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    edit = {}
    for name, mask in keep.items():
        edit[f"{name}.weight"] = state[f"{name}.weight"] * mask[:, None]
        edit[f"{name}.bias"] = state[f"{name}.bias"] * mask
    student = Student(model, state)
    for name, mask in keep.items():
        group, before = structure.group(name), edit.get("out.weight", state["out.weight"])
        edit |= tuned_edit(student, model, group, mask, edit=edit, batches=[(x, None)])

    # By hand: the second group's part of each output, after the first group's factors.
    pruned = TwoReadByOne()
    pruned.load_state_dict({**state, **edit, "out.weight": before})
    chosen = UNITS + keep["second"].nonzero()[:, 0]
    with torch.no_grad():
        features = pruned.features(x).double()[:, chosen]
        design = (features[:, None] * before.double()[:, chosen]).reshape(-1, len(chosen))
        missing = (model(x).double() - pruned(x).double()).reshape(-1)
    normal = design.T @ design
    lift = RIDGE * float(normal.diagonal().mean())
    factors = 1 + torch.linalg.solve(normal + lift * torch.eye(len(chosen)), design.T @ missing)
    expected = before.double()[:, chosen] * factors
    torch.testing.assert_close(edit["out.weight"][:, chosen].double(), expected)
    assert float((factors - 1).abs().max()) > 0.01
