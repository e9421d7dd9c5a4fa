"""Targets as data sets give them: turned into class numbers, or refused in one line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

EXPECTED = "one class number a sample is needed"


def class_number(value: Any) -> int:
    """Return the target of one sample as a class number.

    Args:
        value: A whole number from 0, or a tensor or array that holds just that.

    Raises:
        ValueError: It is something else; the message says what, for behind "the target".
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return int(class_numbers(torch.as_tensor(value)[None])[0])
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        what = "nan" if value != value else f"a {type(value).__name__}"
        raise ValueError(f"is {what}, not a class number") from None
    if number < 0 or number != value:
        raise ValueError(f"is {value!r}, not a class number")
    return number


def class_numbers(targets: Tensor) -> Tensor:
    """Return targets ``(N,)`` or ``(N, 1)`` as int64 ``(N,)``.

    Numbers of any type are taken if they are whole and not negative.

    Raises:
        ValueError: They are something else; the message says what, for behind "the target".
    """
    shape = tuple(targets.shape[1:])
    if math.prod(shape) != 1:
        more = "; take argmax of one-hot targets" if len(shape) == 1 else ""
        raise ValueError(f"has shape {shape}; {EXPECTED}{more}")
    targets = targets.detach().cpu().reshape(len(targets))
    if targets.is_complex():
        raise ValueError(f"is complex; {EXPECTED}")
    numbers = targets.long()
    wrong = torch.nonzero((numbers < 0) | (numbers.to(targets.dtype) != targets)).flatten()
    if len(wrong):
        raise ValueError(f"is {targets[wrong[0]].item()}, not a class number")
    return numbers
