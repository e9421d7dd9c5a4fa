"""Targets as data sets give them: turned into class numbers, or refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.tasks import Classification, Task, class_numbers


def sample_target(value: Any, task: Task) -> Tensor | None:
    """Return the target of one sample, as a task takes it; None if it asks for none.

    Args:
        value: What the data set gave.
        task: Says what targets are.

    Raises:
        ValueError: It is no target; the message says why, for behind "the target".
    """
    if isinstance(task, Classification):
        return torch.tensor(class_number(value))
    if isinstance(value, Mapping):
        value = task.joined(value)
    try:
        plain = torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"is a {type(value).__name__}, not numbers") from None
    found = task.as_targets(plain[None])
    return None if found is None else found[0]


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
