"""What a model is given: token numbers stay whole, other whole numbers become real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.edits import prepare
from analysis.records import SubjectSpec
from analysis.subjects import load_subject
from analysis.subjects.data import first_not_finite
from pruners.batches import Tensors
from pruners.errors import InputError
from pruners.groups import remove, removed_graph

CODE = '''
import torch
from torch import nn
from torch.utils.data import TensorDataset


class Reader(nn.Module):
    """Two tables of embeddings, and an MLP on their mean."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, ids):
        return self.down(torch.relu(self.up(self.table(ids).mean(1))))


def reader():
    return Reader()


def pixels():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


class Items:
    def __init__(self, kind):
        self.values = torch.randint(50, (60, 16), generator=torch.Generator().manual_seed(0))
        self.values = self.values.to(kind)

    def __len__(self):
        return 60

    def __getitem__(self, index):
        return self.values[index], index % 3


def listed():
    return Items(torch.int32)


def real():
    return Items(torch.float32)


def tensors():
    return TensorDataset(Items(torch.int64).values, torch.arange(60) % 3)
'''


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "text.py"
    path.write_text(CODE)
    return path


def spec(code: Path, model: str, data: str) -> SubjectSpec:
    return SubjectSpec(
        model=f"{code}:{model}", data=f"{code}:{data}", samples=30, calibration_samples=9
    )


@pytest.mark.parametrize("data", ["listed", "tensors"])
def test_token_numbers_stay_whole_to_the_engine_and_the_smaller_model(
    code: Path, data: str
) -> None:
    subject = load_subject(spec(code, "reader", data))
    assert subject.evaluation is not None
    inputs, labels = subject.evaluation.part(0, 30)
    assert inputs.dtype == subject.example.dtype == torch.int64
    assert labels is not None
    prepared = prepare(subject)
    graph = prepared.structure.trace.graph
    assert [node.op for node in graph.module.graph.nodes if node.name in graph.inputs] == [
        "placeholder"
    ]
    evaluator = prepared.evaluator
    assert evaluator.is_incremental, evaluator.fallback_reason
    edit = {"up.weight": subject.model.up.weight * 0.5}
    found = evaluator.evaluate(evaluator.dense(inputs), edit)
    torch.testing.assert_close(found, evaluator.forward(inputs, edit))
    small = remove(subject.model, prepared.structure, {"up": [0, 2, 3]})
    assert small(inputs).shape == (30, 3)


def test_whole_numbers_are_real_to_a_model_that_computes_with_them(code: Path) -> None:
    """They were float32 before, whatever the model; so is what subjects are told apart by."""
    whole, real = (load_subject(spec(code, "pixels", data)) for data in ("listed", "real"))
    assert whole.example.dtype == torch.float32
    assert whole.data_fingerprint == real.data_fingerprint


SEVERAL = '''
import torch
from torch import nn


class Masked(nn.Module):
    """A mean over the tokens that a mask of real numbers keeps; answers a dict."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, ids, scale=None, keep=None):
        found = self.table(ids) * keep[..., None]
        hidden = torch.relu(self.up(found.sum(1) / keep.sum(1, keepdim=True)))
        return {"hidden": hidden, "logits": self.down(hidden)}


def masked():
    return Masked()


class Items:
    def __len__(self):
        return 60

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(50, (16,), generator=generator)
        keep = (torch.arange(16) < 4 + index % 13).float()
        return {"keep": keep, "ids": ids}, index % 3


def items():
    return Items()
'''


def test_inputs_by_name_and_a_chosen_output_go_through_the_engine_and_the_smaller_model(
    tmp_path: Path,
) -> None:
    code = tmp_path / "several.py"
    code.write_text(SEVERAL)
    with pytest.raises(InputError, match=r"dict of hidden, logits; .* #output=logits"):
        load_subject(spec(code, "masked", "items"))
    with pytest.raises(InputError, match="no output 'x'; it returns hidden, logits"):
        load_subject(spec(code, "masked#output=x", "items"))
    subject = load_subject(spec(code, "masked#output=logits", "items"))
    other = load_subject(spec(code, "masked#output=hidden", "items"))
    assert subject.fingerprint != other.fingerprint
    assert subject.evaluation is not None
    inputs, _ = subject.evaluation.part(0, 30)
    assert isinstance(inputs, Tensors)
    keep, ids = inputs.parts
    assert (keep.dtype, ids.dtype) == (torch.float32, torch.int64)
    model = subject.model
    want = model.down(
        torch.relu(model.up((model.table(ids) * keep[..., None]).sum(1) / keep.sum(1)[:, None]))
    )
    torch.testing.assert_close(model(inputs), want)
    prepared = prepare(subject)
    evaluator = prepared.evaluator
    assert evaluator.is_incremental, evaluator.fallback_reason
    edit = {"up.weight": model.up.weight * 0.5}
    found = evaluator.evaluate(evaluator.dense(inputs), edit)
    torch.testing.assert_close(found, evaluator.forward(inputs, edit))
    prepared.prepare(["taylor"])
    small = remove(model, prepared.structure, {"up": [0, 2, 3]})
    rewritten = removed_graph(model, prepared.structure, {"up": [0, 2, 3]})
    few = Tensors((keep[:5, :9], ids[:5, :9]))
    torch.testing.assert_close(small(few), rewritten(few))


@pytest.mark.parametrize(
    "kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64]
)
@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf])
def test_the_first_sample_that_is_not_finite_is_found(kind: torch.dtype, odd: float) -> None:
    values = torch.linspace(-3e4, 3e4, 60).reshape(5, 3, 4).to(kind)
    assert first_not_finite(values) is None
    for at in (4, 2):
        values[at, 1, 2] = odd
        assert first_not_finite(values) == at
    assert first_not_finite(torch.empty(0, 3, dtype=kind)) is None
    assert first_not_finite(torch.arange(6)) is None


SOUND = """
from torch import nn


def sound():
    last = nn.Conv1d(4, 3, 5), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    return nn.Sequential(nn.Conv1d(1, 4, 9, stride=2), nn.ReLU(), *last)


def picture():
    return nn.Sequential(nn.Conv2d(1, 4, (1, 9)), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 42, 3))
"""


@pytest.mark.parametrize(("model", "shape"), [("sound", (1, 50)), ("picture", (1, 1, 50))])
def test_arrays_of_three_dimensions_are_what_the_model_takes(
    tmp_path: Path, model: str, shape: tuple[int, ...]
) -> None:
    """Found by newcomers: sounds (N, 1, L) were pictures of one row, which no Conv1d takes."""
    (tmp_path / "nets.py").write_text(SOUND, encoding="utf-8")
    sounds = np.random.default_rng(0).normal(size=(60, 1, 50)).astype(np.float32)
    np.savez(tmp_path / "d.npz", images=sounds, labels=np.arange(60) % 3)
    spec = SubjectSpec(
        model=f"{tmp_path / 'nets.py'}:{model}", data=f"npz:{tmp_path / 'd.npz'}", samples=40
    )
    subject = load_subject(spec)
    assert subject.evaluation is not None
    assert subject.calibration is not None
    assert subject.example.shape[1:] == shape
    assert any("fed as they are" in note for note in subject.notes) is (model == "sound")
    for split in (subject.evaluation, subject.calibration):
        inputs, _ = split.part(0, 10)
        assert isinstance(inputs, torch.Tensor)
        expected = torch.from_numpy(sounds[list(split.indices[:10])])
        assert torch.equal(inputs, expected.reshape(10, *shape))
