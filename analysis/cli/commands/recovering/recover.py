"""``prunescope recover``: get accuracy of a plan back, by a repair or by training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import interop, recovery, retraining, tasks
from analysis.cli.commands.evaluate import print_evaluation, repaired
from analysis.cli.options import (
    CalibrationData,
    CalibrationSamples,
    Json,
    Workspace,
    calibrated,
    check_folder,
    open_store,
    plan_of_file,
    prepare_subject,
)
from analysis.cli.output import (
    drop_text,
    duration,
    print_json,
    print_table,
    right_columns,
    say,
    say_notes,
    score_columns,
)
from analysis.cli.scores import with_scores
from analysis.cli.stopping import resuming
from analysis.cli.training import (
    interrupted,
    machines_at,
    order_of,
    result_of,
    say_result,
    trained,
)
from analysis.devices import parse_devices
from analysis.records import Evaluation
from analysis.recovery.training import TRAINING_METHODS
from analysis.repairs import NO_REPAIR, REPAIRS, plan_repairs
from analysis.sentences import percent
from pruners.errors import InputError, UnknownNameError
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan, SubjectSpec
    from analysis.recovery import RecoveryReport
    from analysis.recovery.training import Meeting
    from analysis.tasks import Words

USUAL = "lsq"


def _method_help() -> str:
    return (
        f"A repair without training: {described(map(REPAIRS.get, plan_repairs()))}. Or training: "
        f"{described(TRAINING_METHODS)}.  [default: the plan's repair, {USUAL} where it has none; "
        "finetune with any option of training]"
    )


def recover(
    given: Mapping[str, Any],
    plan: Annotated[
        Path | None, typer.Option(help="Plan file; not with --resume.", metavar="FILE")
    ] = None,
    method: Annotated[str | None, typer.Option(help=_method_help(), metavar="NAME")] = None,
    seeds: Annotated[
        int, typer.Option(help="Train so many times, and tell the mean.", metavar="N", min=1)
    ] = 1,
    rounds: Annotated[
        int,
        typer.Option(
            help="Prune and train by turns: a part of the channels a round, scored anew on what "
            "was trained; each round takes the recipe's time.",
            metavar="N",
            min=1,
        ),
    ] = 1,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a training: its id, or last.", metavar="JOB"),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Samples to evaluate.  [default: those of the plan]", metavar="N"),
    ] = None,
    calibration_samples: CalibrationSamples = None,
    calibration_data: CalibrationData = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda, cuda:1 or mps; several joined by commas share a training.  "
            "[default: that of the plan]",
            metavar="NAMES",
        ),
    ] = None,
    meet: Annotated[
        Path | None,
        typer.Option(
            help="Share a training with other machines: a new folder that all see. On each of the "
            "others: prunescope join DIR.",
            metavar="DIR",
        ),
    ] = None,
    machines: Annotated[
        int,
        typer.Option(help="With --meet: how many, this one among them.", metavar="N", min=2),
    ] = 2,
    after_each: Annotated[
        bool,
        typer.Option(
            "--after-each",
            help="Measure the model after each layer of a repair that goes layer by layer, of "
            "elements and N:M.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the recovered model here: model.safetensors and a script that rebuilds it.",
            metavar="DIR",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Get back what pruning cost: by a repair, or by training the pruned model."""
    if out is not None:
        check_folder(out)
    if resume is not None:
        if plan is not None or method is not None or retraining.is_given(given):
            raise InputError("--resume goes on with a training as it was ordered: no other options")
        order = order_of(resume, workspace)
        with machines_at(meet, machines) as meeting:
            return _train(order, out, workspace, meeting, as_json=as_json)
    if plan is None:
        raise InputError("recover needs a plan (--plan FILE), or a training (--resume JOB)")
    chosen = plan_of_file(plan)
    trains = _trains(given, method)
    if not trains:
        chosen = chosen.repaired_by(_repair_of(chosen, method))
    only_of_training = seeds > 1 or rounds > 1 or meet is not None
    _check_kind(chosen, trains, only_of_training=only_of_training, after_each=after_each)
    subject = chosen.subject
    if samples is not None:
        subject = dataclasses.replace(subject, samples=samples)
    subject = calibrated(
        subject, data=calibration_data, samples=calibration_samples, repair=chosen.repair
    )
    if device is not None:
        subject = dataclasses.replace(subject, device=parse_devices(device))
    if trains:
        order = retraining.Order(
            subject=subject,
            plan=chosen,
            recipe=retraining.given_recipe(given, method),
            seeds=tuple(range(subject.seed, subject.seed + seeds)),
            rounds=rounds,
        )
        with machines_at(meet, machines) as meeting:
            return _train(order, out, workspace, meeting, as_json=as_json)
    _repair(chosen, subject, out, workspace, after_each=after_each, as_json=as_json)
    return 0


def _trains(given: Mapping[str, Any], method: str | None) -> bool:
    """Return whether training is asked for.

    Raises:
        InputError: It is asked for, but the method is a repair.
        UnknownNameError: The method is neither.
    """
    if method is None or method in TRAINING_METHODS:
        return method is not None or retraining.is_given(given)
    if method not in plan_repairs():
        known = (*plan_repairs(), *TRAINING_METHODS.names())
        raise UnknownNameError("recovery method", method, known)
    if retraining.is_given(given):
        raise InputError(
            f"{method} repairs without training, but an option of training is given; choose one of "
            f"{', '.join(TRAINING_METHODS.names())}"
        )
    return False


