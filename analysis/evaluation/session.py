"""Subjects in memory with everything that is slow to build, for the sessions of one process.

Shared and read-only: a model is never changed, and sessions take turns where one thing cannot serve
two at once.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from weakref import WeakValueDictionary

from analysis.edits import PreparedSubject, prepare
from analysis.evaluation.live import CACHE_BYTES, LiveEvaluator, LiveResult
from analysis.evaluation.repairing import Repairs, RepairState
from analysis.evaluation.samples import Sample, first_samples
from analysis.evaluation.sanity import Doubt, find_doubts
from analysis.evaluation.sharing import SharedMeasurement, Turns
from analysis.plans import Meter, meter, pruned_entries, start_plan
from analysis.records import Identity, Plan, RunRow, SubjectSpec, Sums
from analysis.recovery import Recovery
from analysis.subjects import (
    Stamp,
    load_subject,
    stamp,
    watched_stamp,
)

MAX_SUBJECTS = 2
MAX_RESULTS = 512
SHOWN_SAMPLES = 12
# Each holds the tensors of its plan.
MAX_UNFINISHED = 4


class LoadedSubject:
    """A subject in memory.

    Args:
        prepared: The subject, captured and traced.
    """

    def __init__(self, prepared: PreparedSubject) -> None:
        self.prepared = prepared
        self._turns = Turns()
        self._repairs = Repairs(prepared)
        self._results: OrderedDict[Hashable, LiveResult] = OrderedDict()
        self._unfinished: OrderedDict[Hashable, SharedMeasurement] = OrderedDict()
        self._results_lock = threading.Lock()
        self._doubts: tuple[Sums | None, tuple[Doubt, ...]] | None = None

    @property
    def identity(self) -> Identity:
        """What all numbers of the subject depend on."""
        return self.prepared.identity

    def is_of(self, run: RunRow) -> bool:
        """Return whether a run measured this subject."""
        return run.is_of(self.identity)

    @cached_property
    def meter(self) -> Meter:
        """What measures the size of plans."""
        return meter(self.prepared)

    @cached_property
    def live(self) -> LiveEvaluator:
        """The warm live evaluator behind `measure`."""
        return LiveEvaluator(self.prepared)

    @cached_property
    def _live_repaired(self) -> LiveEvaluator:
        """One of its own: what it keeps of the last repaired plan is not that of the raw one."""
        return LiveEvaluator(self.prepared, cache_bytes=CACHE_BYTES // 2)

    @cached_property
    def dense_size(self) -> tuple[int, int]:
        """Parameters and MACs of the dense model."""
        return self.meter.predict({})

    def size(self, plan: Plan) -> tuple[int, int]:
        """Return exact parameters and MACs of a plan."""
        return self.meter.sizes(plan)

    def known(self, plan: Plan) -> LiveResult | None:
        """Return the result of a plan, without its repair, that was measured to the end."""
        return self._known(measured_content(plan))

    def known_repaired(self, plan: Plan) -> LiveResult | None:
        """Return the result of a plan's repair that was measured to the end."""
        return self._known(_repaired_content(plan))

    def measure(self, plan: Plan) -> Iterator[LiveResult]:
        """Yield results of a plan on more and more samples; the last one is of the whole set.

        The plan is measured as it is, without its repair. Sessions take turns batch by batch; one
        that stops reading disturbs no other. A plan that another session measures, or has measured,
        is not measured again.

        Raises:
            PlanError: The plan does not fit the model.
            InputError: The pruned model's outputs are not finite, or there is no evaluation data.
        """
        return self._measured(measured_content(plan), lambda: self.live.evaluate(plan))

    def repair(self, plan: Plan) -> Generator[RepairState, None, None]:
        """Yield how far the repair of a plan is, a few times a second; see `Repairs.follow`.

        Where nothing is to be repaired, the only state has the model as the plan leaves it.
        """
        return self._repairs.follow(plan)

    def measure_repaired(self, plan: Plan, recovery: Recovery) -> Iterator[LiveResult]:
        """Yield results of a plan's repair, as `measure` does of the plan.

        Args:
            plan: The plan.
            recovery: What `repair` gave for it.
        """
        return self._measured(
            _repaired_content(plan), lambda: self._live_repaired.evaluate_edit(recovery.edit)
        )

    def _measured(
        self, content: Hashable, begin: Callable[[], Iterator[LiveResult]]
    ) -> Iterator[LiveResult]:
        known = self._known(content)
        if known is not None:
            yield known
            return
        for result in self._measurement(content, begin).follow():
            if result.is_final:
                self._keep(content, result)
            yield result

    def _known(self, content: Hashable) -> LiveResult | None:
        with self._results_lock:
            return self._results.get(content)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """A few evaluation samples with labels and answers, to look at."""
        return first_samples(self.prepared.subject, SHOWN_SAMPLES)

    def doubts(self) -> tuple[Doubt, ...]:
        """Return what is doubtful about the subject; about its baseline, once that is known."""
        known = self.known(self._dense_plan)
        sums = None if known is None else known.sums
        if self._doubts is None or self._doubts[0] != sums:
            self._doubts = (sums, find_doubts(self.prepared.subject, sums))
        return self._doubts[1]

    @cached_property
    def _dense_plan(self) -> Plan:
        kind = "channel" if self.prepared.structure is not None else "element"
        return start_plan(self.prepared, criterion="l1", granularity=kind)

    def baseline(self) -> LiveResult:
        """Return the dense model's result on the whole evaluation subset."""
        *_, complete = self.measure(self._dense_plan)
        return complete

    def _measurement(
        self, content: Hashable, begin: Callable[[], Iterator[LiveResult]]
    ) -> SharedMeasurement:
        with self._results_lock:
            found = self._unfinished.pop(content, None)
            if found is None or found.has_failed:
                found = SharedMeasurement(begin, self._turns)
            self._unfinished[content] = found
            while len(self._unfinished) > MAX_UNFINISHED:
                self._unfinished.popitem(last=False)
        return found

    def _keep(self, content: Hashable, result: LiveResult) -> None:
        with self._results_lock:
            self._unfinished.pop(content, None)
            self._results[content] = result
            while len(self._results) > MAX_RESULTS:
                self._results.popitem(last=False)


