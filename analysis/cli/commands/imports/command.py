"""``prunescope import``: what a file holds, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from analysis import imports
from analysis.cli.commands import imports as own
from analysis.cli.options import Device, Json, Workspace
from analysis.files import read_given
from analysis.imports import MAX_WEIGHTS, PLAN_FORMATS, QUESTIONS, RESULT_FORMATS, PlanFormat
from pruners.errors import InputError
from pruners.registry import described


def _question(name: str) -> Any:
    question = QUESTIONS.get(name)
    return typer.Option(help=question.help, metavar=question.form)


def import_file(
    file: Annotated[
        Path, typer.Argument(help="A file of sensitivity results, or a plan.", metavar="FILE")
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help=f"What wrote the file. {described(RESULT_FORMATS)}; {described(PLAN_FORMATS)}.  "
            "[default: told by its content]",
            metavar="NAME",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model whose layers they are: counts and groups come from it.", metavar="ADDRESS"
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data address of that model.", metavar="ADDRESS")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Take model and data of a run that was measured here, in place of --model.",
            metavar="RUN",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Which of the file's numbers: top1, top5 or loss of Distiller.  [default: the "
            "first]",
            metavar="NAME",
        ),
    ] = None,
    unit: Annotated[str | None, _question("unit")] = None,
    direction: Annotated[str | None, _question("direction")] = None,
    granularity: Annotated[str | None, _question("granularity")] = None,
    share: Annotated[str | None, _question("share")] = None,
    baseline: Annotated[str | None, _question("baseline")] = None,
    criterion: Annotated[str | None, _question("criterion")] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="What the model calls a layer of the file, OLD=NEW or a JSON file of an object; "
            "repeatable.",
            metavar="OLD=NEW",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write an imported plan here, as JSON.", metavar="FILE"),
    ] = None,
    device: Device = "cpu",
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Read what another program measured as a run, or what it planned as a plan."""
    content = _content(file)
    chosen = imports.format_of(content, file.name, format)
    given = {
        "unit": unit,
        "direction": direction,
        "granularity": granularity,
        "share": share,
        "baseline": baseline,
        "criterion": criterion,
    }
    asked = own.Asked(
        file=file.name,
        content=content,
        said={name: answer for name, answer in given.items() if answer is not None},
        metric=metric,
        renames=imports.parse_renames(rename or ()),
        model=model,
        data=data,
        like=like,
        device=device,
        workspace=workspace,
        as_json=as_json,
    )
    if isinstance(chosen, PlanFormat):
        return own.import_plan(asked, chosen, out)
    if out is not None:
        raise InputError(f"--out is of plans; {file.name} is a result, kept in the workspace")
    return own.import_result(asked, chosen)


def _content(path: Path) -> bytes:
    try:
        return read_given(path, limit=MAX_WEIGHTS)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
