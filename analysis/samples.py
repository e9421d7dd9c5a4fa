"""The sample subjects that come with the program, for choices on pages and in the command line."""

from __future__ import annotations

import sample_models


def sample_names() -> tuple[str, ...]:
    """Return the names of the sample models with trained weights, best demo first."""
    names = sample_models.names()
    first = [name for name in ("resnet20",) if name in names]
    return (*first, *(name for name in names if name not in first))
