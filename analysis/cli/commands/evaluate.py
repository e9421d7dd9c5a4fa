"""``prunescope evaluate``: a plan beside the dense model, masked and physically removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import evaluation, recovery, runtimes
from analysis import measuring as timing
from analysis.cli.options import (
    CalibrationData,
    CalibrationSamples,
    Json,
    Workspace,
    calibrated,
    kept_if_writable,
    open_store,
    plan_of_file,
    prepare_subject,
)
from analysis.cli.output import (
    drop_text,
    print_json,
    print_table,
    progress_bar,
    right_columns,
    say,
    say_notes,
    score_columns,
)
from analysis.cli.scores import with_scores
from analysis.repairs import NO_REPAIR, REPAIRS, check_repair, plan_repairs
from analysis.sentences import percent
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import (
        DeployedModel,
        Deployment,
        Evaluation,
        Latency,
        MeasuredModel,
        OnProgress,
        Plan,
    )
    from analysis.recovery import Recovery
    from analysis.tasks import Scoring


def repair_help(what: str) -> str:
    """Return help with the repairs of plans to choose from."""
    return f"{what} {described(map(REPAIRS.get, (NO_REPAIR, *plan_repairs())))}."


# Of more classes, JSON lists those that changed.
MOST_CLASSES = 100
# Of more classes, the table has none: Evaluate, a report and JSON do.
PRINTED_CLASSES = 30
DEPLOYED = {"dense": "dense", "removed": "pruned", "int8": "pruned, 8 bits"}
PlanFile = Annotated[Path, typer.Option("--plan", help="Plan file.", metavar="FILE")]


def evaluate(
    plan: PlanFile,
    samples: Annotated[
        int | None,
        typer.Option(help="Samples to evaluate.  [default: those of the plan]", metavar="N"),
    ] = None,
    repair: Annotated[
        str | None,
        typer.Option(
            help=repair_help("Repair without training.") + "  [default: that of the plan]",
            metavar="NAME",
        ),
    ] = None,
    calibration_samples: CalibrationSamples = None,
    calibration_data: CalibrationData = None,
    latency_seconds: Annotated[
        float,
        typer.Option(
            help="Time for the latency measurement; 0 leaves it out.", metavar="X", min=0, max=3600
        ),
    ] = 5.0,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Measure dense, pruned, and pruned in 8 bits in ONNX Runtime as well; needs the "
            "extra onnx and calibration samples.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1 or mps.  [default: that of the plan]", metavar="NAME"),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Measure a plan: dense, masked and physically removed side by side."""
    given = plan_of_file(plan)
    chosen = with_repair(given, repair)
    subject = chosen.subject
    if samples is not None:
        subject = dataclasses.replace(subject, samples=samples)
    if device is not None:
        subject = dataclasses.replace(subject, device=device)
    subject = calibrated(
        subject,
        data=calibration_data,
        samples=calibration_samples,
        repair=chosen.repair,
        int8=int8,
    )
    prepared = prepare_subject(subject, workspace)
    if int8:
        runtimes.require_int8(prepared)
    if subject.calibration_samples != chosen.subject.calibration_samples:
        say_notes(prepared.subject.notes)
    recovery = repaired(prepared, chosen)
    found = evaluated(prepared, chosen, recovery, latency_seconds=latency_seconds)
    keep(prepared, chosen, found, workspace, is_trial=chosen != given)
    if int8:
        with measuring("8 bits") as show:
            deployment = evaluation.deploy_plan(
                prepared,
                chosen,
                recovery=recovery,
                latency_seconds=latency_seconds,
                progress=show,
            )
        found = dataclasses.replace(found, deployment=deployment)
        keep(prepared, chosen, found, workspace, is_trial=chosen != given)
    if as_json:
        print_json(for_machines(found, prepared.subject.task))
        return
    print_evaluation(f"Plan {plan}", found, prepared.subject.task)


