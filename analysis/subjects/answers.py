"""Run the dense model once, and check that what it answers can be measured at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analysis.records import SubjectSpec
from analysis.tasks import Task
from pruners.errors import InputError, one_line

# Relative to the largest logit of a class: far above rounding, also in bfloat16, and below dropout.
REPEATS = 0.03
# Sizes of batches whose answers must be those of the probe.
FEW = (1, 2)


def checked_outputs(model: nn.Module, inputs: Tensor, spec: SubjectSpec, task: Task) -> Tensor:
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
    shape = tuple(inputs.shape[1:])
    try:
        with torch.inference_mode():
            outputs = model(inputs)
    except Exception as error:
        # Which exception a wrong shape raises depends on the layer that meets it.
        types = {item.dtype for item in model.parameters() if item.is_floating_point()}
        hint = ""
        if types and inputs.dtype not in types:
            listed = ", ".join(sorted(str(item).removeprefix("torch.") for item in types))
            hint = f"; its weights are {listed}, inputs are float32: convert it with .float()"
        raise InputError(
            f"the model {spec.model!r} does not take inputs of shape {shape}: {one_line(error)}"
            f"{hint}"
        ) from error
    outputs = task.check(outputs, len(inputs), model=spec.model)
    _check_repeats(model, inputs, outputs, spec)
    return outputs


def _check_repeats(model: nn.Module, inputs: Tensor, outputs: Tensor, spec: SubjectSpec) -> None:
    """Refuse models whose answer to a sample depends on chance, or on the rest of the batch."""
    before = {name: item.clone() for name, item in model.named_buffers()}
    again = _answers(model, inputs)
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
    if _differ(again, outputs):
        raise InputError(
            f"the model {spec.model!r} answers the same inputs differently each time: dropout is "
            "left on in eval mode, or the forward pass draws random numbers; nothing could be "
            "told from its answers"
        )
    others = {f"in a batch of {size}": slice(0, size) for size in FEW}
    others["after others"] = slice(len(inputs) // 2, None)
    for where, part in others.items():
        if _differ(_answers(model, inputs[part]), outputs[part]):
            raise InputError(
                f"the model {spec.model!r} answers a sample differently {where} than in one of "
                f"{len(inputs)}: it uses statistics of the batch, computes over it, or takes it "
                "for a sequence (batch_first=True is missing); what is measured would depend on "
                "the batch size"
            )


@torch.inference_mode()
def _answers(model: nn.Module, inputs: Tensor) -> Tensor | None:
    try:
        found = model(inputs)
    except Exception:
        # Not every model takes a single sample; then there is nothing to compare.
        return None
    return found if isinstance(found, Tensor) and found.dim() == 2 else None


def _differ(found: Tensor | None, outputs: Tensor) -> bool:
    """Return whether answers differ by more than rounding, class by class.

    A class that is masked by a huge number must not hide how the others differ, nor one that is
    always 0 make rounding look large.
    """
    if found is None or found.shape != outputs.shape:
        return False
    found, outputs = found.double(), outputs.double()
    size = outputs.abs().amax(0)
    scale = size.clamp_min(float(size.quantile(0.25))).clamp_min(1e-300)
    return bool(((found - outputs).abs().amax(0) / scale > REPEATS).any())
