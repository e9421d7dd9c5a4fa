"""Models of several inputs, and of text, go through exports and the libraries that confirm them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from analysis import interop, plans, subjects
from analysis.edits import prepare
from analysis.interop.formats.script import write_script
from analysis.interop.registry import FORMATS
from analysis.interop.verification import harness
from analysis.interop.verification.dense_model import dense_model
from analysis.records import SubjectSpec
from analysis.subjects import load_subject, torchvision_import
from analysis.subjects.models.adapted import adapted
from pruners.batches import Tensors, names_of
from pruners.errors import InputError
from tests.analysis.interop.test_script import loaded

NESTED = '''
import torch
from torch import nn


class Net(nn.Module):
    """A mean over the tokens that a mask keeps, scaled, beside numbers that lie in a list."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, *, ids, more):
        (keep, [scale]) = more["keep"], more["by"]
        found = (self.table(ids) * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
        hidden = torch.relu(self.up(found)) * scale[:, None]
        return {"hidden": hidden, "logits": self.down(hidden)}


def model():
    torch.manual_seed(0)
    return Net()


class Items:
    def __len__(self):
        return 40

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(50, (16,), generator=generator)
        keep = (torch.arange(16) < 4 + index % 13).float()
        more = {"keep": keep, "by": [torch.rand((), generator=generator)]}
        if index % 2:
            more = dict(reversed(more.items()))
        return {"ids": ids, "more": more}, index % 3


def items():
    return Items()


class Uneven(Items):
    def __getitem__(self, index):
        inputs, target = super().__getitem__(index)
        inputs["more"]["by"] *= 1 + index % 2
        return inputs, target


def uneven():
    return Uneven()
'''


def nested(folder: Path, data: str = "items") -> SubjectSpec:
    code = folder / "nested.py"
    code.write_text(NESTED)
    model, data = f"{code}:model#output=logits", f"{code}:{data}"
    return SubjectSpec(model=model, data=data, samples=20, calibration_samples=8)


@pytest.mark.slow
def test_nested_inputs_by_name_are_exported_and_confirmed(tmp_path: Path) -> None:
    """Scripts, ONNX and --verify took models of one tensor alone."""
    runtime = pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match=r"inputs of sample \d+ are others than .* before it"):
        load_subject(nested(tmp_path, "uneven"))
    prepared = prepare(load_subject(nested(tmp_path)))
    example = prepared.subject.example
    assert names_of(example) == ("ids", "more_keep", "more_by_0")
    plan = plans.start_plan(prepared, criterion="l1")
    plan = plans.resolve(prepared, plans.set_ratio(plan, "up", 0.5))
    asked = interop.ExportRequest(prepared=prepared, plan=plan, directory=tmp_path / "out")
    targets = {"model": "torch", "onnx": "onnxruntime", "masks": "torch-prune"}
    with FORMATS.restored():
        for name, verifier in targets.items():
            FORMATS.replace(dataclasses.replace(FORMATS.get(name), verify=(verifier,)))
            interop.export(name, asked)
            found = interop.verify(asked, name)
            assert found.passed, found
            outputs = [check for check in found.targets[0].checks if "outputs" in check.name]
            assert {check.compared for check in outputs} == {(2 + 5 + 2) * 3}
            assert "batches of 2 and 5, and 2 shorter texts" in outputs[0].text
    small = asked.model()
    script = loaded(tmp_path / "out" / "rebuild.py")
    inputs = example[[0, 1, 1]]
    with torch.no_grad():
        expected = small(inputs)
        by_name = dict(zip(names_of(inputs), inputs.parts, strict=True))
        torch.testing.assert_close(script(**by_name), expected)
    session = runtime.InferenceSession(tmp_path / "out" / "model.onnx")
    places = [(item.name, item.type, len(item.shape)) for item in session.get_inputs()]
    kinds = ("tensor(int64)", "tensor(float)", "tensor(float)")
    assert places == list(zip(names_of(example), kinds, (2, 2, 1), strict=True))
    back = interop.round_trip(prepared, plan)
    assert back.passed, [check.text for check in back.checks]


class Odd(nn.Module):
    """Names that a script uses itself; steps in time that a capture writes out."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.step = nn.Embedding(9, 4), nn.Linear(10, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, w: Tensor, float: Tensor) -> Tensor:
        hidden = torch.zeros(w.shape[0], 6)
        for token in self.table(w).unbind(1):
            hidden = torch.tanh(self.step(torch.cat([token, hidden], 1)))
        found: Tensor = self.head(hidden) + float[:, None].sqrt()
        return found


def test_a_script_refuses_texts_whose_rest_it_would_leave_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = adapted(Odd().eval().requires_grad_(False), Tensors([torch.zeros(2)] * 2))
    example = Tensors((torch.randint(9, (2, 5)), torch.tensor([1.0, 4.0])))
    script, _ = write_script(model, example, tmp_path)
    rebuilt = loaded(script)
    torch.testing.assert_close(rebuilt(*example.parts), model(example))
    for length in (4, 6):
        with pytest.raises(ValueError, match="input_0 takes 5 tokens a sample"):
            rebuilt(torch.zeros(2, length, dtype=torch.int64), torch.ones(2))


MISMATCHED = """
from pathlib import Path
from torch import nn

TRIED = Path(__file__).with_name("tried")


def model():
    if not TRIED.exists():
        TRIED.touch()
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'BertModel'") from error
    return nn.Linear(4, 2)
"""


def test_a_factory_runs_again_once_torchvision_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It failed where torchvision is for another torch, though `hf:` addresses loaded there."""
    (tmp_path / "net.py").write_text(MISMATCHED)
    found = []
    monkeypatch.setattr(torchvision_import, "torchvision", lambda: found.append("imported"))
    spec = SubjectSpec(model=f"{tmp_path / 'net.py'}:model#input=4")
    assert load_subject(spec).output_form == (2,)
    assert found == ["imported"]


def test_a_folder_of_transformers_is_built_again_for_verifiers(tmp_path: Path) -> None:
    """Addresses `hf:` were refused: name a factory."""
    subjects.torchvision()
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        num_labels=3,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "hf")
    prepared = prepare(load_subject(SubjectSpec(model=f"hf:{tmp_path / 'hf'}")))
    dense = prepared.subject.model
    built = harness._built(dense_model(prepared).to_dict())
    built.load_state_dict(dense.state_dict())
    ids = torch.randint(30, (2, 9))
    torch.testing.assert_close(built.eval()(ids).logits, dense(ids))
