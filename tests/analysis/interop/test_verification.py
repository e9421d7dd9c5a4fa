"""Exports confirmed by the libraries that they are for, in processes of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from analysis import interop, plans
from analysis.edits import prepare
from analysis.interop.masked import full_state, masks
from analysis.interop.registry import FORMATS
from analysis.interop.verification.records import Check, Verification
from analysis.interop.verification.registry import VERIFIERS
from analysis.interop.verification.verifier import Verifier
from analysis.records import SubjectSpec
from analysis.recovery.plan_repair import recover_plan
from analysis.subjects import load_subject
from pruners.errors import InputError, UnsupportedError
from tests.analysis.interop.test_export import request
from tests.helpers import task_subjects
from tests.helpers.contexts import sample_context
from tests.helpers.training_steps import opened


def test_the_script_of_an_export_is_confirmed_and_a_changed_weight_is_found(
    tmp_path: Path,
) -> None:
    """Outputs at two batch sizes, version and result beside the export."""
    asked = request(tmp_path)
    interop.export("model", asked)
    found = interop.verify(asked, "model")
    assert found == Verification.from_json((tmp_path / "verification.json").read_text())
    assert found.passed
    assert not list(tmp_path.rglob("__pycache__"))  # found by a newcomer beside the files
    (target,) = found.targets
    assert target.version.startswith(torch.__version__.split("+")[0])
    assert target.checks[0].compared == (2 + 5) * 10
    assert target.checks[0].difference is not None
    assert target.checks[0].difference < 1e-5
    path = tmp_path / "model.safetensors"
    state = safetensors.torch.load_file(path)
    name = next(key for key in state if key.endswith("weight"))
    state[name][0] += 0.5
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    safetensors.torch.save_file(state, path, metadata=metadata)
    found = interop.verify(asked, "model")
    assert not found.passed
    assert found.targets[0].result == "failed"
    assert "of the largest" in found.targets[0].text


@pytest.mark.slow
def test_what_is_missing_is_refused_or_raises_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of it in one line, with what installs the library; nothing passes by accident."""
    bodies = {
        "missing": ("torch-of-nobody", "def check(case): yield"),
        "refused": (
            "torch",
            "def check(case):\n raise NotImplementedError('no layer')\n yield",
        ),
        "raised": ("torch", "def check(case):\n raise KeyError('x')\n yield"),
        "empty": ("torch", "def check(case): return iter(())"),
        "killed": ("torch", "import os\ndef check(case): os._exit(3)"),
    }
    asked = request(tmp_path)
    with VERIFIERS.restored(), FORMATS.restored():
        for name, (library, body) in bodies.items():
            script = tmp_path / f"{name}.py"
            script.write_text(body)
            VERIFIERS.register(
                Verifier(
                    name=name,
                    label=name,
                    help="A test.",
                    library=library,
                    packages=("nobody==1",),
                    script=script,
                )
            )
        FORMATS.replace(dataclasses.replace(FORMATS.get("json"), verify=tuple(bodies)))
        found = interop.verify(asked, "json")
    assert not found.passed
    results = {target.verifier: (target.result, target.text) for target in found.targets}
    assert results == {
        "missing": (
            "not installed",
            "torch-of-nobody is not installed: pip install nobody==1",
        ),
        "refused": ("refused", "no layer"),
        "raised": ("failed", "KeyError: 'x'"),
        "empty": ("failed", "nothing was compared"),
        "killed": ("failed", "exit code 3"),
    }
    with pytest.raises(InputError, match="no library reads the format csv"):
        interop.verify(asked, "csv")
    with pytest.raises(InputError, match="no Python can be run at /nowhere/python"):
        interop.verify(asked, "model", python="/nowhere/python")


