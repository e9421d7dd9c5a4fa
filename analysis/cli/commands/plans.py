"""``prunescope plans``: the plans that a workspace keeps, those of the dashboard among them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from analysis import plans as files
from analysis.cli.options import Json, Workspace, open_store
from analysis.cli.output import print_json, print_table, say
from analysis.records import Plan

app = typer.Typer(help="List and show saved plans.", rich_markup_mode=None)

Saved = Annotated[str, typer.Argument(help="A plan's id.", metavar="PLAN")]


@app.command("list")
def list_plans(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the plans of the workspace, the one changed last first."""
    found = {item.plan_id: item.plan for item in open_store(workspace).plans.saved()}
    if as_json:
        print_json({"plans": [{"plan_id": name, **_summary(plan)} for name, plan in found.items()]})
        return
    print_table(
        f"{len(found)} plans",
        ("plan", "model", "data", "run", "pruned", "strategy"),
        [(name, *_summary(plan).values()) for name, plan in found.items()],
        right="pruned",
    )


@app.command("show")
def show(
    plan: Saved,
    out: Annotated[
        Path | None, typer.Option(help="Write the plan as .json.", metavar="FILE")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show a saved plan, or write it as a file for evaluate, recover and export."""
    found = open_store(workspace).plans.get(plan)
    if out is not None:
        files.write_plan(files.compact(found), out)
        say(f"Plan written to {out}")
    if as_json:
        print_json(found)
    elif out is None:
        print_table(
            f"Plan {plan}",
            ("layer", "criterion", "ratio", "kept", "total"),
            [
                (item.layer, item.criterion, f"{item.ratio:.2%}", item.kept, item.total)
                for item in found.entries
            ],
            right="ratio,kept,total",
        )


def _summary(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.subject.model,
        "data": plan.subject.data,
        "run": plan.run,
        "pruned": len(files.pruned_entries(plan)),
        "strategy": plan.strategy,
    }
