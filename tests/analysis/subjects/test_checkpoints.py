"""Checkpoints in the forms in which training scripts leave them, against the plain state dict."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from analysis.subjects.models import load_model
from analysis.subjects.models.weights import load_weights
from analysis.subjects.parsing import parse_model
from pruners.errors import AddressError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def state(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: item.clone()
        if item.dtype == torch.int64
        else torch.rand(item.shape, generator=generator)
        for name, item in network().state_dict().items()
    }


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: item for name, item in tensors.items()}


RIGHT, OTHER = state(1), state(2)
AVERAGED = torch.optim.swa_utils.AveragedModel(network())
AVERAGED.module.load_state_dict(RIGHT)
PROFILED = {**RIGHT, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)}
ADAM = {"state": {0: {"exp_avg": torch.ones(3, 1, 3, 3)}}, "param_groups": []}
# Content -> what is said of it.
FILES: dict[str, tuple[Any, str]] = {
    "plain": (RIGHT, ""),
    "nested as usual": ({"state_dict": {"model": RIGHT}, "epoch": 3}, "at state_dict/model in"),
    "tutorial": (
        {"epoch": 3, "model_state_dict": RIGHT, "optimizer_state_dict": ADAM, "loss": 0.3},
        "those at model_state_dict",
    ),
    "with a loss": ({"model_state_dict": RIGHT, "loss": torch.tensor(0.3)}, "at model_state_dict"),
    "net": ({"net": RIGHT, "acc": 91.2}, "those at net"),
    "params": ({"params": RIGHT, "params_ema": OTHER}, "fit, too: params_ema (#key=params_ema)"),
    "second first": ({"params_ema": OTHER, "params": RIGHT}, "fit, too: params_ema"),
    "only averaged": ({"ema": RIGHT}, "those at ema"),
    "a name nobody knows": ({"stuff": {"weights of mine": RIGHT}}, "at stuff/weights of mine"),
    "Lightning": (
        {"state_dict": under("model.", RIGHT), "pytorch-lightning_version": "2.1.0"},
        "those at state_dict/model in the file",
    ),
    "Lightning with a loss": (
        {"state_dict": {**under("net.", RIGHT), "criterion.weight": torch.ones(4)}},
        "Left out, 1 other tensor of the file: criterion.weight",
    ),
    "Lightning compiled": ({"state_dict": under("model._orig_mod.", RIGHT)}, "model._orig_mod"),
    "parallel in Lightning": ({"state_dict": under("module.net.", RIGHT)}, "at state_dict/net"),
    "teacher and student": (
        {"state_dict": {**under("teacher.", OTHER), **under("student.", RIGHT)}},
        "those at state_dict/student",
    ),
    "AveragedModel": (AVERAGED.state_dict(), "in the file, without module. before their names"),
    "parallel": ({"state_dict": under("module.", RIGHT)}, "at state_dict in the file, without mod"),
    "compiled and parallel": (under("_orig_mod.module.", RIGHT), "without _orig_mod.module. be"),
    "with an average": ({"model": RIGHT, "model_ema": OTHER}, "those at model in the file"),
    "profiled": (PROFILED, ""),
    "the same twice": ({"model": RIGHT, "state_dict": dict(RIGHT)}, "those at model in the file"),
    "without counters": ({k: v for k, v in RIGHT.items() if "num_batches" not in k}, ""),
}


@pytest.mark.parametrize("name", FILES)
def test_the_weights_are_found_and_said_where(tmp_path: Path, name: str) -> None:
    """'holds no tensors', or 26 missing names, for what is all there."""
    content, says = FILES[name]
    torch.save(content, tmp_path / "w.pt")
    model = network()
    notes = load_weights(model, tmp_path / "w.pt")
    for key, item in model.state_dict().items():
        assert torch.equal(item, RIGHT[key]), key
    assert says in " ".join(notes)
    assert bool(notes) == bool(says)


def test_masks_of_a_file_are_kept(tmp_path: Path) -> None:
    masked = network()
    masked.load_state_dict(RIGHT)
    for layer in (masked[0], masked[3]):
        prune.random_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]
    torch.save({"state_dict": masked.state_dict()}, tmp_path / "w.pt")
    model = network()
    assert "masks" in " ".join(load_weights(model, tmp_path / "w.pt"))
    assert torch.equal(model[0].weight, masked[0].weight)
    assert int((model[3].weight == 0).sum()) == 12


def test_several_that_fit_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"generator": OTHER, "critic": RIGHT}, path)
    with pytest.raises(AddressError, match="fit at generator, critic; say which by #key="):
        load_weights(network(), path)
    model = network()
    load_weights(model, path, place="critic")
    assert torch.equal(model[0].weight, RIGHT["0.weight"])
    with pytest.raises(AddressError, match="no weights at x; it holds some at generator, critic"):
        load_weights(model, path, place="x")


def test_a_key_needs_weights() -> None:
    with pytest.raises(AddressError, match="key says which weights"):
        load_model(parse_model("sample:lenet5#key=net"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"net": {"0.weight": torch.zeros(2)}}, r"\(under net\) does not fit Sequential: missing"),
        ({**RIGHT, "0.weight": torch.ones(3, 1, 3, 3, dtype=torch.int8)}, "other type: 0.weight"),
        ({"model": RIGHT, "args": argparse.Namespace(lr=1)}, r"it holds a argparse\.Namespace"),
        ({"state_dict": RIGHT, "best": np.float64(0.9)}, "multiarray.scalar"),
        (network(), r"it holds a torch\.nn\.modules\.container\.Sequential"),
        (list(RIGHT.values()), "holds a list"),
    ],
)
def test_what_does_not_load_is_named(tmp_path: Path, content: Any, says: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(AddressError, match=says) as caught:
        load_weights(network(), tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
