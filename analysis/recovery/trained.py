"""Trained weights, kept in the workspace under the id that their plan has."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from analysis.edits import PreparedSubject
from analysis.files import atomic, write_text, writing
from analysis.plans import require_fit
from analysis.records import Document, Plan
from analysis.recovery.files import read_recovery, weights_digest, write_recovery
from analysis.recovery.plan_repair import Recovery
from analysis.recovery.training.data import Content, content_of
from analysis.sentences import plural
from pruners.errors import InputError

FOLDER = "trained"


def keep_trained(
    prepared: PreparedSubject,
    recovery: Recovery,
    words: str,
    *,
    recipe: Document | None = None,
    seen: bytes = b"",
) -> Plan:
    """Keep trained weights; they cannot be made again cheaply, so no size is too large.

    Args:
        prepared: The subject, with the cache folder of the workspace.
        recovery: What the training gave.
        words: How it was trained, for a person: ``finetune, 3 epochs``.
        recipe: All of how, for reports.
        seen: Digests of the samples that it learned from, as `TrainingData.seen`: the weights are
            never measured on one of them.

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
        with atomic(_seen_file(path)) as partial:
            partial.write_bytes(seen)
        if recipe is not None:
            write_text(_recipe_file(path), recipe.to_json())
    return plan


def training_recipe(workspace: Path, plan: Plan) -> dict[str, Any]:
    """Return the fields of the recipe that a plan was trained by last; none if it is not known."""
    path = _recipe_file(workspace / FOLDER / f"{plan.training}.safetensors")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Weights that were brought from elsewhere.
        return {}
    return found if isinstance(found, dict) else {}


def seen_samples(prepared: PreparedSubject, plan: Plan) -> bytes:
    """Return digests of the samples that a plan learned from; none of one that was not trained."""
    if plan.training is None:
        return b""
    try:
        return _seen_file(_file(prepared, plan)).read_bytes()
    except OSError:
        # Weights that were brought from elsewhere; nothing is known of their samples.
        return b""


def _check_apart(prepared: PreparedSubject, found: Recovery) -> None:
    """Refuse to measure weights on what they learned from: other samples than were kept apart.

    Raises:
        InputError: Evaluation samples are among them.
    """
    seen = set(Content(b"", seen_samples(prepared, found.plan)))
    subject, apart = prepared.subject, found.plan.subject
    if not seen or subject.evaluation is None:
        return
    content = list(content_of(subject.evaluation, subject.files, prepared.cache_folder))
    count = sum(digest in seen for digest in content)
    if count:
        raise InputError(
            f"the plan learned from {count:,} of {plural(len(content), 'evaluation sample')} "
            f"({found.plan.trained}), so that the result would tell nothing; evaluate it on the "
            f"samples that were kept apart (samples {apart.samples or 'all'}, seed {apart.seed}), "
            "or on other data"
        )


def trained_plan(prepared: PreparedSubject, plan: Plan) -> Recovery:
    """Return the trained weights of a plan that has some.

    Raises:
        PlanError: The plan is of other weights than the subject has.
        InputError: The workspace has not got them, the file is damaged, or they were learned from
            samples that are evaluated.
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
    _check_apart(prepared, found)
    return found


def _file(prepared: PreparedSubject, plan: Plan) -> Path:
    folder = prepared.cache_folder
    if folder is None:
        raise InputError(
            "trained weights are kept in a workspace, but the subject was opened without one "
            "(prepared.use_cache(store.statistics_folder))"
        )
    return folder.parent / FOLDER / f"{plan.training}.safetensors"


def _recipe_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _seen_file(path: Path) -> Path:
    return path.with_suffix(".samples")
