"""Targets as data sets give them: in the type that a task takes, or refused in a few words."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EXPECTED = "one class number a sample is needed"
ADVICE = " (of other answers name the task, such as --task regression)"
# Positions and pixels that do not count.
IGNORED = -100


def class_numbers(targets: Tensor) -> Tensor:
    """Return targets ``(N,)`` or ``(N, 1)`` as int64 ``(N,)``.

    Numbers of any type are taken if they are whole and not negative.

    Raises:
        ValueError: They are something else; the message says what, for behind "the target".
    """
    shape = tuple(targets.shape[1:])
    if math.prod(shape) != 1:
        more = "; take argmax of one-hot targets" if len(shape) == 1 else ""
        more += ADVICE
        raise ValueError(f"has shape {shape}; {EXPECTED}{more}")
    targets = targets.detach().cpu().reshape(len(targets))
    if targets.is_complex():
        raise ValueError(f"is complex; {EXPECTED}")
    numbers = targets.long()
    wrong = torch.nonzero((numbers < 0) | (numbers.to(targets.dtype) != targets)).flatten()
    if len(wrong):
        value = targets[wrong[0]].item()
        more = ADVICE if math.isfinite(value) and value % 1 else ""
        raise ValueError(f"is {value}, not a class number{more}")
    return numbers


def class_maps(targets: Tensor) -> Tensor:
    """Return classes of positions ``(N, ...)`` as int64; `IGNORED` does not count.

    Raises:
        ValueError: They are no whole numbers, or negative.
    """
    targets = targets.detach().cpu()
    if targets.is_complex() or targets.dim() < 2:
        raise ValueError("is one number; a class is needed for each position")
    numbers = targets.long()
    odd = ((numbers < 0) & (numbers != IGNORED)) | (numbers.to(targets.dtype) != targets)
    if bool(odd.any()):
        raise ValueError(f"holds {targets[odd][0].item()}, not a class number or {IGNORED}")
    return numbers


def real_numbers(targets: Tensor) -> Tensor:
    """Return targets as float32.

    Raises:
        ValueError: They are complex, not finite, or beyond float32.
    """
    if targets.is_complex():
        raise ValueError("is complex; real numbers are needed")
    numbers = targets.detach().cpu().float()
    if not bool(torch.isfinite(numbers).all()):
        is_huge = bool(torch.isfinite(targets).all())
        raise ValueError("is too large for float32" if is_huge else "is not finite")
    return numbers


def zeros_and_ones(targets: Tensor) -> Tensor:
    """Return targets of 0 and 1 as float32.

    Raises:
        ValueError: Others are among them.
    """
    numbers = real_numbers(targets)
    odd = (numbers != 0) & (numbers != 1)
    if bool(odd.any()):
        raise ValueError(f"holds {numbers[odd][0].item():g}, not 0 or 1")
    return numbers


def first_class_out_of_range(targets: Tensor, classes: int) -> tuple[int, str] | None:
    """Return the first sample with a class that the model does not give; None if all are."""
    odd = ((targets < 0) & (targets != IGNORED)) | (targets >= classes)
    if not bool(odd.any()):
        return None
    at = int(odd.flatten(1).any(1).nonzero()[0])
    found = int(targets[at][odd[at]][0])
    return at, f"has class {found}, but the model gives {classes} (classes 0..{classes - 1})"


def first_of_other_form(targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
    """Return the first sample, if targets are of another form than outputs; None if they are."""
    shape = tuple(targets.shape[1:])
    if shape == form:
        return None
    return 0, f"has a target of shape {shape}, but the model gives {form} for a sample"
