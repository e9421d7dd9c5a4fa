"""A training loop of the user's own: how it is called, and what may come back."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from analysis.recovery.training import TrainingRecipe
from analysis.recovery.training.data import run_user_loop
from pruners.errors import AddressError, InputError

LOOPS = """
import copy
import torch
from torch import nn

def train(model, masks, epochs):
    assert model.training and sorted(masks) == ["0.weight"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    chance = torch.Generator().manual_seed(0)
    for _ in range(int(10 * epochs)):
        optimizer.zero_grad()
        model(torch.randn(16, 3, generator=chance)).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in masks:
                    parameter.mul_(masks[name])
    return model

def other(model, masks, epochs):
    return train(copy.deepcopy(model), masks, epochs)
def forgetful(model, masks, epochs):
    train(model, masks, epochs)
def careless(model, masks, epochs):
    with torch.no_grad():
        model[0].weight.add_(1)
        masks["0.weight"].fill_(False)
    return model
def wrapped(model, masks, epochs): return nn.DataParallel(model)
def smaller(model, masks, epochs): return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
def diverged(model, masks, epochs):
    model[1].running_var.fill_(float("nan"))
    return model
def raising(model, masks, epochs): raise RuntimeError("no data\\nanywhere")
def leaving(model, masks, epochs): raise SystemExit(1)
def ending(model, masks, epochs):
    import os
    os._exit(7)
def setting(model, masks, epochs):
    import os, signal
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return model
def short(model, masks): return model
many = 3
"""


@pytest.fixture
def loops(tmp_path: Path) -> str:
    path = tmp_path / "loops.py"
    path.write_text(LOOPS, encoding="utf-8")
    return str(path)


def model_and_masks() -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    mask = torch.arange(15).reshape(5, 3) % 3 != 0
    with torch.no_grad():
        model[0].weight.mul_(mask)
    return model.train(), {"0.weight": mask}


@pytest.mark.parametrize("name", ["train", "other"])
def test_a_loop_trains_the_model(loops: str, name: str) -> None:
    """The one given, or a copy of it."""
    model, masks = model_and_masks()
    before = {key: item.clone() for key, item in model.state_dict().items()}
    with torch.inference_mode():
        # Whoever calls may be in any mode.
        trained = run_user_loop(f"{loops}:{name}", model, masks, 1.0)
    state = trained.state_dict()
    assert list(state) == list(before)
    assert not torch.equal(state["0.weight"], before["0.weight"])
    assert not torch.equal(state["1.running_mean"], before["1.running_mean"])
    assert bool((state["0.weight"][~masks["0.weight"]] == 0).all())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("forgetful", "returned a NoneType; it must return the model"),
        ("careless", "returned 0.weight with 5 pruned weights that are not 0; multiply"),
        ("wrapped", "it misses 0.weight, 0.bias, 1.weight and 4 more and has module.0.weight"),
        ("smaller", r"returned 0.weight of shape .4, 3.; it was given .5, 3."),
        ("diverged", "returned 1.running_var with numbers that are not finite"),
        ("raising", "raised RuntimeError: no data$"),
        ("leaving", "called sys.exit"),
        ("ending", r"the code called os._exit.7.; it must return"),
        ("short", r"takes .model, masks.; it is called with .model, masks, epochs."),
        ("many", "has no function 'many'"),
        ("none", "has no function 'none'; it has "),
    ],
)
def test_what_comes_back_is_checked_in_one_line(loops: str, name: str, problem: str) -> None:
    model, masks = model_and_masks()
    with pytest.raises(InputError, match=problem) as found:
        run_user_loop(f"{loops}:{name}", model, masks, 1.0)
    assert "\n" not in str(found.value)


def test_what_a_loop_sets_for_all_is_put_back(loops: str) -> None:
    """Latencies measured after it were those of other threads, without a word."""

    def settings() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
            Path.cwd(),
            signal.getsignal(signal.SIGINT),
        )

    before = settings()
    run_user_loop(f"{loops}:setting", *model_and_masks(), 1.0)
    assert settings() == before


def test_a_loop_lies_below_the_allowed_folders(loops: str, tmp_path: Path) -> None:
    model, masks = model_and_masks()
    with pytest.raises(AddressError, match="outside of the folders"):
        run_user_loop(f"{loops}:train", model, masks, 1.0, roots=[tmp_path / "other"])
    with pytest.raises(AddressError, match="there is no file"):
        run_user_loop("nowhere.py:train", model, masks, 1.0)
    with pytest.raises(AddressError, match="training loop 'nowhere' is no function; give path/"):
        TrainingRecipe(user_loop="nowhere")
