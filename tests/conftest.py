"""What every test gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side, a core each; small tensors gain nothing from more threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_default_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing may be read from, or written to, the workspace of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path_factory.mktemp("default-workspace")))
        yield
