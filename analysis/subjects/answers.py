"""Run the dense model once, and check that what it answers can be measured at all."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from analysis.records import SubjectSpec
from analysis.subjects.models import check_single
from analysis.tasks import Task
from pruners.batches import Inputs, Tensors, parts_of, shape_of
from pruners.errors import InputError, one_line
from pruners.user_code import no_exit

# Relative to the largest logit of a class. What is computed in the same way on the same numbers
# differs by the order of a few sums; batches of other sizes by rounding, also that of bfloat16.
SAME = 1e-4
ROUNDING = 0.03
# Passes of a model that draws random numbers: it may seldom use them.
PASSES = 16
# Sizes of batches whose answers must be those of the probe. A GPU looks for kernels for each size,
# and programs are compared with the model on three.
FEW = (1, 3)
# Outputs of a sample of which each counts for the usual size of one.
MANY = 2**16


def as_taken(model: nn.Module, inputs: Inputs) -> Inputs:
    """Return inputs in the type and form that a model takes.

    Integers are numbers of tokens to a model that answers them as they are, and real numbers to
    one that only answers those: images and tables of whole numbers are read, too. Pictures of one
    channel are signals ``(N, C, L)`` or tables to a model that only answers those.

    Args:
        model: In eval mode.
        inputs: float32 or int64 ``(N, ...)``. Several keep their types.
    """
    if isinstance(inputs, Tensors):
        return inputs
    # Two tell it, and a language model answers many windows slowly.
    few = inputs[:2]
    if not inputs.is_floating_point():
        return inputs.float() if not runs(model, few) and runs(model, few.float()) else inputs
    is_grey = inputs.dim() == 4 and inputs.shape[1] == 1
    if is_grey and not runs(model, few) and runs(model, few[:, 0]):
        return inputs[:, 0]
    return inputs


def few_enough(model: nn.Module, inputs: Inputs, *, nbytes: int) -> int:
    """Return how many of some samples have outputs of so many bytes; at least four."""
    try:
        with torch.inference_mode(), no_exit():
            outputs = model(inputs[:2])
    except Exception:
        # What is wrong is told by whoever asks for all of them.
        return len(inputs)
    size = outputs.nbytes // max(1, len(outputs)) if isinstance(outputs, Tensor) else 0
    return max(4, nbytes // max(1, size))


def runs(model: nn.Module, inputs: Inputs) -> bool:
    """Return whether a model answers inputs with real numbers, or with several outputs."""
    try:
        with torch.inference_mode(), no_exit():
            found = model(inputs)
    except Exception:
        # A layer that meets numbers of another type raises what it likes.
        return False
    return not isinstance(found, Tensor) or found.is_floating_point()


def _positions(model: nn.Module) -> int | None:
    """Return how long a text may be, where a model of Transformers says so."""
    configs = (getattr(module, "config", None) for module in model.modules())
    found = (getattr(config, "max_position_embeddings", None) for config in configs)
    return next((most for most in found if isinstance(most, int)), None)


def checked_outputs(model: nn.Module, inputs: Inputs, spec: SubjectSpec, task: Task) -> Tensor:
    """Return the dense model's outputs on a batch ``(N, ...)``.

    Args:
        model: In eval mode.
        inputs: ``(N, ...)``.
        spec: The subject, for messages.
        task: Says what outputs must be.

    Raises:
        InputError: The model does not take the inputs, its outputs are not what the task needs, or
            the answer to a sample depends on chance or on the rest of the batch.
    """
    shape = shape_of(inputs)
    given = [part.clone() for part in parts_of(inputs)]
    try:
        with torch.inference_mode(), no_exit():
            outputs = model(inputs)
    except InputError:
        raise
    except Exception as error:
        # Which exception a wrong shape raises depends on the layer that meets it.
        types = {item.dtype for item in model.parameters() if item.is_floating_point()}
        hint = ""
        found = {part.dtype for part in parts_of(inputs) if part.is_floating_point()}
        if types and found - types:
            listed = ", ".join(sorted(str(item).removeprefix("torch.") for item in types))
            hint = f"; its weights are {listed}, inputs are float32: convert it with .float()"
        most = _positions(model)
        if most is not None and any(part.shape[1:] > (most,) for part in given):
            hint = f"; it has {most} positions: take shorter windows (&window={most})"
        raise InputError(
            f"the model {spec.model!r} does not take inputs of shape {shape}: {one_line(error)}"
            f"{hint}"
        ) from error
    check_single(outputs)
    if isinstance(outputs, Tensor) and (kind := _oddity(outputs)):
        raise InputError(f"the model {spec.model!r} returns a {kind} tensor; a plain one is needed")
    outputs = task.check(outputs, len(inputs), model=spec.model)
    _check_repeats(model, inputs, outputs, spec, given=given)
    return outputs


def _oddity(outputs: Tensor) -> str:
    """Return what keeps the values of outputs from being read; empty if nothing does."""
    if outputs.is_nested or outputs.is_meta:
        return "nested" if outputs.is_nested else "meta"
    return "" if outputs.layout == torch.strided else "sparse"


def _check_repeats(
    model: nn.Module,
    inputs: Inputs,
    outputs: Tensor,
    spec: SubjectSpec,
    *,
    given: Sequence[Tensor],
) -> None:
    """Refuse models whose answer to a sample depends on chance, or on the rest of the batch."""
    before = {name: item.clone() for name, item in model.named_buffers()}
    states = _random_states()
    again = _answers(model, inputs)
    draws = states != _random_states()
    changed = [
        name
        for name, item in model.named_buffers()
        if name in before and not torch.equal(item.nan_to_num(), before[name].nan_to_num())
    ]
    if changed:
        raise InputError(
            f"the model {spec.model!r} changes {', '.join(changed[:3])} in each pass, also in eval "
            "mode: its answers would depend on how often it ran"
        )
    passes = (_answers(model, inputs) for _ in range(PASSES if draws else 1))
    if _differ(again, outputs, SAME) or any(_differ(item, outputs, SAME) for item in passes):
        if not all(map(torch.equal, given, parts_of(inputs))):
            raise InputError(
                f"the model {spec.model!r} writes into its inputs, so that each pass finds others: "
                "compute on a copy (inputs.clone()), or without in-place operators"
            )
        raise InputError(
            f"the model {spec.model!r} answers the same inputs differently each time: dropout is "
            "left on in eval mode, or the forward pass draws random numbers; nothing could be "
            "told from its answers"
        )
    if len(inputs) < 2:
        return
    others = {f"in a batch of {size}": slice(0, size) for size in FEW}
    others["after others"] = slice(len(inputs) // 2, None)
    for where, part in others.items():
        if _differ(_answers(model, inputs[part]), outputs[part], ROUNDING):
            raise _depends_on_batch(spec, where, f"in one of {len(inputs)}")
    half = len(inputs) // 2
    for part in (slice(0, half), slice(half, len(inputs))):
        # One size, so that both round alike; the other half is copies of one sample of this one.
        places = [at if part.start <= at < part.stop else part.start for at in range(len(inputs))]
        beside = inputs[places]
        found = _answers(model, beside)
        if found is not None and _differ(found[part], outputs[part], SAME):
            raise _depends_on_batch(spec, "beside other samples", "beside these")


def _depends_on_batch(spec: SubjectSpec, where: str, usual: str) -> InputError:
    return InputError(
        f"the model {spec.model!r} answers a sample differently {where} than {usual}: it uses "
        "statistics of the batch, computes over it, or takes it for a sequence (batch_first=True "
        "is missing); what is measured would depend on the batch size"
    )


def _random_states() -> tuple[object, ...]:
    """Return the states of the generators that a forward pass may draw from."""
    torch_state = torch.random.get_rng_state().numpy().tobytes()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    others = [state.cpu().numpy().tobytes() for state in devices]
    numpy_state = np.random.get_state()  # noqa: NPY002 (what user code draws from)
    place = (numpy_state[1].tobytes(), numpy_state[2])  # type: ignore[index]
    return (torch_state, *others, place, random.getstate())


@torch.inference_mode()
def _answers(model: nn.Module, inputs: Inputs) -> Tensor | None:
    try:
        found = model(inputs)
    except Exception:
        # Not every model takes a single sample; then there is nothing to compare.
        return None
    return found if isinstance(found, Tensor) else None


def _differ(found: Tensor | None, outputs: Tensor, tolerance: float) -> bool:
    """Return whether answers differ by more than a tolerance, output by output.

    A class that is masked by a huge number must not hide how the others differ, nor one that is
    always 0 make rounding look large.
    """
    if found is None or found.shape != outputs.shape:
        return False
    found, outputs = (item.reshape(len(item), -1).double() for item in (found, outputs))
    size = outputs.abs().amax(0)
    # A quantile of some stands for that of many, which torch does not take.
    some = size[:: max(1, len(size) // MANY)]
    scale = size.clamp_min(float(some.quantile(0.25))).clamp_min(1e-300)
    return bool(((found - outputs).abs().amax(0) / scale > tolerance).any())
