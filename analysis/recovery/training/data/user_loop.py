"""A training loop of the user's own in the place of the product's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from analysis.recovery.training.data.functions import checked_function
from analysis.sentences import listed, plural
from pruners.capture import named_state
from pruners.errors import InputError, one_line
from pruners.user_code import lent

ARGUMENTS = ("model", "masks", "epochs")
WHAT = "training loop"


def load_user_loop(text: str, *, roots: Sequence[Path] | None = None) -> Callable[..., Any]:
    """Load ``file.py:function(model, masks, epochs) -> model``; it is not called yet.

    Raises:
        InputError: It is missing, raises on import, takes other arguments or may not be used here.
    """
    return checked_function(text, WHAT, ARGUMENTS, roots=roots)


def run_user_loop(
    text: str,
    model: nn.Module,
    masks: Mapping[str, Tensor],
    epochs: float,
    *,
    roots: Sequence[Path] | None = None,
) -> nn.Module:
    """Let a user's loop train a model, and check what comes back.

    Args:
        text: Address of the loop.
        model: A model of the loop's own, in train mode; it may change it.
        masks: By parameter name, True = keep; what they leave out must be 0 in the end.
        epochs: How often each training sample should be seen.
        roots: Folders below which its file must lie; None allows everything.

    Returns:
        The trained model, which has the states of the given one by name and shape.

    Raises:
        InputError: The loop cannot be used, raises, or gives back another model than was given, or
            one with numbers that are not finite, or with weights that the masks leave out.
    """
    function = load_user_loop(text, roots=roots)
    shapes = {name: item.shape for name, item in named_state(model).items()}
    own = {name: mask.clone() for name, mask in masks.items()}
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), lent():
            trained = function(model, own, epochs)
    except Exception as error:
        # A user's loop may raise anything.
        raise InputError(f"{WHAT} {text!r} raised {one_line(error)}") from error
    if not isinstance(trained, nn.Module):
        raise InputError(
            f"{WHAT} {text!r} returned a {type(trained).__name__}; it must return the model"
        )
    state = named_state(trained)
    _check_names(text, shapes, state)
    for name, item in state.items():
        if item.is_floating_point() and not bool(torch.isfinite(item).all()):
            raise InputError(
                f"{WHAT} {text!r} returned {name} with numbers that are not finite; lower its "
                "learning rate"
            )
    _check_zeros(text, masks, state)
    return trained


def _check_names(text: str, shapes: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> None:
    missing = [name for name in shapes if name not in state]
    more = [name for name in state if name not in shapes]
    if missing or more:
        parts = [f"misses {listed(missing)}"] if missing else []
        parts += [f"has {listed(more)} beside"] if more else []
        raise InputError(
            f"{WHAT} {text!r} returned another model than it was given: it {' and '.join(parts)}; "
            "return the model that was given, not one around it"
        )
    for name, shape in shapes.items():
        if state[name].shape != shape:
            raise InputError(
                f"{WHAT} {text!r} returned {name} of shape {tuple(state[name].shape)}; it was "
                f"given {tuple(shape)}"
            )


def _check_zeros(text: str, masks: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    for name, mask in masks.items():
        lost = ~mask.to(state[name].device)
        count = int((state[name][lost] != 0).sum())
        if count:
            raise InputError(
                f"{WHAT} {text!r} returned {name} with {plural(count, 'pruned weight')} that are "
                "not 0; multiply weights by their masks after each step"
            )
