"""Several sessions on the subjects of one process: nobody disturbs or holds up another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from analysis.edits.edit import Edit
from analysis.evaluation.live import LiveEvaluator, LiveResult
from analysis.evaluation.session import LoadedSubject, Subjects
from analysis.evaluation.sharing import Turns
from analysis.records.plan import Plan
from analysis.records.subject import SubjectSpec
from pruners.errors import AddressError, InputError
from tests.analysis.evaluation.test_live import fresh, plan_of
from tests.helpers.contexts import sample_context

NAME = "lenet5"
WAIT = 60


class Counted(LiveEvaluator):
    """Counts the batches that it measures, and can be held up at one."""

    batches = 0
    hold: Callable[[int], None] = staticmethod(lambda batch: None)

    def evaluate_edit(self, edit: Edit) -> Iterator[LiveResult]:
        for result in super().evaluate_edit(edit):
            self.batches += 1
            self.hold(self.batches)
            yield result


def loaded(batch_size: int = 20) -> tuple[LoadedSubject, Counted]:
    """A subject of ten batches, and its counting evaluator."""
    subject = LoadedSubject(sample_context(NAME))
    subject.live = live = Counted(subject.prepared, batch_size=batch_size)
    return subject, live


def last(results: Iterator[LiveResult]) -> LiveResult:
    *_, found = results
    return found


def same(found: LiveResult, plan: Plan) -> bool:
    expected = fresh(NAME, plan)
    return (found.samples, found.sums["correct"], found.sums["lost"]) == (
        expected.samples,
        expected.sums["correct"],
        expected.sums["lost"],
    )


def test_measurements_of_two_sessions_end_both_and_nothing_is_measured_twice() -> None:
    """Found in review: they cancelled each other, and a partial result could stand as baseline."""
    subject, live = loaded()
    first, second = plan_of(NAME, {"conv1": 0.5}), plan_of(NAME, {"conv2": 0.5, "fc1": 0.2})
    mine, theirs = subject.measure(first), subject.measure(second)
    seen = []
    for one, other in zip(mine, theirs, strict=True):
        seen.append((one.samples, other.samples))
    assert seen == [(count, count) for count in range(20, 220, 20)]
    assert live.batches == 20
    for plan in (first, second):
        known = subject.known(plan)
        assert known is not None
        assert same(known, plan)
        assert [item.is_final for item in subject.measure(plan)] == [True]
    assert live.batches == 20


def test_many_threads_get_the_numbers_of_fresh_measurements() -> None:
    subject, live = loaded()
    plans = [plan_of(NAME, {layer: 0.5}) for layer in ("conv1", "conv2", "fc1", "fc2")] * 2
    start = threading.Barrier(len(plans))

    def session(plan: Plan) -> list[LiveResult]:
        start.wait(WAIT)
        return list(subject.measure(plan))

    with ThreadPoolExecutor(len(plans)) as pool:
        found = list(pool.map(session, plans))
    for plan, results in zip(plans, found, strict=True):
        counts = [item.samples for item in results]
        assert counts == sorted(set(counts))
        assert [item.is_final for item in results] == [False] * (len(results) - 1) + [True]
        assert same(results[-1], plan)
    # Each of the four plans once, though two sessions asked for it.
    assert live.batches == 40


def test_the_baseline_is_complete_while_others_measure() -> None:
    subject, _ = loaded()
    others = [subject.measure(plan_of(NAME, {"conv1": 0.5})) for _ in range(3)]
    dense = plan_of(NAME, {})
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            for results in others:
                next(results, None)
            list(zip(range(2), subject.measure(plan_of(NAME, {"conv2": 0.3})), strict=False))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = [subject.baseline() for _ in range(3)]
    finally:
        stop.set()
        thread.join(WAIT)
    assert all(item.is_final and item.drop == 0 for item in found)
    assert same(found[0], dense)


def test_a_session_that_leaves_costs_nothing_and_whoever_comes_back_goes_on() -> None:
    subject, live = loaded()
    plan = plan_of(NAME, {"conv1": 0.5})
    leaving, staying = subject.measure(plan), subject.measure(plan)
    assert next(leaving).samples == next(staying).samples == 20
    assert next(leaving).samples == 40
    leaving.close()
    assert subject.known(plan) is None
    assert next(staying).samples == 40
    staying.close()
    assert live.batches == 2
    assert next(subject.measure(plan)).samples == 40
    assert same(last(subject.measure(plan)), plan)
    assert live.batches == 10


@pytest.mark.parametrize("problem", [InputError, GeneratorExit])
def test_an_error_ends_the_measurement_for_all_and_can_be_tried_again(
    problem: type[BaseException],
) -> None:
    subject, live = loaded()
    plan = plan_of(NAME, {"conv1": 0.5})

    def broken(batch: int) -> None:
        raise problem(f"not finite in batch {batch}")

    first, second = subject.measure(plan), subject.measure(plan)
    assert next(first).samples == next(second).samples == 20
    live.hold = broken  # type: ignore[method-assign]
    for results in (first, second):
        with pytest.raises(InputError, match="in batch 2"):
            next(results)
    live.hold = lambda batch: None  # type: ignore[method-assign]
    assert same(last(subject.measure(plan)), plan)


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, order = Turns(), []
    waiting = [threading.Event() for _ in range(5)]

    def take(number: int) -> None:
        waiting[number].set()
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            assert waiting[number].wait(WAIT)
            # Until it stands in the queue.
            time.sleep(0.05)
    for thread in threads:
        thread.join(WAIT)
    assert order == [0, 1, 2, 3, 4]


# --- loading ---------------------------------------------------------------------------------


SLOW = """
import threading, torch
from torch import nn
entered, go = threading.Event(), threading.Event()
def wait():
    entered.set()
    assert go.wait(60)
