"""``prunescope import``: what a file holds, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import imports
from analysis.cli.options import Device, Json, Workspace, open_store, prepare_subject
from analysis.cli.output import print_json, say, say_notes
from analysis.imports import MAX_BYTES, QUESTIONS, RESULT_FORMATS, ImportRequest
from analysis.records import SubjectSpec
from analysis.sentences import plural
from pruners.errors import InputError
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.imports import ImportedRun
    from analysis.store import Store


def _question(name: str) -> Any:
    question = QUESTIONS.get(name)
    return typer.Option(help=question.help, metavar=question.form)


def import_file(
    file: Annotated[Path, typer.Argument(help="A file of sensitivity results.", metavar="FILE")],
    format: Annotated[
        str | None,
        typer.Option(
            help=f"What wrote the file. {described(RESULT_FORMATS)}.  [default: told by its "
            "content]",
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
    device: Device = "cpu",
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Read what another program measured, as a run that is shown and planned from."""
    content = _content(file)
    chosen = imports.format_of(content, file.name, format)
    raw = imports.read_result(content, chosen, file.name)
    given = {
        "unit": unit,
        "direction": direction,
        "granularity": granularity,
        "share": share,
        "baseline": baseline,
        "criterion": criterion,
    }
    request = ImportRequest(
        file=file.name,
        content=content,
        said={name: answer for name, answer in given.items() if answer is not None},
        metric=metric,
        renames=imports.parse_renames(rename or ()),
    )
    # What is not said is said before a model is loaded, which takes seconds.
    imports.check_said(request, chosen, raw)
    store = open_store(workspace)
    prepared = _prepared(store, model, data, like, device, workspace)
    found = imports.imported_run(request.of(prepared), chosen, raw)
    run_id = found.save(store)
    if prepared is not None:
        store.inventories.keep(prepared.identity, prepared.inventory)
    _report(run_id, found, as_json=as_json)
    return 0


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes; {MAX_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _prepared(
    store: Store,
    model: str | None,
    data: str | None,
    like: str | None,
    device: str,
    workspace: Path | None,
) -> PreparedSubject | None:
    """Return the model that is asked for; None without any.

    Raises:
        InputError: Two are asked for, or data without a model.
    """
    if like is not None:
        if model is not None or data is not None:
            raise InputError("--like takes model and data of a run: leave --model and --data out")
        row = store.runs.get(like)
        if not row.has_model:
            raise InputError(f"run {row.run_id} was imported without a model: give --model")
        return prepare_subject(row.spec.subject, workspace)
    if model is None:
        if data is not None:
            raise InputError("--data is of a model: give --model as well")
        return None
    return prepare_subject(SubjectSpec(model=model, data=data, device=device), workspace)


def _report(run_id: str, found: ImportedRun, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run_id": run_id,
                "points": len(found.points),
                "spec": found.spec.to_dict(),
                "source": found.source.to_dict(),
            }
        )
        return
    layers: Sequence[str] = list(dict.fromkeys(item.key.layer for item in found.points))
    say(
        f"{plural(len(found.points), 'point')} of {plural(len(layers), 'layer')} from "
        f"{found.source.file} ({RESULT_FORMATS.get(found.source.format).label})."
    )
    say_notes(found.source.notes)
    print(run_id)
