"""What a repaired run says of its raw sibling: the gain, or how to measure it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from analysis import comparison
from analysis.cli.options import workspace_path
from analysis.cli.output import say
from analysis.records import RunRow
from analysis.repairs import NO_REPAIR
from analysis.snippets import command_of

if TYPE_CHECKING:
    from analysis.store import Store


def say_gain(store: Store, row: RunRow) -> None:
    """Say what the repair of a run gains over the raw run of the workspace, else how to get one."""
    if row.spec.repair == NO_REPAIR:
        return
    for variant in comparison.siblings(row, store.runs.all()):
        if variant.field == "repair" and variant.run.spec.repair == NO_REPAIR:
            points, raw = store.points.table(row.run_id), store.points.table(variant.run.run_id)
            said = comparison.gap_sentence(row.spec, points, variant, raw)
            say(f"{said} Raw: run {variant.run.run_id}." if said else _not_yet(variant.run))
            return
    raw_spec = comparison.with_value(row.spec, "repair", NO_REPAIR)
    command = command_of(raw_spec)
    if store.workspace != workspace_path(None):
        command += f" --workspace {shlex.quote(str(store.workspace))}"
    say(f"The raw curves to compare with: {command}")


def _not_yet(raw: RunRow) -> str:
    return f"The raw run {raw.run_id} is {raw.state}; it shares no finished point with this one."
