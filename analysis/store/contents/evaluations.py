"""Evaluations, kept with the plan that they are of, by the content of subject and plan."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from analysis.records import Evaluation, Identity, KeptEvaluation, Plan, SubjectSpec
from analysis.store.connection import Database
from analysis.store.contents.plan_content import content_of
from analysis.store.rows import Row, placeholders
from pruners.errors import InputError

_KEY = "fingerprint, data_fingerprint, program, calibration, content"


class EvaluationStore:
    """Evaluations of a workspace.

    What an evaluation says hangs on the weights, the forward pass, the evaluated samples, the
    calibration samples and what the plan removes and repairs. Names and notes change nothing.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, plan: Plan, identity: Identity, evaluation: Evaluation, *, calibration: str
    ) -> None:
        """Keep an evaluation in the place of an older one of the same content.

        Args:
            plan: The plan, with the subject and the repair that were evaluated.
            identity: Of the subject.
            evaluation: What was found.
            calibration: Fingerprint of the calibration samples; empty without any.
        """
        with self._database.write() as db:
            db.execute(
                f"INSERT OR REPLACE INTO evaluations ({_KEY}, plan, evaluation, changed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *_key(plan, identity, calibration),
                    plan.to_json(),
                    evaluation.to_json(),
                    time.time(),
                ),
            )

    def get(self, plan: Plan, identity: Identity, *, calibration: str) -> KeptEvaluation | None:
        """Return the evaluation of exactly this content; None if there is none."""
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT * FROM evaluations WHERE ({_KEY}) = (?, ?, ?, ?, ?)",
                _key(plan, identity, calibration),
            ).fetchall()
        return next(_kept(rows), None)

    def last(self, plan: Plan, identity: Identity | None = None) -> KeptEvaluation | None:
        """Return the newest evaluation of a plan on samples that it names, without the subject.

        Args:
            plan: The plan.
            identity: Of the subject; without it, nobody can tell whether files have changed since.
        """
        names, values = "fingerprint, content", [plan.fingerprint, content_of(plan)]
        if identity is not None:
            names += ", data_fingerprint, program"
            values += [identity.data, identity.program]
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT * FROM evaluations WHERE ({names}) = ({placeholders(len(values))})"
                " ORDER BY changed DESC",
                values,
            ).fetchall()
        wanted = _samples(plan.subject)
        return next((item for item in _kept(rows) if _samples(item.plan.subject) == wanted), None)

    def all(self, identity: Identity) -> tuple[KeptEvaluation, ...]:
        """Return the evaluations of a subject, the oldest first."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM evaluations"
                " WHERE (fingerprint, data_fingerprint, program) = (?, ?, ?)"
                " ORDER BY changed, content",
                (identity.weights, identity.data, identity.program),
            ).fetchall()
        return tuple(_kept(rows))


def _key(plan: Plan, identity: Identity, calibration: str) -> tuple[str, ...]:
    return (identity.weights, identity.data, identity.program, calibration, content_of(plan))


def _kept(rows: list[Row]) -> Iterator[KeptEvaluation]:
    for row in rows:
        # What a newer program wrote is not this program's to show.
        with contextlib.suppress(InputError):
            yield KeptEvaluation(
                plan=Plan.from_json(row["plan"]),
                evaluation=Evaluation.from_json(row["evaluation"]),
                changed=row["changed"],
            )


def _samples(subject: SubjectSpec) -> tuple[object, ...]:
    return (subject.data, subject.samples, subject.seed, subject.task)
