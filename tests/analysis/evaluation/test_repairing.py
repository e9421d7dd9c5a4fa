"""Repairs in the background: shared, left, and ended with an error."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
import torch

from analysis.edits.prepared import PreparedSubject
from analysis.evaluation import repairing
from analysis.evaluation.live import LiveEvaluator
from analysis.evaluation.repairing import Repairs, RepairState
from analysis.evaluation.session import LoadedSubject
from analysis.plans.apply import start_plan
from analysis.records import OnProgress
from analysis.records.plan import Plan
from analysis.recovery import Recovery
from analysis.recovery.plan_repair import Repairer
from pruners.errors import InputError
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio


def halved(prepared: PreparedSubject, repair: str) -> Plan:
    plan = start_plan(prepared, criterion="l1", granularity="channel")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.5)
    return dataclasses.replace(plan, repair=repair)


class Slow:
    """Stands for a repair: waits to be let on before each step.

    Attributes:
        calls: Repairs that were begun.
        ended: Set when one has ended, left or done.
    """

    def __init__(self, result: Recovery) -> None:
        self.calls = 0
        self.go, self.ended = threading.Semaphore(0), threading.Event()
        self._result = result

    def __call__(self, prepared: PreparedSubject, plan: Plan, *, progress: OnProgress) -> Recovery:
        self.calls += 1
        try:
            for done in range(1, 4):
                self.go.acquire()
                progress(repairing.Progress(done, 3, "layers"))
        finally:
            self.ended.set()
        return self._result


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    prepared = sample_context("lenet5")
    found = Slow(Repairer(prepared, "lsq").repair(halved(prepared, "lsq")))
    monkeypatch.setattr(repairing, "repaired_plan", found)
    return found


def test_the_last_state_has_the_repaired_plan() -> None:
    prepared = sample_context("lenet5")
    plan = halved(prepared, "lsq")
    *before, last = Repairs(prepared).follow(plan)
    assert all(state.recovery is None for state in before)
    assert last.recovery is not None
    expected = Repairer(prepared, "lsq").repair(plan)
    for name, tensor in expected.edit.tensors.items():
        assert torch.equal(last.recovery.edit.tensors[name], tensor)


@pytest.mark.parametrize(("ratio", "repair"), [(0.0, "lsq"), (0.5, "none")])
def test_what_needs_no_repair_is_there_at_once(ratio: float, repair: str) -> None:
    """The states of such a plan never ended."""
    subject = LoadedSubject(sample_context("lenet5"))
    plan = halved(subject.prepared, repair)
    plan = at_ratio(plan, [entry.name for entry in plan.entries], ratio)
    state = next(states := subject.repair(plan))
    assert list(states) == []
    assert state.recovery is not None
    *_, found = subject.measure_repaired(plan, state.recovery)
    *_, raw = LiveEvaluator(subject.prepared).evaluate(plan)
    assert found.sums.terms == raw.sums.terms
    assert (found.drop == 0) is (ratio == 0)


def test_followers_share_one_repair_and_the_last_to_leave_ends_it(slow: Slow) -> None:
    prepared = sample_context("lenet5")
    plan, repairs = halved(prepared, "lsq"), Repairs(prepared)
    first, second = repairs.follow(plan), repairs.follow(plan)
    assert next(first) == next(second) == RepairState()
    assert slow.calls == 1
    first.close()
    slow.go.release()
    assert any(state.progress is not None for state in (next(second) for _ in range(20)))
    assert not slow.ended.is_set()
    second.close()
    slow.go.release()
    assert slow.ended.wait(5)
    # Whoever comes then begins anew, and gets to the end.
    third = repairs.follow(plan)
    next(third)
    assert slow.calls == 2
    slow.go.release(3)
    *_, last = third
    assert last.recovery is not None


def test_an_error_reaches_all_who_wait() -> None:
    prepared = sample_context("lenet5")
    repairs = Repairs(prepared)
    for _ in range(2):
        with pytest.raises(InputError, match="no batch norm"):
            list(repairs.follow(halved(prepared, "bn")))


def test_a_repair_that_users_code_ends_reaches_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its thread ended without a word, and the page waited for ever."""

    def ends(*_: object, **__: object) -> Recovery:
        raise GeneratorExit("no more")

    monkeypatch.setattr(repairing, "repaired_plan", ends)
    prepared = sample_context("lenet5")
    states = Repairs(prepared).follow(halved(prepared, "lsq"))
    with pytest.raises(InputError, match="the code raised GeneratorExit: no more"):
        # Were nothing told, there would be one state after the other.
        [next(states) for _ in range(20)]


def test_a_follower_is_asked_again_and_again_while_nothing_moves(slow: Slow) -> None:
    """Edits of a person end a page's script where it draws: it has to draw."""
    prepared = sample_context("lenet5")
    states = Repairs(prepared).follow(halved(prepared, "lsq"))
    start = time.monotonic()
    assert [next(states) for _ in range(3)] == [RepairState()] * 3
    assert time.monotonic() - start < 5
    states.close()
    slow.go.release()
    assert slow.ended.wait(5)
