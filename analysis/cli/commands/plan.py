"""``prunescope plan``: choose ratios per layer from a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import allocation, plans
from analysis.allocation import BEST, FIXED, STRATEGIES, budget_forms
from analysis.cli.options import Json, Workspace, open_store, prepare_subject
from analysis.cli.output import print_json, print_table, say
from analysis.records import Recipe
from pruners.errors import InputError
from pruners.normalizers import NORMALIZERS
from pruners.registry import described, joined

if TYPE_CHECKING:
    from analysis.allocation import Allocation
    from analysis.edits import PreparedSubject
    from analysis.records import Plan


def plan(
    run: Annotated[str, typer.Option(help="Run to choose from, or last.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="Plan file to write.", metavar="FILE")],
    strategy: Annotated[
        str,
        typer.Option(help=f"How ratios are chosen. {described(STRATEGIES)}.", metavar="NAME"),
    ] = "threshold",
    budget: Annotated[
        str | None,
        typer.Option(help=f"What may be left, or lost: {budget_forms()}.", metavar="LIMIT"),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(
            help="One ratio for all layers (uniform), or of all units together (global).",
            metavar="X",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Accepted drop of each layer alone (threshold); 0.01 is 1 pp.", metavar="X"
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="Criterion of all layers, or best: each layer's own; one for all (global).  "
            "[default: best]",
            metavar="NAME",
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
            help=f"How global ranking compares layers: {joined(NORMALIZERS.names())}.  "
            "[default: the criterion's own, see docs/criteria.md]",
            metavar="NAME",
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            help="Choose the channels in this many rounds, scored anew in each.", min=1, metavar="N"
        ),
    ] = 1,
    round_to: Annotated[
        int,
        typer.Option(
            help="Round kept channels up to a multiple of this, such as 8; budgets hold after it.",
            min=1,
            metavar="N",
        ),
    ] = 1,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Choose a ratio and a criterion per layer."""
    best = criterion in (None, BEST)
    recipe = Recipe(
        criteria=BEST if best else FIXED,
        ratio=ratio,
        tolerance=tolerance,
        budget=None if budget is None else str(allocation.parse_budget(budget)),
        cautious=cautious,
        normalizer=normalizer,
        round_to=round_to,
        rounds=rounds,
    )
    STRATEGIES.get(strategy)
    store = open_store(workspace)
    row = store.runs.get(run)
    chosen = row.spec.criteria[0] if criterion is None or best else criterion
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
    found = allocation.fill_plan(prepared, start, strategy, recipe, points=points)
    if not found.feasible:
        raise InputError(found.message or f"the budget {budget} cannot be met")
    final = plans.resolve(prepared, found.plan)
    plans.write_plan(final, out)
    left_out = plans.left_out(prepared, row.spec.granularity)
    _report(prepared, final, found, left_out, out=out, as_json=as_json)


def _report(
    prepared: PreparedSubject,
    plan: Plan,
    found: Allocation,
    left_out: Mapping[str, str],
    *,
    out: Path,
    as_json: bool,
) -> None:
    cost, dense = prepared.cost.predict(plans.kept_counts(plan)), prepared.cost.dense
    if as_json:
        result: dict[str, Any] = {
            "out": str(out),
            "strategy": plan.strategy,
            "plan": plan.to_dict(),
        }
        result |= {"level": found.level, "spent": found.spent, "message": found.message}
        result |= {"left_out": dict(left_out)}
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
                f"{plans.achieved(item):.2f}",
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
    for name, reason in left_out.items():
        say(f"{name} is left out: {reason}.")
    if found.message:
        say(found.message)