def _check_kind(plan: Plan, trains: bool, *, only_of_training: bool, after_each: bool) -> None:
    """Check that options of training come with a training, and those of repairs with a repair.

    Raises:
        InputError: One does not.
        UnsupportedError: The repair has no score after each layer.
    """
    if only_of_training and not trains:
        raise InputError("--seeds, --rounds and --meet are of training, such as --method finetune")
    if after_each:
        if trains:
            raise InputError("--after-each is of repairs, such as --method sparsegpt-sequential")
        recovery.check_after_each(plan)


def _repair_of(plan: Plan, method: str | None) -> str:
    if method is not None:
        return method
    return USUAL if plan.repair == NO_REPAIR else plan.repair


def _repair(
    plan: Plan,
    subject: SubjectSpec,
    out: Path | None,
    workspace: Path | None,
    *,
    after_each: bool,
    as_json: bool,
) -> None:
    prepared = prepare_subject(subject, workspace)
    if subject.calibration_samples != plan.subject.calibration_samples:
        say_notes(prepared.subject.notes)
    recovered = repaired(prepared, plan)
    if recovered is None:
        raise InputError("the plan prunes nothing, so there is nothing to recover")
    found = recovery.report(prepared, plan, recovered, after_each=after_each)
    if out is not None:
        interop.write_recovered(prepared, recovered, out)
    words = prepared.subject.task.words
    if as_json:
        print_json(
            {**with_scores(found.to_dict(), words), "out": None if out is None else str(out)}
        )
        return
    _print(found, out, words)


def _train(
    order: retraining.Order,
    out: Path | None,
    workspace: Path | None,
    meeting: Meeting | None,
    *,
    as_json: bool,
) -> int:
    opened: list[PreparedSubject] = []

    def opener(spec: SubjectSpec) -> PreparedSubject:
        opened.append(prepare_subject(spec, workspace))
        say_notes(opened[-1].subject.notes)
        return opened[-1]

    words = tasks.scoring_of(order.subject.task).words
    go_on = resuming("recover", order.job_id, out=out, workspace=workspace, as_json=as_json)
    try:
        job = trained(order, opener, words=words, workspace=workspace, go_on=go_on, meeting=meeting)
        return _tell(order, job, opened[-1], out, workspace, as_json=as_json)
    except KeyboardInterrupt:
        raise interrupted(order, workspace, go_on) from None


def _tell(
    order: retraining.Order,
    job: retraining.Job,
    prepared: PreparedSubject,
    out: Path | None,
    workspace: Path | None,
    *,
    as_json: bool,
) -> int:
    """Write and print what was trained."""
    scoring = tasks.scoring_of(order.subject.task)
    words, plan = scoring.words, open_store(workspace).plans.get(job.plan_ids[0])
    if out is not None:
        recovered = recovery.repaired_plan(prepared, plan)
        assert recovered is not None
        interop.write_recovered(prepared, recovered, out)
    if as_json:
        print_json({**with_scores(result_of(job), words), "out": None if out is None else str(out)})
        return 0
    assert job.evaluation is not None
    print_table(
        f"From dense to {plan.recovery_words}",
        ("", words.label),
        [
            (name, words.score(score))
            for name, score in (
                ("dense", job.dense),
                ("pruned", job.pruned),
                (order.plan.recovery_words, job.repaired),
            )
            if score is not None
        ],
        right=words.label,
    )
    print_evaluation("Trained model", Evaluation.from_dict(job.evaluation), scoring)
    say_result(job, words)
    seconds = sum(item.seconds for item in job.results)
    say(f"Trained in {duration(seconds)}; the plan is {job.plan_ids[0]} of the workspace.")
    if out is not None:
        say(f"The trained model is in {out}.")
    return 0


def _print(found: RecoveryReport, out: Path | None, words: Words) -> None:
    print_table(
        f"Recovery by {found.method} in {duration(found.seconds)}, {found.dense.samples:,} samples",
        ("", *score_columns(words), "agreement"),
        [
            (
                name,
                words.score(item.accuracy),
                words.interval(item.accuracy_low, item.accuracy_high),
                drop_text(words, item.drop, item.drop_low, item.drop_high),
                "-" if item.agreement is None else f"{item.agreement:.2%}",
            )
            for name, item in (
                ("dense", found.dense),
                ("pruned", found.pruned),
                ("recovered", found.recovered),
            )
        ],
        right=f"{right_columns(words)},agreement",
    )
    _print_after_each(found, words)
    if found.layers:
        ratio = sum(item.after / item.before for item in found.layers if item.before > 0)
        say(
            f"Output error of {len(found.layers)} layers: {percent(ratio / len(found.layers))} of "
            "that of masking alone, on average."
        )
    for name, reason in found.skipped.items():
        say(f"{name} was left as it is: {reason}.")
    if out is not None:
        say(f"The repaired model is in {out}.")


def _print_after_each(found: RecoveryReport, words: Words) -> None:
    """Print what the model scores after each layer, where that was measured."""
    rows = [(item.layer, item.model) for item in found.layers if item.model is not None]
    if rows:
        print_table(
            "After each layer, later ones dense",
            ("", *score_columns(words)),
            [
                (
                    layer,
                    words.score(item.accuracy),
                    words.interval(item.accuracy_low, item.accuracy_high),
                    drop_text(words, item.drop, item.drop_low, item.drop_high),
                )
                for layer, item in rows
            ],
            right=right_columns(words),
        )
