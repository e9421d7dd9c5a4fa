"""What every test gets."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadFileScheduling

from analysis.measuring.latency import MIN_PASSES, compare_latency
from tests.helpers.captures import kept_captures

# What a test takes, in seconds, as far as its marks tell.
SECONDS, SHORT = {"browser": 30.0, "zoo": 3.0, "slow": 5.0}, 0.2
# Folders whose files one worker takes: one Chromium at a time; one capture of each small model.
TOGETHER = ("tests/browser/", "tests/pruners/groups/")


class LongFirst(LoadFileScheduling):
    """A file is one piece of work, or a folder of `TOGETHER`, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        folder = next((name for name in TOGETHER if nodeid.startswith(name)), None)
        return folder or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the order is that of `pytest_collection_modifyitems`
    return LongFirst(config, log)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Two workers more than cores: tests of other processes wait more than they work."""
    return (yield) + 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave those of the night out; where workers share the files, long ones start first."""
    if "nightly" not in (config.getoption("-m") or ""):
        skip = pytest.mark.skip(reason="runs each night: make test-nightly")
        for test in items:
            if test.get_closest_marker("nightly"):
                test.add_marker(skip)
    if not hasattr(config, "workerinput"):
        return
    seconds: Counter[Path] = Counter()
    for test in items:
        known = (SECONDS.get(mark.name, SHORT) for mark in test.iter_markers())
        seconds[test.path] += max(known, default=SHORT)
    items.sort(key=lambda test: (-seconds[test.path], str(test.path)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was imported and collected out of each search for garbage: a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side, a core each; small tensors gain nothing from more threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def few_passes() -> Iterator[None]:
    """Latencies are of as many passes as there must be; how exact they are is not tested."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in {"repeats": MIN_PASSES, "warmup": 1}.items():
            patch.setitem(compare_latency.__kwdefaults__, name, number)
        yield


@pytest.fixture(autouse=True, scope="module")
def captures(request: pytest.FixtureRequest) -> Iterator[None]:
    """A sample network is exported once, but where captures are what is tested."""
    if request.node.nodeid.startswith("tests/pruners/"):
        yield
    else:
        with kept_captures():
            yield


@pytest.fixture(autouse=True, scope="session")
def own_default_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing may be read from, or written to, the workspace of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path_factory.mktemp("default-workspace")))
        yield
