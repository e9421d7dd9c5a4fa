"""What a workspace knows of plans without their subjects, while files are as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.records import Identity, KeptEvaluation, Plan, SubjectSpec
from analysis.store import Store
from analysis.subjects import stamp, watched_stamp
from analysis.tasks import scoring_of

if TYPE_CHECKING:
    # Takes a while to import, and a list of plans needs none of it.
    from analysis.edits import PreparedSubject


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNumbers:
    """What a plan's model showed on the samples that the plan names.

    Attributes:
        accuracy: As a fraction, or the task's score.
        low: Lower end of its 95 % interval.
        high: Upper end.
        drop: Against the dense model on the same samples; above 0 is a loss.
        drop_low: Lower end of its 95 % interval.
        drop_high: Upper end.
        samples: How many.
        evaluation: The evaluation behind them; None where the plan was measured alone, as Plan and
            searches do.
    """

    accuracy: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    samples: int
    evaluation: KeptEvaluation | None = None


def keep_subject(store: Store, prepared: PreparedSubject) -> None:
    """Keep what the numbers of a subject depend on, so that they are told from others later."""
    subject = prepared.subject
    store.subjects.keep(subject.spec, prepared.identity, subject.watched)


class Known:
    """What a workspace knows of its plans; looks at the files of each subject once.

    Args:
        store: The workspace.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subjects: dict[SubjectSpec, tuple[Identity | None, bool]] = {}

    def of(self, plan: Plan) -> KnownNumbers | None:
        """Return the numbers of a plan: by its newest evaluation, else as it was measured alone.

        None where nobody measured it, or where files of its subject have changed since.
        """
        if plan.subject not in self._subjects:
            self._subjects[plan.subject] = _subject(self._store, plan.subject)
        identity, has_changed = self._subjects[plan.subject]
        if has_changed:
            return None
        evaluation = self._store.evaluations.last(plan, identity)
        if evaluation is not None:
            return _evaluated(evaluation)
        return None if identity is None else _measured(self._store, plan, identity)


def _subject(store: Store, spec: SubjectSpec) -> tuple[Identity | None, bool]:
    """Return a subject's identity, None if it was never loaded, and whether files have changed."""
    found = store.subjects.get(spec)
    if found is None:
        return None, False
    identity, files = found
    now = {**dict(watched_stamp(files)), **dict(stamp(spec))}
    return identity, now != files


def _evaluated(found: KeptEvaluation) -> KnownNumbers:
    removed = found.evaluation.removed
    return KnownNumbers(
        accuracy=removed.accuracy,
        low=removed.low,
        high=removed.high,
        drop=removed.drop,
        drop_low=removed.drop_low,
        drop_high=removed.drop_high,
        samples=found.evaluation.samples,
        evaluation=found,
    )


def _measured(store: Store, plan: Plan, identity: Identity) -> KnownNumbers | None:
    found = store.measurements.get(plan, identity)
    if found is None:
        return None
    reading = scoring_of(plan.subject.task).reading(found.sums)
    return KnownNumbers(**reading, samples=found.sums.samples)
