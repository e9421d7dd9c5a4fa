"""Trained weights, kept in the workspace under the id that their plan has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analysis.edits import PreparedSubject
from analysis.files import writing
from analysis.plans import require_fit
from analysis.records import Plan
from analysis.recovery.files import read_recovery, weights_digest, write_recovery
from analysis.recovery.plan_repair import Recovery
from pruners.errors import InputError

FOLDER = "trained"


def keep_trained(prepared: PreparedSubject, recovery: Recovery, words: str) -> Plan:
    """Keep trained weights; they cannot be made again cheaply, so no size is too large.

    Args:
        prepared: The subject, with the cache folder of the workspace.
        recovery: What the training gave.
        words: How it was trained, for a person: ``finetune, 3 epochs``.

    Returns:
        The plan that has them, with the units that the training chose.

    Raises:
        InputError: The subject has no workspace.
        StoreError: The file cannot be written.
    """
    plan = recovery.plan.trained_as(weights_digest(recovery), words)
    path = _file(prepared, plan)
    with writing(path):
        write_recovery(path, dataclasses.replace(recovery, plan=plan))
    return plan


def trained_plan(prepared: PreparedSubject, plan: Plan) -> Recovery:
    """Return the trained weights of a plan that has some.

    Raises:
        PlanError: The plan is of other weights than the subject has.
        InputError: The workspace has not got them, or the file is damaged.
    """
    require_fit(prepared, plan)
    path = _file(prepared, plan)
    advice = "train the plan again (prunescope recover), or copy the file from where it was trained"
    if not path.is_file():
        raise InputError(
            f"this workspace has not got the trained weights of the plan ({plan.trained}): "
            f"{path} is missing; {advice}"
        )
    try:
        found = read_recovery(path, prepared)
    except InputError as error:
        raise InputError(f"the trained weights cannot be used: {error}; {advice}") from None
    if found.plan.trained_as(weights_digest(found), plan.trained).training != plan.training:
        raise InputError(f"{path} is not what was trained for the plan: it was changed; {advice}")
    return found


def _file(prepared: PreparedSubject, plan: Plan) -> Path:
    folder = prepared.cache_folder
    if folder is None:
        raise InputError(
            "trained weights are kept in a workspace, but the subject was opened without one "
            "(prepared.use_cache(store.statistics_folder))"
        )
    return folder.parent / FOLDER / f"{plan.training}.safetensors"
