"""Plans of other tools become plans of a model at hand."""

from __future__ import annotations

import copy
import decimal
import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import prune

from analysis import plans
from analysis.edits import PreparedSubject, prepare
from analysis.imports import PlanFormat, PlanRequest, format_of, imported_plan
from analysis.interop import ExportRequest
from analysis.interop.masked import masks
from analysis.records import Plan, SubjectSpec
from analysis.subjects import load_subject
from pruners.errors import InputError
from tests.helpers.tiny_subject import write_subject

CHANNELS = {"granularity": "channel"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSubject:
    """Convolutions 0 (6 channels) and 2 (8 channels), read by the linear layer 5."""
    return prepare(load_subject(write_subject(tmp_path_factory.mktemp("plans"))))


def read(prepared: PreparedSubject, content: bytes, **options: object) -> tuple[str, Plan]:
    chosen = format_of(content, "file")
    assert isinstance(chosen, PlanFormat)
    said = {"criterion": "l1", **options}
    request = PlanRequest(file="file", content=content, prepared=prepared, **said)  # type: ignore[arg-type]
    return chosen.name, imported_plan(request, chosen)


def kept(plan: Plan) -> dict[str, int]:
    return {entry.name: entry.kept for entry in plan.entries if entry.kept < entry.total}


def indices(plan: Plan) -> dict[str, list[int]]:
    return {
        entry.name: list(entry.indices or ()) for entry in plan.entries if entry.kept < entry.total
    }


def test_our_own_plan_comes_back(prepared: PreparedSubject) -> None:
    plan = plans.set_kept(plans.start_plan(prepared, criterion="fpgm"), "2", 3)
    plan = plans.resolve(prepared, plan)
    found = read(prepared, plans.to_json(plan).encode(), criterion=None)
    assert found == ("plan", plan)
    other = json.loads(plans.to_json(plan))
    other["fingerprint"] = "0" * 64
    with pytest.raises(InputError, match="made for weights 000000000000"):
        read(prepared, json.dumps(other).encode())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # NNI removes int(share * channels): half steps, as exports write them.
        (
            [
                {"op_names": ["0"], "op_types": ["Conv2d"], "sparse_ratio": 2.5 / 6},
                {"op_names": ["2"], "sparse_ratio": 5.5 / 8, "granularity": "out_channel"},
            ],
            {"0": 4, "2": 3},
        ),
        # In 3.0 the first configuration of a layer counts, in 2.10 the last.
        (
            [{"op_names": ["2"], "sparse_ratio": 0.5}, {"op_names": ["2"], "sparse_ratio": 0.25}],
            {"2": 4},
        ),
        (
            [
                {"op_names": ["2"], "sparsity_per_layer": 0.5},
                {"op_names": ["2", "0"], "sparsity_per_layer": 0.25},
                {"op_names": ["0"], "exclude": True},
            ],
            {"2": 6},
        ),
    ],
)
def test_nni_configurations(
    prepared: PreparedSubject, config: list[Mapping[str, object]], expected: dict[str, int]
) -> None:
    name, plan = read(prepared, json.dumps(config).encode(), granularity="channel")
    assert (name, kept(plan)) == ("nni-config", expected)


def test_torch_pruning_counts_what_is_left(prepared: PreparedSubject) -> None:
    """Places are those of the step: after 0 and 2 went, places 0 and 1 are channels 1 and 3."""
    steps = [["0", True, [0, 2]], ["2", True, [7]], ["2", False, [0]], ["2", True, [0, 6]]]
    name, plan = read(prepared, json.dumps(steps).encode())
    assert name == "torch-pruning"
    assert indices(plan) == {"0": [3, 4, 5], "2": [1, 2, 3, 4, 5]}