def measured_content(plan: Plan) -> Hashable:
    """Return what a plan's measured accuracy, without its repair, depends on."""
    entries = tuple(
        (item.name, item.granularity, item.criterion, item.kept, item.indices)
        for item in pruned_entries(plan)
    )
    subject = (plan.fingerprint, plan.subject.samples, plan.subject.seed)
    return (*subject, plan.semantics, plan.reduction, entries)


def _repaired_content(plan: Plan) -> Hashable:
    return ("recovered", plan.repair, plan.training, measured_content(plan))


@dataclass(frozen=True, slots=True)
class _Held:
    """A subject, and the files that it was loaded from."""

    subject: LoadedSubject
    stamp: Stamp

    def is_current(self, spec: SubjectSpec) -> bool:
        """Return whether these files are as they were when they were read."""
        watched = self.subject.prepared.subject.watched
        return self.stamp == stamp(spec) and watched_stamp(watched) == tuple(watched.items())


class Subjects:
    """The subjects in memory, most recently used last.

    A subject whose files have changed is loaded again. Sessions that ask for one subject wait for
    one load; whoever works on another subject, loaded or not, does not wait for it.

    Args:
        most: How many subjects stay in memory.
    """

    def __init__(self, *, most: int = MAX_SUBJECTS) -> None:
        self._most = most
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()
        # A lock a subject that is being loaded.
        self._loading: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, spec: SubjectSpec, roots: Sequence[Path], cache: Path) -> LoadedSubject:
        """Return a subject, loaded now if it is not in memory as its files are.

        Args:
            spec: The subject.
            roots: Folders below which files and factories may lie.
            cache: Folder of calibration statistics.

        Raises:
            PruneScopeError: It cannot be loaded.
        """
        found = self.peek(spec)
        if found is not None:
            return found
        with self._loading_lock(spec):
            found = self.peek(spec)
            if found is not None:
                return found
            # Taken before the files are read: what is written meanwhile counts as a change.
            before = stamp(spec)
            prepared = prepare(load_subject(spec, roots=roots, cache=cache))
            prepared.use_cache(cache)
            return self._keep(spec, _Held(LoadedSubject(prepared), before))

    def _loading_lock(self, spec: SubjectSpec) -> threading.Lock:
        with self._lock:
            return self._loading.setdefault(_key(spec), threading.Lock())

    def _keep(self, spec: SubjectSpec, held: _Held) -> LoadedSubject:
        with self._lock:
            self._held[_key(spec)] = held
            self._held.move_to_end(_key(spec))
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return held.subject

    def put(self, spec: SubjectSpec, subject: LoadedSubject) -> None:
        """Hold a subject that was loaded elsewhere."""
        self._keep(spec, _Held(subject, stamp(spec)))

    def peek(self, spec: SubjectSpec) -> LoadedSubject | None:
        """Return a subject if it is in memory as its files are."""
        with self._lock:
            held = self._held.get(_key(spec))
            if held is not None:
                self._held.move_to_end(_key(spec))
        return held.subject if held is not None and held.is_current(spec) else None


def _key(spec: SubjectSpec) -> str:
    return json.dumps(spec.to_dict())