def keep(
    prepared: PreparedSubject,
    plan: Plan,
    found: Evaluation,
    workspace: Path | None,
    *,
    is_trial: bool = False,
) -> None:
    """Keep an evaluation and its plan in the workspace; they are worth as much where they cannot.

    Args:
        prepared: The subject.
        plan: The plan.
        found: What was measured.
        workspace: The option.
        is_trial: The plan is one that was tried on the way, not to be listed.
    """
    with kept_if_writable():
        store = open_store(workspace)
        evaluation.keep_evaluation(store, prepared, plan, found)
        if is_trial or store.plans.id_of(plan) is not None:
            return
        plan_id = store.plans.save(plan, params_left=found.params_left, macs_left=found.macs_left)
        say(f"The plan is {plan_id} of the workspace.")


def for_machines(found: Evaluation, scoring: Scoring) -> dict[str, Any]:
    """Return an evaluation as JSON has it.

    Instead of what was summed, the task's further measures; of very many classes, only those that
    changed.
    """
    result = found.to_dict()
    known: list[MeasuredModel | DeployedModel | None] = [found.dense, found.masked, found.removed]
    written = [result["dense"], result["masked"], result["removed"]]
    if found.deployment is not None:
        known += found.deployment.models
        written += [result["deployment"][model.name] for model in found.deployment.models]
    for model, item in zip(known, written, strict=True):
        if model is not None:
            del item["sums"]
            item["measures"] = evaluation.measured_columns(
                scoring, model.sums, labelled=found.labelled
            )
    if len(found.classes) > MOST_CLASSES:
        result["classes"] = [item for item in result["classes"] if item["change"]]
    result["unchanged_classes"] = len(found.classes) - len(result["classes"])
    return with_scores(result, scoring.words)


def repaired(prepared: PreparedSubject, plan: Plan) -> Recovery | None:
    """Return a plan repaired or trained as it says, under a progress bar; None for neither."""
    if not plan.is_recovered:
        return None
    with measuring("repairing") as show:
        return recovery.repaired_plan(prepared, plan, progress=show)


def with_repair(plan: Plan, asked: str | None) -> Plan:
    """Return a plan with the repair that the option names, untrained; its own without.

    Raises:
        UnknownNameError: No such repair.
    """
    if asked is None:
        return plan
    check_repair(asked, known=(NO_REPAIR, *plan_repairs()))
    return plan.repaired_by(asked)


def evaluated(
    prepared: PreparedSubject,
    plan: Plan,
    recovery: Recovery | None,
    *,
    latency_seconds: float = 5.0,
) -> Evaluation:
    """Measure a plan's model, repaired or not, under a progress bar."""
    with measuring("evaluating") as show:
        return evaluation.evaluate_plan(
            prepared,
            plan,
            recovery=recovery,
            latency_seconds=latency_seconds,
            progress=show,
        )


