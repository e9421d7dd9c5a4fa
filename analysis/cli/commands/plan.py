"""``prunescope plan``: choose ratios per layer from a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.cli.options import Json, Workspace, open_store, prepare_subject
from analysis.cli.output import print_json, print_table, say
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.allocation import Allocation
    from analysis.edits import PreparedSubject
    from analysis.records import Plan


def plan(
    run: Annotated[str, typer.Option(help="Run to choose from, or last.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="Plan file to write.", metavar="FILE")],
    strategy: Annotated[
        str,
        typer.Option(
            help="uniform, threshold or global (one threshold over the scores of all layers)."
        ),
    ] = "threshold",
    budget: Annotated[
        str | None,
        typer.Option(help="macs=0.5, params=0.5 or drop=0.01: what may be left, or lost."),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(help="One ratio for all layers (uniform), or of all units together (global)."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Accepted drop of each layer alone (threshold); 0.01 is 1 pp."),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="Criterion of all layers, or best for each layer's own.  [default: best]"
        ),
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Only layers whose name fits are pruned.", metavar="GLOB")
    ] = "*",
    cautious: Annotated[
        bool, typer.Option("--cautious", help="Read curves at the upper end of their intervals.")
    ] = False,
    normalizer: Annotated[
        str | None,
        typer.Option(
            help="How global ranking compares layers: mean, sum, max, l2, lamp or none.  "
            "[default: the criterion's own, see docs/criteria.md]"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(help="Choose the channels in this many rounds, scored anew in each.")
    ] = 1,
    round_to: Annotated[
        int,
        typer.Option(
            help="Round kept channels up to a multiple of this, such as 8; budgets hold after it.",
            min=1,
        ),
    ] = 1,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Choose a ratio and a criterion per layer."""
    from analysis import allocation, plans
    from analysis.allocation import Request, global_plan, parse_budget
    from analysis.plans import rescored_plan, rounded, write_plan

    limit = None if budget is None else parse_budget(budget)
    allocation.get(strategy)
    store = open_store(workspace)
    row = store.runs.get(run)
    chosen = criterion if criterion not in (None, "best") else row.spec.criteria[0]
    if chosen not in row.spec.criteria:
        raise InputError(
            f"run {row.run_id} did not measure criterion {chosen!r}; it measured "
            f"{', '.join(row.spec.criteria)}"
        )
    points = store.points.table(row.run_id)
    prepared = prepare_subject(row.spec.subject, workspace)
    row.require(prepared.identity)
    start = plans.start_plan(
        prepared,
        criterion=chosen,
        granularity=row.spec.granularity,
        layers=layers,
        run=row.run_id,
        semantics=row.spec.semantics,
        reduction=row.spec.reduction,
    )
    found = allocation.allocate(
        strategy,
        Request(
            plan=start,
            points=points,
            meter=plans.meter(prepared),
            budget=limit,
            ratio=ratio,
            tolerance=tolerance,
            criteria="best" if criterion in (None, "best") else "fixed",
            cautious=cautious,
            rank=lambda start, ratio: global_plan(
                prepared, start, ratio=ratio, normalizer=normalizer
            ),
            finish=lambda plan: rounded(plan, prepared.structure, multiple=round_to),
        ),
    )
    if not found.feasible:
        raise InputError(found.message or f"the budget {budget} cannot be met")
    final = plans.resolve(prepared, found.plan)
    if rounds > 1:
        final = rescored_plan(prepared, final, rounds=rounds)
    write_plan(final, out)
    _report(prepared, final, found, out=out, as_json=as_json)


def _report(
    prepared: PreparedSubject, plan: Plan, found: Allocation, *, out: Path, as_json: bool
) -> None:
    from analysis.plans import achieved, kept_counts

    cost, dense = prepared.cost.predict(kept_counts(plan)), prepared.cost.dense
    if as_json:
        result: dict[str, Any] = {
            "out": str(out),
            "strategy": plan.strategy,
            "plan": plan.to_dict(),
        }
        result |= {"level": found.level, "spent": found.spent, "message": found.message}
        result |= {"params": cost.params, "macs": cost.macs}
        result |= {"dense_params": dense.params, "dense_macs": dense.macs}
        print_json(result)
        return
    print_table(
        f"Plan {out}",
        ("layer", "criterion", "ratio", "achieved", "kept"),
        [
            (
                item.layer,
                item.criterion,
                f"{item.ratio:.2f}",
                f"{achieved(item):.2f}",
                f"{item.kept} of {item.total}",
            )
            for item in plan.entries
        ],
        right="ratio,achieved,kept",
    )
    say(
        f"{cost.params:,} of {dense.params:,} parameters and {cost.macs:,} of {dense.macs:,} "
        "MACs stay."
    )
    if found.message:
        say(found.message)
