"""Evaluations that a workspace keeps: written by whoever measures, shown to all who come later."""

from __future__ import annotations

import dataclasses

from analysis.edits import PreparedSubject
from analysis.evaluation.known import keep_subject
from analysis.records import Evaluation, KeptEvaluation, Plan
from analysis.store import Store


def keep_evaluation(
    store: Store, prepared: PreparedSubject, plan: Plan, found: Evaluation
) -> Evaluation:
    """Keep what the evaluation of a plan found; predictions learn from it, too.

    Args:
        store: The workspace.
        prepared: The subject that was evaluated.
        plan: The plan.
        found: What was found, with the repair or the training behind it.

    Returns:
        What is kept now: the numbers of the same content with the latency, and the 8 bits, that
        were measured before, where ``found`` has none.
    """
    plan = plan if found.trained else plan.repaired_by(found.repair)
    plan = dataclasses.replace(plan, subject=prepared.subject.spec)
    keep_subject(store, prepared)
    store.measurements.add(
        plan, prepared.identity, found.removed.sums, recovered=True, change=found.change
    )
    known = kept_evaluation(store, prepared, plan)
    if known is not None and found.deployment is None:
        found = dataclasses.replace(found, deployment=known.evaluation.deployment)
    if found.removed.latency is None and known is not None:
        before = known.evaluation
        found = dataclasses.replace(
            found,
            dense=dataclasses.replace(found.dense, latency=before.dense.latency),
            removed=dataclasses.replace(found.removed, latency=before.removed.latency),
        )
    calibration = _calibration(prepared)
    store.evaluations.add(plan, prepared.identity, found, calibration=calibration)
    return found


def kept_evaluation(store: Store, prepared: PreparedSubject, plan: Plan) -> KeptEvaluation | None:
    """Return the evaluation of a plan on a subject as it is now; None if nobody made it.

    Args:
        store: The workspace.
        prepared: The subject.
        plan: The plan; its name and how it came about do not matter, repair and training do. One
            that was made for other weights has none.
    """
    if plan.fingerprint != prepared.identity.weights:
        return None
    plan = dataclasses.replace(plan, subject=prepared.subject.spec)
    calibration = _calibration(prepared)
    return store.evaluations.get(plan, prepared.identity, calibration=calibration)


def _calibration(prepared: PreparedSubject) -> str:
    """Return the fingerprint of the calibration samples, read once."""
    return prepared.once(_calibration, lambda: prepared.subject.calibration_fingerprint)
