"""The format hf: what a configuration can say is read back by Transformers, the rest refused."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from analysis import interop, plans
from analysis.edits import prepare
from analysis.interop.formats.tools.hugging_face.sizes import smaller_config
from analysis.records import Plan, SubjectSpec
from analysis.subjects import load_subject
from pruners.capture import capture
from pruners.errors import UnsupportedError
from pruners.groups import find_structure, remove
from tests.helpers.hugging_face import build

SOURCE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from transformers import ViTConfig, ViTForImageClassification


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ViTForImageClassification(
            ViTConfig(
                hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
                image_size=8, patch_size=4, num_channels=1, num_labels=10,
            )
        )

    def forward(self, images):
        return self.inner(images).logits


def model():
    torch.manual_seed(0)
    return Net()


def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(24, 1, 8, 8, generator=generator)
    return TensorDataset(images, torch.arange(24) % 10)
"""


@pytest.fixture
def asked(tmp_path: Path) -> interop.ExportRequest:
    from analysis.subjects import torchvision

    pytest.importorskip("transformers")
    torchvision()
    (tmp_path / "net.py").write_text(SOURCE)
    place = tmp_path / "net.py"
    spec = SubjectSpec(model=f"{place}:model", data=f"{place}:data", calibration_samples=8)
    prepared = prepare(load_subject(spec))
    plan = plans.start_plan(prepared, criterion="l1", layers="*.mlp.fc1")
    heads = plans.start_plan(prepared, criterion="l1", granularity="head")
    plan = dataclasses.replace(plan, entries=plan.entries + heads.entries)
    return interop.ExportRequest(prepared=prepared, plan=plan, directory=tmp_path / "out")


def with_ratios(request: interop.ExportRequest, ratios: dict[str, float]) -> interop.ExportRequest:
    plan: Plan = request.plan
    for entry in plan.entries:
        for part, ratio in ratios.items():
            if part in entry.name:
                plan = plans.set_ratio(plan, entry.name, ratio)
    return dataclasses.replace(request, plan=plans.resolve(request.prepared, plan))


@pytest.mark.slow
def test_a_model_with_equal_counts_is_read_back_by_transformers(
    asked: interop.ExportRequest,
) -> None:
    """hf: 3 of 4 heads and 20 of 32 channels in each layer; outputs are equal."""
    even = with_ratios(asked, {"q_proj": 0.25, "fc1": 0.375})
    done = interop.export("hf", even)
    paths = [path.relative_to(asked.directory).as_posix() for path, _ in done.files]
    assert paths == ["hf/config.json", "hf/model.safetensors"]
    assert all(path.is_file() for path, _ in done.files)
    assert "the outputs are equal" in done.files[1][1]
    found = interop.verify(even, "hf")
    assert found.passed, found
    checks = {check.name: check for check in found.targets[0].checks}
    assert list(checks) == ["keys of AutoModel", "keys of ViTForImageClassification", "outputs"]
    assert checks["outputs"].difference == 0.0
    uneven = with_ratios(asked, {"layers.0.mlp.fc1": 0.5})
    with pytest.raises(
        UnsupportedError,
        match=r"ViTConfig has one intermediate_size for all layers, and the plan asks for 16 at "
        r"vit\.layers\.0\.mlp\.fc1 and 32 at vit\.layers\.1\.mlp\.fc1; make the kept counts equal "
        r"\(plan with --equal\), or export the smaller model",
    ):
        interop.export("hf", dataclasses.replace(uneven, directory=asked.directory / "no"))
    assert not (asked.directory / "no").exists()


def test_models_that_are_not_of_transformers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Transformers cannot be loaded, as beside a torchvision of another torch."""
    from tests.analysis.interop.test_export import request

    pytest.importorskip("transformers")
    monkeypatch.delitem(sys.modules, "transformers.modeling_utils", raising=False)
    with pytest.raises(UnsupportedError, match="one model of Transformers, and LeNet5 holds none"):
        interop.export("hf", request(tmp_path))
    assert "transformers.modeling_utils" not in sys.modules


HEADS_OF_BERT = "BertConfig has one hidden_size for all layers, and the plan asks for 16 at"
SAID = {
    ("bert", "channel"): {"intermediate_size": (24, 12)},
    ("bert", "head"): HEADS_OF_BERT,
    ("gpt2", "channel"): {"n_inner": (None, 32)},
    ("llama_tied", "head"): {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), SAID)
def test_a_configuration_says_what_its_numbers_can(name: str, kind: str) -> None:
    """Half of the units of each exact group; the right numbers are those of the plan."""
    model, example = build(name)
    structure = find_structure(model, capture(model, example), example)
    kept = {
        group.id: range(0, group.units, 2)
        for group in structure.groups
        if group.prunable and group.exact and group.kind == kind and "pooler" not in group.id
    }
    assert len(kept) == 1
    small = remove(model, structure, kept).get_submodule("model")
    said = SAID[name, kind]
    if isinstance(said, str):
        with pytest.raises(UnsupportedError, match=said):
            smaller_config(small)
        return
    before, after = small.config.to_dict(), smaller_config(small).to_dict()
    found = {key: (before.get(key), value) for key, value in after.items()}
    assert {key: pair for key, pair in found.items() if pair[0] != pair[1]} == said
