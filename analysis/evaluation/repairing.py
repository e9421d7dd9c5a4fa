"""Repairs in threads of their own, which any number of sessions follow."""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Iterator
from dataclasses import dataclass

from analysis.edits import PreparedSubject
from analysis.plans import masked_edit, pruned_entries
from analysis.records import Plan, Progress
from analysis.recovery import Recovery, repair_key, repaired_plan
from pruners.user_code import exits_told

# So often somebody who follows a repair is asked whether he still does.
STEP_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class RepairState:
    """How far a repair is.

    Attributes:
        progress: What was done so far; None before the first step.
        recovery: The repaired plan; None until it is done.
    """

    progress: Progress | None = None
    recovery: Recovery | None = None


class _LeftError(Exception):
    """Nobody waits for the repair any more."""


class _Job:
    """One repair under way.

    Attributes:
        followers: Number of those who wait for it.
    """

    def __init__(self, prepared: PreparedSubject, plan: Plan) -> None:
        self.followers = 0
        self._prepared, self._plan = prepared, plan
        self._state = RepairState()
        self._error: Exception | None = None
        self._is_left = False
        self._moved = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            with exits_told():
                found = repaired_plan(self._prepared, self._plan, progress=self._note)
            self._put(RepairState(None, found))
        except _LeftError:
            pass
        except Exception as error:
            # Raised where it is waited for.
            with self._moved:
                self._error = error
                self._moved.notify_all()

    def _note(self, progress: Progress) -> None:
        if self._is_left:
            raise _LeftError
        self._put(RepairState(progress))

    def _put(self, state: RepairState) -> None:
        with self._moved:
            self._state = state
            self._moved.notify_all()

    def leave(self) -> None:
        """End it at its next step."""
        self._is_left = True

    def follow(self) -> Iterator[RepairState]:
        """Yield its state again and again; the last one has the repaired plan."""
        while True:
            with self._moved:
                if self._state.recovery is None and self._error is None:
                    self._moved.wait(STEP_SECONDS)
                state, error = self._state, self._error
            if error is not None:
                raise error
            yield state
            if state.recovery is not None:
                return


class Repairs:
    """The repairs of a subject's plans that are under way.

    One that nobody follows any more ends; the layers that it has fitted are not lost.

    Args:
        prepared: The subject.
    """

    def __init__(self, prepared: PreparedSubject) -> None:
        self._prepared = prepared
        self._jobs: dict[Hashable, _Job] = {}
        self._lock = threading.Lock()

    def follow(self, plan: Plan) -> Generator[RepairState, None, None]:
        """Yield the state of a plan's repair a few times a second; the last one has the result.

        A plan that prunes nothing, or says that nothing is repaired, has its result at once: the
        model as the plan leaves it.

        Args:
            plan: The plan, which says how it is repaired.

        Raises:
            PruneScopeError: As `analysis.recovery.repaired_plan`.
        """
        if not plan.is_recovered or not pruned_entries(plan):
            yield RepairState(None, Recovery(plan, masked_edit(self._prepared, plan)))
            return
        # Plans of one repair each get their own back; it is made once all the same.
        key = (repair_key(self._prepared, plan), plan.to_json())
        with self._lock:
            if key not in self._jobs:
                self._jobs[key] = _Job(self._prepared, plan)
            job = self._jobs[key]
            job.followers += 1
        try:
            yield from job.follow()
        finally:
            with self._lock:
                job.followers -= 1
                if not job.followers:
                    # Whoever comes now begins anew: this one is about to end.
                    self._jobs.pop(key, None)
                    job.leave()
