"""Sweeps on a real local Ray cluster with two workers."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep
from tests.helpers.sweep_tables import table

if TYPE_CHECKING:
    from analysis.sweeps.executors.ray import RayExecutor

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'prunescope[ray]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SPEC = SweepSpec(
    subject=SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=300, batch_size=50
    ),
    criteria=("l1", "taylor"),
    ratios=(0.0, 0.3, 0.6),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    os.environ.update(RAY_worker_niceness="0")  # else 15: they starve beside the other tests
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    return prepare(load_subject(SPEC.subject))


def wait_for_cpus(count: int) -> None:
    """Wait until the workers of the last sweep have left."""
    for _ in range(200):
        if ray.available_resources().get("CPU", 0) == count:
            return
        time.sleep(0.1)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[RayExecutor]:
    """The executors of the test's sweeps."""
    from analysis.sweeps.executors.ray import RayExecutor

    made: list[RayExecutor] = []
    start = RayExecutor.__init__

    def noted(self: RayExecutor, *given: Any, **options: Any) -> None:
        start(self, *given, **options)
        made.append(self)

    monkeypatch.setattr(RayExecutor, "__init__", noted)
    return made


# A cluster takes half a minute: the loss with each commit, all at night; that an adaptive sweep
# gives the local table is told by the test below as well.
@pytest.mark.parametrize(
    ("mode", "is_killed"),
    [
        ("exhaustive", True),
        pytest.param("adaptive", False, marks=pytest.mark.nightly),
        pytest.param("exhaustive", False, marks=pytest.mark.nightly),
        pytest.param("adaptive", True, marks=pytest.mark.nightly),
    ],
)
def test_the_table_is_the_local_one(
    mode: str, is_killed: bool, cluster: None, prepared: PreparedSubject, made: list[RayExecutor]
) -> None:
    spec = dataclasses.replace(SPEC, mode=mode, tolerance=0.1)
    *_, local = iter_sweep(plan_sweep(prepared, spec))
    wait_for_cpus(2)
    updates = iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, executor="ray")))
    found = next(updates)
    pids = made[0].pids()
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    if is_killed:
        os.kill(pids[1], signal.SIGKILL)
    *_, found = updates
    assert made[0].lost == is_killed
    assert found.samples == 300
    assert table(found) == table(local)


def test_an_adaptive_sweep_resumes_on_a_cluster_where_it_stopped_here(
    cluster: None, prepared: PreparedSubject
) -> None:
    spec = dataclasses.replace(SPEC, mode="adaptive", tolerance=0.1)
    *_, local = iter_sweep(plan_sweep(prepared, spec))
    first = next(iter_sweep(plan_sweep(prepared, spec)))
    assert first.looks
    wait_for_cpus(2)
    *_, found = iter_sweep(
        plan_sweep(prepared, dataclasses.replace(spec, executor="ray")), resume=first.state
    )
    assert table(found) == table(local)