def build():
    first = nn.Linear(784, 8)
    wait()
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(8, 10))
def data():
    wait()
    raise RuntimeError("enough")
"""


def spec_of(model: str, data: str = "sample:fashion-mnist") -> SubjectSpec:
    return SubjectSpec(model=model, data=data, samples=40, calibration_samples=20, batch_size=20)


@pytest.mark.parametrize("what", ["model", "data"])
def test_who_needs_another_subject_does_not_wait_for_a_slow_one(tmp_path: Path, what: str) -> None:
    held, cache, roots = Subjects(), tmp_path / "cache", [tmp_path]
    ready = held.get(spec_of("sample:lenet5"), roots, cache)
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW, encoding="utf-8")
    spec = spec_of(f"{slow}:build") if what == "model" else spec_of("sample:lenet5", f"{slow}:data")
    with ThreadPoolExecutor(3) as pool:
        loading = [pool.submit(held.get, spec, roots, cache) for _ in range(2)]
        module = until(lambda: module_of(slow))
        try:
            assert module.entered.wait(WAIT)
            assert held.get(spec_of("sample:lenet5"), roots, cache) is ready
            other = pool.submit(held.get, spec_of("sample:vgg_small"), roots, cache)
            assert other.result(WAIT).prepared.model is not None
            assert not any(item.done() for item in loading)
        finally:
            module.go.set()
        if what == "data":
            with pytest.raises(AddressError, match="enough"):
                loading[0].result(WAIT)
            return
        first, second = (item.result(WAIT) for item in loading)
    assert first is second
    # Random first weights are those of a load that nobody disturbed.
    alone = Subjects().get(spec, roots, cache)
    assert first.identity == alone.identity
    assert len(held) == 2


def module_of(path: Path) -> object:
    import sys

    return next(
        (
            item
            for name, item in sys.modules.copy().items()
            if name.startswith("prunescope_factory_")
            and getattr(item, "__file__", "") == str(path)
            # Another thread may be in the middle of its lines.
            and hasattr(item, "go")
        ),
        None,
    )


def until(find: Callable[[], object]) -> object:
    deadline = time.monotonic() + WAIT
    while (found := find()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_the_number_of_subjects_in_memory_is_bounded(tmp_path: Path) -> None:
    held = Subjects(most=2)
    names = ("lenet5", "vgg_small", "resnet20", "mobilenet_small")
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda name: held.get(spec_of(f"sample:{name}"), [tmp_path], tmp_path), names)
        )
    assert len({item.identity.weights for item in found}) == 4
    assert len(held) == 2


def test_loading_a_sample_leaves_the_random_numbers_of_the_process_alone() -> None:
    from analysis.subjects.models import load_model
    from analysis.subjects.parsing import parse_model

    before = torch.get_rng_state()
    load_model(parse_model("sample:lenet5"))
    assert torch.equal(torch.get_rng_state(), before)
