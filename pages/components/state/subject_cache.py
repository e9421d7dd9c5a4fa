"""Subjects that are loaded in this server process, with everything that is slow to build.

Shared by all sessions and read-only: the model is never changed, and what needs the evaluator for
itself takes the subject's lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import streamlit as st

from analysis import plans
from analysis.comparison import removed_agreement
from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import LiveEvaluator, LiveResult
from analysis.plans import Meter, key_of, meter, pruned_entries, start_plan
from analysis.records import Identity, Plan, RunRow, SubjectSpec, SweepSpec
from analysis.subjects import Inventory, Stamp, build_inventory, inventory, load_subject, stamp

MAX_SUBJECTS = 2
MAX_RESULTS = 512
ATTEMPTS = 5


class LoadedSubject:
    """A subject in memory.

    Args:
        prepared: The subject, captured and traced.

    Attributes:
        lock: To be held by whoever uses the evaluator batch by batch.
    """

    def __init__(self, prepared: PreparedSubject) -> None:
        self.prepared = prepared
        self.lock = threading.RLock()
        self._results: OrderedDict[Hashable, LiveResult] = OrderedDict()
        self._results_lock = threading.Lock()

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
    def inventory(self) -> Inventory:
        """Layers and groups."""
        if self.prepared.structure is None:
            return inventory(self.prepared.subject)
        return build_inventory(self.prepared.model, self.prepared.structure)

    @cached_property
    def live(self) -> LiveEvaluator:
        """The warm live evaluator."""
        return LiveEvaluator(self.prepared)

    @cached_property
    def dense_size(self) -> tuple[int, int]:
        """Parameters and MACs of the dense model."""
        return self.meter.predict({})

    def size(self, plan: Plan) -> tuple[int, int]:
        """Return exact parameters and MACs of a plan."""
        return self.meter.sizes(plan)

    def known(self, plan: Plan) -> LiveResult | None:
        """Return the final result of a plan that was measured before."""
        with self._results_lock:
            return self._results.get(identity(plan))

    def remember(self, plan: Plan, result: LiveResult) -> None:
        """Keep a final result."""
        with self._results_lock:
            self._results[identity(plan)] = result
            while len(self._results) > MAX_RESULTS:
                self._results.popitem(last=False)

    def baseline(self) -> LiveResult:
        """Return the dense model's result on the whole evaluation subset."""
        kind = "channel" if self.prepared.structure is not None else "element"
        plan = start_plan(self.prepared, criterion="l1", granularity=kind)
        for _ in range(ATTEMPTS):
            result = self.known(plan)
            if result is not None:
                return result
            # Another session's measurement ends this one early; then it starts again.
            for result in self.live.evaluate(plan):
                if result.is_final:
                    self.remember(plan, result)
        assert result is not None
        return result


def identity(plan: Plan) -> Hashable:
    """Return what a plan's measured accuracy depends on."""
    entries = tuple(
        (key_of(item), item.granularity, item.criterion, item.kept, item.indices)
        for item in pruned_entries(plan)
    )
    subject = (plan.fingerprint, plan.subject.samples, plan.subject.seed)
    return (*subject, plan.semantics, plan.reduction, entries)


@dataclass(frozen=True, slots=True)
class _Held:
    """A subject, and the files that it was loaded from."""

    subject: LoadedSubject
    stamp: Stamp


class Subjects:
    """The subjects in memory, most recently used last.

    A subject whose files have changed is loaded again. Loading takes one subject at a time (a
    capture changes state of the whole process); whoever works on a loaded one does not wait for it.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

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
        with self._loading:
            found = self.peek(spec)
            if found is not None:
                return found
            # Taken before the files are read: what is written meanwhile counts as a change.
            before = stamp(spec)
            prepared = prepare(load_subject(spec, roots=roots))
            prepared.use_cache(cache)
            return self._keep(spec, _Held(LoadedSubject(prepared), before))

    def _keep(self, spec: SubjectSpec, held: _Held) -> LoadedSubject:
        key = spec.to_json()
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            while len(self._held) > MAX_SUBJECTS:
                self._held.popitem(last=False)
        return held.subject

    def put(self, spec: SubjectSpec, subject: LoadedSubject) -> None:
        """Hold a subject that was loaded elsewhere."""
        self._keep(spec, _Held(subject, stamp(spec)))

    def peek(self, spec: SubjectSpec) -> LoadedSubject | None:
        """Return a subject if it is in memory as its files are."""
        key = spec.to_json()
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
        return held.subject if held is not None and held.stamp == stamp(spec) else None


@st.cache_resource(show_spinner=False)
def subjects() -> Subjects:
    """Return the subjects of this server process."""
    return Subjects()


def not_prunable(spec: SubjectSpec, granularity: str) -> dict[str, str]:
    """Return the reasons by layer of what cannot be pruned; none while it is not in memory."""
    subject = subjects().peek(spec)
    return {} if subject is None else plans.not_prunable(subject.prepared, granularity)


def shares(spec: SubjectSpec) -> tuple[dict[str, float], dict[str, int]]:
    """Return each layer's share of the parameters and its MACs; none while not in memory."""
    subject = subjects().peek(spec)
    if subject is None:
        return {}, {}
    total = subject.inventory.params
    layers = subject.inventory.layers
    return (
        {layer.name: layer.params / total for layer in layers},
        {layer.name: layer.macs for layer in layers},
    )


def agreement(subject: LoadedSubject, spec: SweepSpec, *, ratio: float) -> pd.DataFrame:
    """Return how far the criteria of a sweep remove the same; computed once."""
    return _agreement(subject, subject.identity, spec.to_json(), ratio)


@st.cache_data(max_entries=32, show_spinner=False)
def _agreement(
    _subject: LoadedSubject, identity: Identity, spec_json: str, ratio: float
) -> pd.DataFrame:
    spec = SweepSpec.from_json(spec_json)
    with _subject.lock:
        return removed_agreement(_subject.prepared, spec, ratio=ratio)
