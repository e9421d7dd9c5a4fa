"""A file of results becomes a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis import imports
from analysis.cli.commands.imports.asked import Asked
from analysis.cli.options import open_store
from analysis.cli.output import answer, print_json, say, say_notes
from analysis.imports import RESULT_FORMATS, ImportRequest, ResultFormat
from analysis.sentences import plural

if TYPE_CHECKING:
    from analysis.imports import ImportedRun


def import_result(asked: Asked, chosen: ResultFormat) -> int:
    """Enter the run, and say what came of the file.

    Raises:
        InputError: It cannot be read, or something is not said.
    """
    raw = imports.read_result(asked.content, chosen, asked.file)
    request = ImportRequest(
        file=asked.file,
        content=asked.content,
        said=asked.said,
        metric=asked.metric,
        renames=asked.renames,
    )
    # What is not said is said before a model is loaded, which takes seconds.
    imports.check_said(request, chosen, raw)
    store = open_store(asked.workspace)
    prepared = asked.prepared(store)
    found = imports.imported_run(request.of(prepared), chosen, raw)
    run_id = found.save(store)
    if prepared is not None:
        store.inventories.keep(prepared.identity, prepared.inventory)
    if asked.as_json:
        print_json(
            {
                "run_id": run_id,
                "points": len(found.points),
                "spec": found.spec.to_dict(),
                "source": found.source.to_dict(),
            }
        )
    else:
        _say(found)
        answer(run_id)
    return 0


def _say(found: ImportedRun) -> None:
    layers = list(dict.fromkeys(item.key.layer for item in found.points))
    say(
        f"{plural(len(found.points), 'point')} of {plural(len(layers), 'layer')} from "
        f"{found.source.file}, written by {RESULT_FORMATS.get(found.source.format).label}."
    )
    say_notes(found.source.notes)
