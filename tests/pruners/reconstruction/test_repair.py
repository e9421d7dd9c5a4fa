"""Whole models: repairs lower each layer's error, user files register."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import sample_models
from pruners import criteria
from pruners.criteria import CRITERIA
from pruners.criteria.docs_table import markdown
from pruners.errors import InputError
from pruners.groups.edits import apply_edit
from pruners.layers import layer_names, native_weight
from pruners.preserve import checksum
from pruners.reconstruction import moments
from pruners.reconstruction.layerwise import Fit, repair_layers
from pruners.reconstruction.lsq import least_squares
from pruners.reconstruction.obs import obs_fit
from pruners.selection.masks import keep_mask
from sample_models.architectures import ARCHITECTURES
from tests.pruners.models import RESIDUAL_LAYERS, image_batches, small_residual

ROOT = Path(__file__).resolve().parents[3]


def masked(model: nn.Module, ratio: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return an edit and the masks that remove the smallest weights of every layer."""
    masks = {}
    for name in layer_names(model):
        module = model.get_submodule(name)
        if not isinstance(module, nn.MultiheadAttention):
            weight = native_weight(module).detach()
            kept = weight.numel() - int(ratio * weight.numel())
            masks[f"{name}.weight"] = keep_mask(weight.abs(), kept)
    state = dict(model.named_parameters())
    return {name: state[name].detach() * mask for name, mask in masks.items()}, masks


@pytest.mark.parametrize("fit", [least_squares, obs_fit])
@pytest.mark.parametrize("sample", sample_models.names(data="fashion-mnist"))
def test_repair_lowers_the_error_of_every_layer_of_the_samples(sample: str, fit: Fit) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[sample]().eval()
    before = checksum(model)
    edit, masks = masked(model, 0.5)
    batches = [(torch.randn(16, 1, 28, 28), None)]
    result = repair_layers(model, batches, edit=edit, masks=masks, fit=fit)
    assert checksum(model) == before
    assert {item.layer for item in result.layers} | set(result.skipped) == {
        name.removesuffix(".weight") for name in masks
    }
    for item in result.layers:
        # Depthwise columns see the layer's whole error: none may get worse, most get better.
        assert item.error_after <= item.error_before * (1 + 1e-6), item
    better = [item for item in result.layers if item.error_after < 0.98 * item.error_before]
    assert len(better) >= 0.8 * len(result.layers)
    for name, mask in masks.items():
        assert bool((result.edit[name][~mask] == 0).all())


def test_later_layers_are_fitted_to_what_earlier_repairs_give() -> None:
    model = small_residual()
    edit, masks = masked(model, 0.4)
    result = repair_layers(model, image_batches(), edit=edit, masks=masks)
    assert [item.layer for item in result.layers] == list(RESIDUAL_LAYERS)
    inputs = torch.cat([batch[0] for batch in image_batches()])
    dense = model(inputs)
    plain = (functional_call(model, edit, (inputs,)) - dense).square().mean()
    repaired = (functional_call(model, result.edit, (inputs,)) - dense).square().mean()
    assert float(repaired) < 0.5 * float(plain)
    assert result.layers[-1].error_after == pytest.approx(float(repaired), rel=1e-2)


def test_repair_reports_progress_and_refuses_bad_input() -> None:
    model = small_residual()
    edit, masks = masked(model, 0.4)
    seen: list[tuple[int, int]] = []
    repair_layers(
        model, image_batches(), edit=edit, masks=masks, progress=lambda a, b: seen.append((a, b))
    )
    assert seen == [(i, 5) for i in range(1, 6)]
    with pytest.raises(InputError, match="calibration data"):
        repair_layers(model, [], edit=edit, masks=masks)


def test_layers_that_are_not_called_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_module("unused", None)
    holder = nn.ModuleDict({"used": nn.Linear(2, 2)})
    model.add_module("spare", holder)
    model.forward = lambda inputs: model[0](inputs)
    masks = {"spare.used.weight": torch.ones(2, 2, dtype=torch.bool)}
    result = repair_layers(model, [(torch.ones(2, 2), None)], edit={}, masks=masks)
    assert "does not call" in result.skipped["spare.used"]


