"""What every test gets."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side, a core each; small tensors gain nothing from more threads."""
    torch.set_num_threads(1)