@contextmanager
def measuring(what: str) -> Iterator[OnProgress]:
    """Show a progress bar of one measurement."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=None, eta="")
        yield lambda now: bar.update(task, completed=now.done, total=now.total)


def print_evaluation(title: str, found: Evaluation, scoring: Scoring) -> None:
    """Print the models of an evaluation side by side."""
    words = scoring.words
    variants = [item for item in (found.dense, found.masked, found.removed) if item is not None]
    print_table(
        f"{title} on {found.samples:,} samples",
        ("", *score_columns(words), "parameters", "MACs", "bytes", "latency ms"),
        [
            (
                item.name,
                words.score(item.accuracy),
                words.interval(item.low, item.high),
                drop_text(words, item.drop, item.drop_low, item.drop_high),
                f"{item.params:,}",
                f"{item.macs:,}",
                f"{item.file_bytes:,}",
                "-" if item.latency is None else f"{1000 * item.latency.median:.2f}",
            )
            for item in variants
        ],
        right=f"{right_columns(words)},parameters,MACs,bytes,latency ms",
    )
    _print_measures(found, scoring)
    _print_classes(found, scoring)
    for item in found.whole:
        say(
            f"{item.label}: {percent(item.pruned, digits=2)} of {percent(item.dense, digits=2)}; "
            f"drop {100 * item.drop:.2f} pp "
            f"({100 * item.drop_low:.2f} to {100 * item.drop_high:.2f}, {item.method})."
        )
    if found.agrees is not None:
        say(f"{found.same_answers} of {found.samples} answers of masked and removed are the same.")
    _say_time(found)
    say_notes(found.notes)
    if found.deployment is not None:
        _print_deployment(found.deployment, found.samples, scoring)


def _say_time(found: Evaluation) -> None:
    """Say how sure it is that the smaller model is faster: its time hangs on the moment, too."""
    dense, removed = found.dense.latency, found.removed.latency
    if dense is None or removed is None or found.is_dense:
        return
    if (share := timing.time_share(removed, dense)) is not None:
        doubt = ", which may be chance" if share.low <= 1 <= share.high else ""
        between = f"{percent(share.low)} to {percent(share.high)}"
        say(f"Pass by pass, removed takes {between} of the time of dense{doubt}.")


def _print_measures(found: Evaluation, scoring: Scoring) -> None:
    """Print what else the task tells of the dense and of the smaller model."""
    dense, removed = (
        evaluation.measures(scoring, item.sums, labelled=found.labelled)
        for item in (found.dense, found.removed)
    )
    if removed:
        rows = [(name, dense.get(name, "-"), value) for name, value in removed.items()]
        print_table("", ("", found.dense.name, found.removed.name), rows)


def _print_classes(found: Evaluation, scoring: Scoring) -> None:
    """Print each class where the score is a mean over them, if they are not too many."""
    if not scoring.has_positions or not 0 < len(found.classes) <= PRINTED_CLASSES:
        return
    print_table(
        f"\n{scoring.of_class} of each class",
        ("class", scoring.answered, found.dense.name, found.removed.name, "change pp"),
        [
            (
                item.class_name,
                f"{item.samples:,}",
                f"{item.dense:.2%}",
                f"{item.pruned:.2%}",
                f"{_points(item.change)} ({_points(item.change_low)} to "
                f"{_points(item.change_high)})",
            )
            for item in found.classes
        ],
        right=f"{scoring.answered},{found.dense.name},{found.removed.name},change pp",
    )


def _points(change: float) -> str:
    return f"{100 * change:+.2f}"


def _print_deployment(found: Deployment, samples: int, scoring: Scoring) -> None:
    """Print the models of a deployment side by side, and what 8 bits change."""
    words = scoring.words
    print_table(
        f"In {found.runtime}",
        ("", *score_columns(words), "bytes", "gzipped", "latency ms", "least ms"),
        [
            (
                DEPLOYED[item.name],
                words.score(item.accuracy),
                words.interval(item.low, item.high),
                drop_text(words, item.drop, item.drop_low, item.drop_high),
                f"{item.file_bytes:,}",
                f"{item.gzip_bytes:,}",
                *_times(item.latency),
            )
            for item in found.models
        ],
        right=f"{right_columns(words)},bytes,gzipped,latency ms,least ms",
    )
    same = scoring.told_agreement(found.agreement, samples)
    answers = f"the answers to {same} are those of the pruned model in float32; " if same else ""
    say(
        f"8 bits, calibrated on {found.calibration:,} samples: {answers}outputs differ by "
        f"{percent(found.difference, digits=1)} of the largest at most."
    )
    if found.int8.latency is not None:
        say(f"Latency, median: {found.int8.latency.text}; the three in turn.")


def _times(latency: Latency | None) -> tuple[str, str]:
    """Return the median and the least time of a pass, in ms."""
    if latency is None:
        return "-", "-"
    return f"{1000 * latency.median:.2f}", f"{1000 * latency.least:.2f}"