def test_apply_edit_writes_in_place() -> None:
    model = nn.Linear(2, 2)
    parameter = model.weight
    apply_edit(model, {"weight": torch.zeros(2, 2)})
    assert model.weight is parameter
    assert not bool(model.weight.any())


USER_FILE = """
from pruners.criteria import LayerData, criterion

@criterion("sharpness", label="Sharpness", citation="own", formula="max", help="Mine.",
           granularities={"channel"})
def sharpness(data: LayerData, *, level):
    return data.weight.abs().flatten(1).amax(1)
"""


def test_user_file_registers_and_reloads(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    known = CRITERIA.names()
    try:
        assert criteria.load_criterion_file(path) == ("sharpness",)
        entry = criteria.CRITERIA.get("sharpness")
        assert criteria.load_criterion_file(path) == ("sharpness",)
        assert criteria.CRITERIA.get("sharpness") is entry
        path.write_text(USER_FILE + "# changed")
        assert criteria.load_criterion_file(path) == ("sharpness",)
        assert criteria.CRITERIA.get("sharpness").version not in ("", entry.version)
        data = criteria.LayerData(name="l", weight=torch.tensor([[1.0, -3.0]]))
        assert criteria.scores("sharpness", data, level="channel").tolist() == [3.0]
    finally:
        CRITERIA.remove("sharpness")
    assert CRITERIA.names() == known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "registers no criterion"),
        ("1 / 0", "ZeroDivisionError"),
        (USER_FILE.replace("sharpness", "l1"), "registered already"),
        (USER_FILE + "\nraise RuntimeError('late')", "RuntimeError: late"),
    ],
)
def test_bad_user_files_leave_the_registry_alone(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    known = CRITERIA.names()
    with pytest.raises(InputError, match=message):
        criteria.load_criterion_file(path)
    assert CRITERIA.names() == known
    with pytest.raises(InputError, match="does not exist"):
        criteria.load_criterion_file(tmp_path / "none.py")


class Chain(nn.Module):
    """Convolutions one after the other, one of them called twice, one by keyword."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Conv2d(3 if i == 0 else 6, 6, 1) for i in range(depth)])
        self.twice = nn.Conv2d(6, 6, 1)
        self.out = nn.Linear(6, 4)
        self.order = list(range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for place in self.order:
            x = torch.relu(self.body[place](x))
            if place in (1, 3):
                x = x + self.twice(x)
        return self.out(input=x.mean((2, 3)))


@pytest.mark.parametrize("fit", [least_squares, obs_fit])
def test_repairs_go_through_the_layers_once(fit: Fit) -> None:
    """Two passes of the model for each batch, not two a layer; equal weights."""
    torch.manual_seed(0)
    model = Chain(6).eval()
    edit, masks = masked(model, 0.4)
    batches = [(torch.randn(5, 3, 4, 4), None), (torch.randn(7, 3, 4, 4), None)]
    calls = []
    model.body[0].register_forward_hook(lambda *_: calls.append(1))
    before = checksum(model)
    slow = repair_layers(model, batches, edit=edit, masks=masks, fit=fit, memory_limit=0)
    by_layer = len(calls)
    calls.clear()
    found = repair_layers(model, batches, edit=edit, masks=masks, fit=fit)
    assert checksum(model) == before
    assert found.layers == slow.layers
    for name, tensor in slow.edit.items():
        assert torch.equal(found.edit[name], tensor), name
    # Eight layers; the order is looked up in one pass; the layer that is called twice costs two
    # passes of its own.
    assert by_layer == 1 + 2 * len(batches) * 8
    assert len(calls) == 1 + 2 * len(batches) * 2


def test_least_squares_looks_only_at_inputs_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same fit from the channels that are left, at their cost."""
    torch.manual_seed(0)
    model = Chain(4).eval()
    left = torch.tensor([True, False, True, True, False, True])
    masks = {
        f"{name}.weight": left.reshape(1, 6, *[1] * (native_weight(layer).dim() - 2))
        .expand_as(native_weight(layer))
        .clone()
        for name, layer in model.named_modules()
        if name in ("body.1", "body.3", "twice", "out")
    }
    edit = {name: model.get_parameter(name).detach() * mask for name, mask in masks.items()}
    batches = [(torch.randn(9, 3, 4, 4), None)]
    widths: list[int] = []
    found_moments = moments._moments

    def noted(inputs: Tensor, outputs: Tensor) -> moments.Moments:
        widths.append(inputs.shape[1])
        return found_moments(inputs, outputs)

    monkeypatch.setattr(moments, "_moments", noted)
    found = repair_layers(model, batches, edit=edit, masks=masks)
    assert set(widths) == {4 + 1}
    whole = repair_layers(
        model,
        batches,
        edit=edit,
        masks=masks,
        # Whatever is no least squares is given all inputs.
        fit=lambda data, weight, bias, *, mask: least_squares(data, weight, bias, mask=mask),
    )
    assert set(widths) == {4 + 1, 6 + 1}
    for name, tensor in whole.edit.items():
        torch.testing.assert_close(found.edit[name], tensor, rtol=1e-3, atol=1e-5)
    for one, other in zip(found.layers, whole.layers, strict=True):
        assert one.error_after == pytest.approx(other.error_after, rel=1e-4)


def test_a_batch_that_takes_another_way_is_repaired_all_the_same() -> None:
    class Turned(Chain):
        def forward(self, x: Tensor) -> Tensor:
            self.order = [0, *(range(1, 4) if len(x) == 5 else range(3, 0, -1))]
            return super().forward(x)

    torch.manual_seed(0)
    model = Turned(4).eval()
    edit, masks = masked(model, 0.4)
    batches = [(torch.randn(5, 3, 4, 4), None), (torch.randn(7, 3, 4, 4), None)]
    slow = repair_layers(model, batches, edit=edit, masks=masks, memory_limit=0)
    found = repair_layers(model, batches, edit=edit, masks=masks)
    assert all(torch.equal(found.edit[name], tensor) for name, tensor in slow.edit.items())


def test_an_error_in_a_pass_is_the_repairs() -> None:
    class Failing(Chain):
        def forward(self, x: Tensor) -> Tensor:
            answers = super().forward(x)
            if len(x) == 7:
                raise ValueError("no such batch")
            return answers

    model = Failing(3).eval()
    edit, masks = masked(model, 0.4)
    batches = [(torch.randn(5, 3, 4, 4), None), (torch.randn(7, 3, 4, 4), None)]
    threads = threading.active_count()
    with pytest.raises(ValueError, match="no such batch"):
        repair_layers(model, batches, edit=edit, masks=masks, memory_limit=0)
    model.body[2].register_forward_hook(lambda _m, _a, output: output.shape[9])
    with pytest.raises(IndexError):
        repair_layers(model, batches, edit=edit, masks=masks)
    assert threading.active_count() == threads
    assert all(not module._forward_pre_hooks for module in model.modules())


def test_docs_page_is_current() -> None:
    page = (ROOT / "docs" / "criteria.md").read_text(encoding="utf-8")
    assert page == markdown(), "run python -m pruners.criteria.docs_table docs/criteria.md"


class TiedHead(nn.Module):
    """Its head multiplies by the embedding's weight, and its middle by a matrix of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Embedding(7, 4), nn.Linear(4, 4)
        self.matrix = nn.Module()
        self.matrix.kernel = nn.Parameter(torch.randn(4, 4))
        self.own, self.other = (nn.Parameter(torch.randn(4, 4)) for _ in range(2))

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.fc(self.embed(ids)) @ self.matrix.kernel @ self.own @ self.other
        return F.linear(hidden, self.embed.weight)


def test_weights_that_code_reads_outside_of_a_layer_are_left_and_told() -> None:
    """Found on a page: a plan of the hidden size of a tied language model could not be repaired."""
    torch.manual_seed(0)
    model, keep = TiedHead().eval(), torch.tensor([True, True, False, True])
    names = ("embed.weight", "fc.weight", "matrix.kernel", "own", "other")
    shapes = {name: dict(model.named_parameters())[name].shape for name in names}
    masks = {name: keep.expand(shape).clone() for name, shape in shapes.items()}
    repair = repair_layers(model, [(torch.arange(7)[:, None], None)], edit={}, masks=masks)
    assert [item.layer for item in repair.layers] == ["fc"]
    assert repair.skipped.keys() == {"embed", "matrix.kernel", "own", "other"}
    assert repair.edit.keys() == {"fc.weight", "fc.bias"}
