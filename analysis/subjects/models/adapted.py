"""Models that take several inputs or return several outputs, as ones that take and return one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pruners.batches import Inputs, Tensors, names_of, parts_of
from pruners.errors import InputError

# What a model whose outputs have names answers with, if nothing else is asked for.
USUAL_OUTPUTS = ("logits", "last_hidden_state")


def adapted(
    model: nn.Module,
    inputs: Inputs | None = None,
    *,
    output: str = "",
    config: str = "",
    packed: Callable[[Any], Any] | None = None,
) -> nn.Module:
    """Let a model take one batch, of one tensor or several, and return one tensor; in place.

    The model gets a class of its own beside its own one: its modules, their names and its other
    methods stay. Names of inputs, the output and the configuration show in its ``repr`` and so
    belong to what tells it from others.

    Args:
        model: The model.
        inputs: A batch of the kind that it is given: its ``form`` says how the model's own code
            takes them; None is one tensor.
        output: Name or number of the output; see `selected`.
        config: Digest of a configuration of Transformers: what else decides what it computes.
        packed: Makes one tensor of what it returns; see `analysis.tasks.Task.packed`.
    """
    base = type(model)
    form = inputs.form if isinstance(inputs, Tensors) else None
    told = {"inputs": _names(inputs), "output": output, "config": config}

    def forward(self: nn.Module, inputs: Inputs) -> Any:
        parts = parts_of(inputs)
        tree: Any = parts if form is None else pytree.tree_unflatten(parts, form)
        named = isinstance(tree, dict)
        found = base.forward(self, **tree) if named else base.forward(self, *tree)
        found = selected(found, output) if output or config else found
        return found if packed is None else packed(found)

    def extra_repr(self: nn.Module) -> str:
        more = (f"{key}={item}" for key, item in told.items() if item)
        return ", ".join(filter(None, (base.extra_repr(self), *more)))

    own = {"forward": forward, "extra_repr": extra_repr, "__module__": base.__module__}
    model.__class__ = type(base.__name__, (base,), own)
    return model


def _names(inputs: Inputs | None) -> str:
    """Return what inputs are called, listed; nothing of one, or of several one after another."""
    if not isinstance(inputs, Tensors):
        return ""
    names = names_of(inputs)
    return "" if names == names_of(Tensors(inputs.parts)) else ", ".join(names)


def config_digest(model: nn.Module) -> str:
    """Return a digest of the configuration that a model of Transformers holds; else nothing.

    What its modules print does not say how many heads there are, or how far apart rotations lie.
    """
    write = getattr(getattr(model, "config", None), "to_json_string", None)
    if not callable(write):
        return ""
    return hashlib.sha256(str(write(use_diff=False)).encode()).hexdigest()[:16]


def selected(found: Any, output: str) -> Any:
    """Return one of a model's outputs.

    Args:
        found: A tensor, or a tuple or mapping of outputs.
        output: Name or number; empty is what models with names call logits, else the first.

    Raises:
        InputError: There is no such output.
    """
    if isinstance(found, Tensor):
        if output in ("", "0"):
            return found
        raise InputError(f"the model returns one tensor and no output {output!r}; leave it out")
    if isinstance(found, Mapping):
        known = {str(name): item for name, item in found.items()}
    elif isinstance(found, tuple | list):
        known = {str(at): item for at, item in enumerate(found)}
    else:
        return found
    numbered = {str(at): item for at, item in enumerate(known.values())}
    usual = (name for name in (*USUAL_OUTPUTS, *known) if name in known)
    chosen = output or next(usual, "")
    if chosen in known or chosen in numbered:
        return known.get(chosen, numbered.get(chosen))
    raise InputError(f"the model has no output {output!r}; it returns {', '.join(known)}")


def check_single(found: Any) -> None:
    """Check that a model returns one output.

    Raises:
        InputError: It returns several.
    """
    if isinstance(found, Mapping):
        names = [str(name) for name in found]
    elif isinstance(found, tuple | list):
        names = [str(at) for at in range(len(found))]
    else:
        return
    usual = next((name for name in (*USUAL_OUTPUTS, *names) if name in names), "0")
    raise InputError(
        f"the model returns a {type(found).__name__} of {', '.join(names) or 'nothing'}; say which "
        f"output is measured, such as #output={usual} behind the model address"
    )
