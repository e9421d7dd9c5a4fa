"""Gates on the inputs of layers, against gates written into the network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.errors import InputError, UnsupportedError
from pruners.preserve import checksum
from pruners.statistics.gates import input_gate_gradients
from tests.pruners.models import SmallResidual, image_batches, small_residual


class GatedInputs(SmallResidual):
    """The same network with a gate where `conv` and `depthwise` read their inputs."""

    gates: dict[str, Tensor]

    def forward(self, inputs: Tensor) -> Tensor:
        g = {name: gate.reshape(1, -1, 1, 1) for name, gate in self.gates.items()}
        stem = F.relu(self.norm(self.stem(inputs * g["stem"])))
        hidden = F.relu(self.norm2(self.conv(stem * g["conv"])) + stem)
        hidden = F.relu(self.depthwise(hidden * g["depthwise"]))
        hidden = F.gelu(self.grouped(hidden))
        return self.head(hidden.mean((2, 3)) * self.gates["head"])


def test_gradients_equal_explicit_gates_sample_by_sample() -> None:
    model = small_residual()
    before = checksum(model)
    names = ["stem", "conv", "depthwise", "head"]
    found = input_gate_gradients(model, image_batches(), layers=names)
    assert checksum(model) == before
    reference = GatedInputs().double().eval()
    reference.load_state_dict(model.state_dict())
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    for inputs, labels in image_batches():
        for sample in range(len(inputs)):
            reference.gates = {
                name: torch.ones(size, dtype=torch.float64, requires_grad=True)
                for name, size in zip(names, (3, 8, 8, 12), strict=True)
            }
            one = slice(sample, sample + 1)
            loss = F.cross_entropy(reference(inputs[one].double()), labels[one])
            grads = torch.autograd.grad(loss, [reference.gates[name] for name in names])
            for name, grad in zip(names, grads, strict=True):
                rows[name].append(grad)
    for name, values in rows.items():
        torch.testing.assert_close(
            found[name].double(), torch.stack(values), rtol=1e-3, atol=1e-6, msg=name
        )


def test_bad_input_is_refused_and_the_model_left_as_found() -> None:
    model = small_residual()
    before = checksum(model)
    with pytest.raises(InputError, match="conv"):
        input_gate_gradients(model, [], layers=["conv"])
    with pytest.raises(RuntimeError):
        input_gate_gradients(model, [(torch.ones(1, 1, 9, 9), None)], layers=["conv"])
    assert checksum(model) == before
    with pytest.raises(UnsupportedError, match="layer 0"):
        input_gate_gradients(nn.Sequential(nn.MultiheadAttention(4, 2)), [], layers=["0"])
