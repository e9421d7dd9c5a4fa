"""The README of an export, so that the bundle explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.evaluation import Evaluation, MeasuredModel
from analysis.interop.request import ExportRequest
from analysis.plans import achieved, pruned_entries


def readme(request: ExportRequest, files: Sequence[tuple[Path, str]], notes: Sequence[str]) -> str:
    """Return the README of a bundle, in Markdown."""
    subject = request.prepared.subject.spec
    plan = request.chosen
    repair = "" if request.recovery is None else f" --repair {request.repair}"
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
        *_measured(request.evaluation),
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


def _measured(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return ["The plan was not evaluated before the export.", ""]
    kind = "accuracy" if evaluation.labelled else "agreement with dense"
    return [
        "## Measured",
        "",
        f"On {evaluation.samples} samples, with 95 % intervals. 1 MAC = one multiply-add.",
        "",
        f"| model | {kind} | parameters | MACs | weights |",
        "|---|---|---:|---:|---:|",
        _row(evaluation.dense, evaluation.samples),
        _row(evaluation.removed, evaluation.samples),
        "",
        f"Drop: {evaluation.removed.drop * 100:.2f} pp "
        f"({evaluation.removed.drop_low * 100:.2f} to {evaluation.removed.drop_high * 100:.2f}).",
        "",
    ]


def _row(variant: MeasuredModel, samples: int) -> str:
    return (
        f"| {variant.name} | {variant.accuracy:.2%} ({variant.sums['correct']}/{samples}, "
        f"{variant.low:.2%} to {variant.high:.2%}) | {variant.params:,} | {variant.macs:,} | "
        f"{variant.file_bytes:,} bytes |"
    )
