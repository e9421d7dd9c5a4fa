"""The README of an export, so that the bundle explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.interop.request import ExportRequest
from analysis.plans import achieved, pruned_entries
from analysis.records import Evaluation, MeasuredModel
from analysis.sentences import capital
from analysis.tasks import Task


def readme(request: ExportRequest, files: Sequence[tuple[Path, str]], notes: Sequence[str]) -> str:
    """Return the README of a bundle, in Markdown."""
    subject = request.prepared.subject.spec
    plan = request.chosen
    # The plan says itself that it was trained; a repair would take the place of that.
    is_repaired = request.recovery is not None and not request.trained
    repair = f" --repair {request.repair}" if is_repaired else ""
    lines = [
        f"# {request.name}",
        "",
        f"A pruning plan for `{subject.model}`"
        + (f", measured on `{subject.data}`" if subject.data else "")
        + f", made by PruneScope (strategy: {plan.strategy}).",
        "",
        "## Files",
        "",
        *(f"- `{path.name}`: {what}" for path, what in files),
        "",
        "## Use",
        "",
        "    python rebuild.py          # rebuilds the smaller model and checks it",
        f"    prunescope evaluate --plan {request.name}.json{repair}",
        "",
        *_trained(request),
        *_measured(request.evaluation, request.prepared.subject.task),
        "## What is pruned",
        "",
        "Ratios are fractions removed of the original.",
        "",
        "| layer | criterion | granularity | kept | of | removed |",
        "|---|---|---|---:|---:|---:|",
        *(
            f"| {entry.layer} | {entry.criterion} | {entry.granularity} | {entry.kept} | "
            f"{entry.total} | {achieved(entry):.1%} |"
            for entry in pruned_entries(plan)
        ),
        "",
    ]
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def _trained(request: ExportRequest) -> list[str]:
    if not request.trained:
        return []
    return [
        f"The smaller model is {request.recovery_words}. Its weights are in the exported files; to "
        "evaluate the plan, the workspace that it was trained in is needed, or its file "
        f"`trained/{request.chosen.training}.safetensors`.",
        "",
    ]


def _measured(evaluation: Evaluation | None, task: Task) -> list[str]:
    if evaluation is None:
        return ["The plan was not evaluated before the export.", ""]
    words, removed = task.words, evaluation.removed
    kind = words.label if evaluation.labelled else "agreement with dense"
    low, high = words.drop(removed.drop_low), words.drop(removed.drop_high)
    return [
        "## Measured",
        "",
        f"On {evaluation.samples} samples, with 95 % intervals. 1 MAC = one multiply-add.",
        "",
        f"| model | {kind} | parameters | MACs | weights |",
        "|---|---|---:|---:|---:|",
        _row(evaluation.dense, task),
        _row(removed, task),
        "",
        f"{capital(words.drop_noun)}: {words.drop(removed.drop)} {words.drop_unit} "
        f"({low} to {high}).".replace("  ", " "),
        "",
    ]


def _row(variant: MeasuredModel, task: Task) -> str:
    right = task.right_count(variant.sums)
    counted = "" if right is None else f"{right}/{variant.sums.samples}, "
    return (
        f"| {variant.name} | {task.words.score(variant.accuracy)} ({counted}"
        f"{task.words.interval(variant.low, variant.high)}) | {variant.params:,} | "
        f"{variant.macs:,} | "
        f"{variant.file_bytes:,} bytes |"
    )