def test_masks_have_as_many_ones_as_the_smaller_model_has_elements(tmp_path: Path) -> None:
    """And the masked model, from full-size weights, computes what the smaller one does."""
    asked = request(tmp_path)
    found, full, small = masks(asked), full_state(asked), asked.model()
    sizes = {name: item.numel() for name, item in small.named_parameters()}
    assert {name: int(item.sum()) for name, item in found.items()} == {
        name: sizes[name] for name in found
    }
    dense = sample_context("lenet5").model
    assert {name for name, item in dense.named_parameters() if item.numel() != sizes[name]} == set(
        found
    )
    inputs = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    state = {name: item * found[name] if name in found else item for name, item in full.items()}
    outputs = torch.func.functional_call(dense, state, (inputs,))
    torch.testing.assert_close(outputs, small(inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_masks_and_history_are_confirmed_by_their_libraries(tmp_path: Path) -> None:
    """Zeros equal masks, difference 0.0, state dict equal to the bit."""
    asked = request(tmp_path)
    with FORMATS.restored():
        FORMATS.replace(dataclasses.replace(FORMATS.get("masks"), verify=("torch-prune",)))
        for name in ("masks", "torch-pruning"):
            interop.export(name, asked)
            found = interop.verify(asked, name)
            assert found.passed, found
            checks = found.targets[0].checks
            assert checks[0].unequal == 0
            assert checks[0].compared > 1000
    masked = {check.name: check for check in interop_checks(tmp_path / "verification.json")}
    assert masked["weights"].passed
    history = json.loads((tmp_path / "history.json").read_text())
    structure = asked.prepared.require_structure()
    for entry, (layer, is_output, removed) in zip(
        [item for item in plans.resolve(asked.prepared, asked.plan).entries if item.indices],
        history,
        strict=True,
    ):
        assert structure.group(entry.name).producers[0].layer == layer
        assert is_output is True
        assert sorted({*removed, *(entry.indices or ())}) == list(range(entry.total))
        assert len(removed) == entry.total - entry.kept


GROUPED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.grouped = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=2)
        self.left, self.right = nn.Linear(64, 4), nn.Linear(64, 4)

    def forward(self, inputs):
        first, second = self.grouped(self.enter(inputs).relu()).split([4, 4], 1)
        return self.left(first.flatten(1)) + self.right(second.flatten(1).relu())


def build():
    torch.manual_seed(3)
    return Net()
"""


@pytest.mark.parametrize(
    ("groups", "name", "words"),
    [
        (2, "enter", "in- and outputs of the grouped convolution grouped for two groups, enter"),
        (2, "grouped", "grouped convolution grouped for two groups"),
        (1, "grouped", r"grouped makes the channels of several groups at once.*cannot say"),
    ],
)
def test_grouped_and_split_convolutions_are_no_step_of_torch_pruning(
    tmp_path: Path, groups: int, name: str, words: str
) -> None:
    """What a format cannot say is refused by name, and nothing is written."""
    prepared = opened(tmp_path, GROUPED.replace("groups=2", f"groups={groups}"))
    plan = plans.start_plan(prepared, criterion="l1")
    (entry, *_) = (item for item in plan.entries if item.layer == name)
    plan = plans.resolve(prepared, plans.set_ratio(plan, entry.name, 0.5))
    asked = request(tmp_path / "out", prepared=prepared, plan=plan, points=None)
    with pytest.raises(UnsupportedError, match=words):
        interop.export("torch-pruning", asked)
    assert not (tmp_path / "out").exists()


def interop_checks(path: Path) -> tuple[Check, ...]:
    return Verification.from_json(path.read_text()).targets[0].checks


def test_ratios_for_nni_give_the_counts_and_the_rest_is_refused(tmp_path: Path) -> None:
    """Reference: NNI prunes int(C * ratio); here by formula, by NNI in `make verify-exports`."""
    asked = request(tmp_path)
    interop.export("nni", asked)
    facts = json.loads((tmp_path / "nni.json").read_text())
    assert facts
    for file, key in (("config_list_v2", "sparsity_per_layer"), ("config_list_v3", "sparse_ratio")):
        for item in json.loads((tmp_path / f"{file}.json").read_text()):
            fact = facts[item["op_names"][0]]
            assert fact["total"] - int(fact["total"] * item[key]) == fact["kept"]
    blocks = plans.start_plan(asked.prepared, criterion="l1", granularity="2:4", layers="conv2")
    blocks = plans.set_ratio(blocks, "conv2", 0.5)
    with pytest.raises(UnsupportedError, match=r"conv2 is pruned by 2:4: export masks"):
        interop.export("nni", dataclasses.replace(asked, plan=blocks))
    with pytest.raises(InputError, match="the plan removes none; export masks"):
        interop.export("torch-pruning", dataclasses.replace(asked, plan=blocks))
    empty = dataclasses.replace(asked, plan=plans.scale(asked.plan, 0.0))
    with pytest.raises(InputError, match="no masks to export"):
        interop.export("masks", empty)


def test_a_ratio_of_an_embedding_is_refused_for_nni(tmp_path: Path) -> None:
    """Found with every task: it was called a layer that cannot be pruned, with no way out."""
    spec = SubjectSpec(
        model=f"{task_subjects.WHERE}:language_modelling",
        data=f"{task_subjects.WHERE}:language_modelling_data",
        task="language_modelling",
    )
    prepared = prepare(load_subject(spec))
    plan = plans.start_plan(prepared, criterion="l1")
    # The columns of the embedding are channels of the residual stream, as are the outputs of down.
    plan = plans.resolve(prepared, plans.set_ratio(plan, "down", 0.5))
    asked = request(tmp_path, prepared=prepared, plan=plan, points=None)
    words = "at embed: it is of type Embedding; leave it whole, or export masks"
    with pytest.raises(UnsupportedError, match=words):
        interop.export("nni", asked)


def test_masks_of_blocks_and_of_a_recovered_plan_are_what_is_exported(tmp_path: Path) -> None:
    """N:M masks keep N of M, blocks go whole; a repaired plan's weights come in dense shapes.

    Masks of `block:1x4` had not been confirmed by a library.
    """
    asked = request(tmp_path)
    entries = {}
    for layer, granularity in {"fc1": "2:4", "fc2": "block:1x4"}.items():
        plan = plans.start_plan(
            asked.prepared, criterion="l1", granularity=granularity, layers=layer
        )
        entries[layer] = plans.set_ratio(plan, layer, 0.5).entries[0]
    plan = dataclasses.replace(plan, entries=tuple(entries.values()))
    repaired = recover_plan(asked.prepared, plan, method="lsq")
    asked = dataclasses.replace(asked, plan=plan, recovery=repaired)
    interop.export("masks", asked)
    found = safetensors.torch.load_file(tmp_path / "masks.safetensors")
    kept = {name: mask.reshape(-1, 4).sum(1).tolist() for name, mask in found.items()}
    assert set(kept["fc1.weight"]) == {2}
    assert kept["fc2.weight"].count(4) == kept["fc2.weight"].count(0) == 84 * 120 / 4 / 2
    weights = safetensors.torch.load_file(tmp_path / "masked.safetensors")
    for name, item in asked.model().state_dict().items():
        assert torch.equal(item, weights[name])
    with FORMATS.restored():
        FORMATS.replace(dataclasses.replace(FORMATS.get("masks"), verify=("torch-prune",)))
        confirmed = interop.verify(asked, "masks")
    assert confirmed.passed, confirmed