def test_torch_pruning_history_of_the_library(prepared: PreparedSubject) -> None:
    """The library's own history, and the weights that it leaves."""
    tp = pytest.importorskip("torch_pruning")
    # The library follows gradients.
    model = copy.deepcopy(prepared.model).requires_grad_(True)
    graph = tp.DependencyGraph().build_dependency(model, prepared.subject.example)
    for name, places in (("0", [1, 4]), ("2", [0, 7]), ("0", [0]), ("2", [2, 3])):
        layer = model.get_submodule(name)
        graph.get_pruning_group(layer, tp.prune_conv_out_channels, places).prune()
    history = json.dumps(graph.pruning_history())
    _, plan = read(prepared, history.encode())
    assert kept(plan) == {"0": 3, "2": 4}
    smaller = plans.removed_model(prepared, plan)
    for (key, ours), theirs in zip(
        smaller.state_dict().items(), model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), key


def test_aimet_pairs_keep_input_channels(prepared: PreparedSubject) -> None:
    """int(6 * 0.55) of the channels that layer 2 reads stay; None leaves a layer alone."""
    pairs = [("2", decimal.Decimal("0.55")), ("5", None)]
    name, plan = read(prepared, pickle.dumps(pairs))
    assert (name, kept(plan)) == ("aimet-pairs", {"0": 3})
    with pytest.raises(InputError, match="input channels of 0"):
        read(prepared, pickle.dumps([("0", decimal.Decimal("0.5"))]))


def masked(prepared: PreparedSubject) -> nn.Module:
    model = copy.deepcopy(prepared.model)
    layer = model.get_submodule("2")
    prune.ln_structured(layer, "weight", amount=3, n=1, dim=0)
    return model


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_masks_of_torch_are_channels_with_their_indices(
    prepared: PreparedSubject, kind: str
) -> None:
    model = masked(prepared)
    state = model.state_dict()
    if kind == "torch":
        file = io.BytesIO()
        torch.save(state, file)
        content = file.getvalue()
    else:
        content = safetensors.torch.save(state)
    name, plan = read(prepared, content)
    assert name == "masks"
    rows = model.get_submodule("2").weight_mask.flatten(1).any(1)
    assert indices(plan) == {"2": rows.nonzero().flatten().tolist()}


@pytest.mark.parametrize("criterion", ["l1", "random"])
def test_masks_of_single_weights_are_kept(prepared: PreparedSubject, criterion: str) -> None:
    """Masks became counts, so that the plan was of other weights than the file.

    Those that the criterion chooses as well are not listed. Biases cannot be masked: said.
    """
    model = copy.deepcopy(prepared.model)
    layer = model.get_submodule("2")
    prune.l1_unstructured(layer, "weight", amount=100)
    _, plan = read(prepared, safetensors.torch.save(model.state_dict()), criterion=criterion)
    assert kept(plan) == {"2": 8 * 6 * 9 - 100}
    assert {entry.granularity for entry in plan.entries} == {"element"}
    assert bool(indices(plan)["2"]) == (criterion == "random")
    again = plans.from_json(plans.to_json(plan), source="plan")
    example = prepared.subject.example
    assert torch.equal(plans.removed_model(prepared, again)(example), model.eval()(example))
    assert plan.note == ""
    prune.random_unstructured(layer, "bias", amount=2)
    _, plan = read(prepared, safetensors.torch.save(model.state_dict()))
    assert plan.note.startswith("masks of biases and norms are left out (2.bias)")


