"""``prunescope inspect``: layers, groups, sizes, and what can be pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from analysis import subjects
from analysis.cli.options import Device, Json, Task
from analysis.cli.output import print_json, print_table, say, say_notes
from analysis.records import SubjectSpec

if TYPE_CHECKING:
    from analysis.records import GroupRow, Inventory, LayerRow


def inspect(
    model: Annotated[str, typer.Option(help="Model address.", metavar="ADDRESS")],
    data: Annotated[
        str | None,
        typer.Option(help="Data address; tells the input shape.", metavar="ADDRESS"),
    ] = None,
    task: Task = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """List layers and groups with parameters and MACs: prunable, or why not."""
    subject = subjects.load_subject(
        SubjectSpec(
            model=model,
            data=data,
            samples=32,
            calibration_samples=0,
            device=device,
            task=subjects.usual_task(data) if task is None else task,
        )
    )
    found = subjects.inventory(subject)
    if as_json:
        print_json(found)
    else:
        _print(model, found)
    # Beside the table or the object, so that whoever reads the object does not have to parse them.
    say_notes(subject.notes)


def _print(model: str, found: Inventory) -> None:
    print_table(
        f"{model}: {found.params:,} parameters, {found.macs:,} MACs per sample",
        ("layer", "type", "parameters", "MACs", "output", "group", "prunable"),
        [
            (
                row.name,
                row.type,
                f"{row.params:,}",
                f"{row.macs:,}",
                "x".join(str(size) for size in row.output_shape),
                row.group or "-",
                _layer_prunable(row),
            )
            for row in found.layers
        ],
        right="parameters,MACs",
    )
    if found.capture_error:
        say(found.capture_error)
        return
    print_table(
        f"\n{len(found.groups)} groups",
        ("group", "units", "members", "prunable"),
        [
            (
                group.id,
                f"{group.channels} {group.kind}{'s' if group.channels > 1 else ''}",
                ", ".join(f"{item.name}[{item.dim}]" for item in group.members),
                _prunable(group),
            )
            for group in found.groups
        ],
        right="units",
    )
    if found.depth:
        print_table(
            "\nBranches and layers, kept or gone (granularities branch and layer)",
            ("branch or layer", "parameters", "MACs", "layers within", "prunable"),
            [
                (
                    row.id,
                    f"{row.params:,}",
                    f"{row.macs:,}",
                    ", ".join(row.layers),
                    _prunable(row),
                )
                for row in found.depth
            ],
            right="parameters,MACs",
        )


def _layer_prunable(row: LayerRow) -> str:
    if not row.prunable:
        return f"no: {row.reason}"
    return f"in part: {row.kept_in_part}" if row.kept_in_part else "yes"


def _prunable(group: GroupRow) -> str:
    if not group.prunable:
        return f"no: {group.reason}"
    return "yes" if group.exact else f"yes, evaluated by physical removal: {group.note}"