def test_masks_of_removed_channels_are_channels(prepared: PreparedSubject, tmp_path: Path) -> None:
    """Masks as exports write them: rows, biases and columns. Rows alone keep what biases add."""
    plan = plans.set_ratio(plans.start_plan(prepared, criterion="l1"), "2", 0.5)
    plan = plans.resolve(prepared, plan)
    request = ExportRequest(prepared=prepared, plan=plan, directory=tmp_path)
    state = dict(prepared.model.state_dict())
    for name, mask in masks(request).items():
        state |= {f"{name}_orig": state.pop(name), f"{name}_mask": mask.float()}
    _, found = read(prepared, safetensors.torch.save(state))
    assert (indices(found), found.note) == (indices(plan), "")
    rows = {name: item for name, item in state.items() if not name.startswith(("2.bias", "5."))}
    _, found = read(prepared, safetensors.torch.save(rows))
    assert indices(found) == indices(plan)
    assert "biases and norms, which the file keeps (2.bias)" in found.note
    # Of one channel more, the columns stay: single weights.
    state["5.weight_mask"] = torch.ones_like(state["5.weight_mask"])
    state["5.weight_mask"][:, -1] = 0
    _, found = read(prepared, safetensors.torch.save(state))
    assert {entry.granularity for entry in found.entries} == {"element"}
    state["2.weight_orig"] = state["2.weight_orig"] + 1
    _, found = read(prepared, safetensors.torch.save(state))
    assert "has other weights than" in found.note
    assert "(1 tensor, such as 2.weight)" in found.note


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (
            b'[{"op_names": ["2"], "sparse_ratio": 0.5}]',
            {},
            "give --granularity channel or element",
        ),
        (
            b'[{"op_names": ["2"], "sparse_ratio": 0.5}]',
            CHANNELS | {"criterion": None},
            "give --criterion",
        ),
        (b'[{"op_names": ["9"], "sparse_ratio": 0.5}]', {"granularity": "channel"}, "prunes 9, of"),
        (b'[{"op_names": ["2"], "sparse_ratio": 5}]', {}, "between 0 and 1"),
        (b'[{"op_types": ["Conv2d"], "sparse_ratio": 0.5}]', {}, "something else than op_names"),
        (b'[{"op_names": ["2"], "total_sparsity": 0.5}]', {}, "total_sparsity, which is not read"),
        (b'[["2", true, [8]]]', {}, "8 channels left"),
        (b'[["2", true, [0, 0]]]', {}, "8 channels left"),
        (b'[["7", true, [0]]]', {}, "output channels of 7"),
        (b'[["5", true, [0]]]', {}, "of which .* cannot remove any"),
        (b'[["5", false, [0]]]', {}, "loses 1 of 16 channels"),
        (b'[["2", true, [0,1,2,3,4,5,6,7]]]', {}, "removes all channels of 2"),
        (safetensors.torch.save({"2.weight": torch.zeros(2, 2)}), {}, "has no masks"),
        (
            safetensors.torch.save({"2.weight_mask": torch.zeros(3, 2)}),
            {},
            "mask of 2 is 3 x 2, .* has 8 x 6 x 3 x 3",
        ),
        (b"PK\x03\x04damaged", {}, "no plain state dict"),
    ],
)
def test_what_does_not_fit_is_named(
    prepared: PreparedSubject, content: bytes, options: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read(prepared, content, **options)


def test_groups_keep_one_choice() -> None:
    """Layers of a residual sum are one group: masks of one alone, or two counts, are refused."""
    spec = SubjectSpec(model="sample:resnet20", data="sample:fashion-mnist", samples=8)
    prepared = prepare(load_subject(spec))
    counts = [
        {"op_names": ["conv1"], "sparse_ratio": 0.25},
        {"op_names": ["layer1.0.conv2"], "sparse_ratio": 0.5},
    ]
    with pytest.raises(InputError, match=r"conv1 keeps 12 and layer1.0.conv2 keeps 8, but"):
        read(prepared, json.dumps(counts).encode(), granularity="channel")
    mask = torch.ones(16, 1, 3, 3)
    mask[3] = 0
    content = safetensors.torch.save({"conv1.weight_mask": mask})
    with pytest.raises(InputError, match=r"masks channels of conv1, but not of layer1.0.conv2"):
        read(prepared, content)
    _, plan = read(prepared, content, granularity="element")
    assert kept(plan) == {"conv1": 15 * 9}
