"""A file with a plan becomes a plan of the workspace, and a plan file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analysis import imports, plans
from analysis.cli.commands.imports.asked import Asked
from analysis.cli.options import check_file, open_store, prepare_subject
from analysis.cli.output import print_json, print_table, say
from analysis.imports import PlanFormat, PlanRequest
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.store import Store

# What a plan may be told; the rest is of results.
OF_PLANS = ("criterion", "granularity")


def import_plan(asked: Asked, chosen: PlanFormat, out: Path | None) -> int:
    """Keep the plan, and write it where that is asked for.

    Raises:
        InputError: It cannot be read, does not fit the model, or there is none.
    """
    strange = [name for name in asked.said if name not in OF_PLANS]
    if strange or asked.metric is not None:
        names = ", ".join(f"--{name}" for name in (strange or ["metric"]))
        raise InputError(f"{asked.file} is a plan ({chosen.label}): leave {names} out")
    if out is not None:
        check_file(out)
    store = open_store(asked.workspace)
    prepared = _prepared(asked, chosen, store)
    request = PlanRequest(
        file=asked.file,
        content=asked.content,
        prepared=prepared,
        criterion=asked.said.get("criterion"),
        granularity=asked.said.get("granularity"),
        renames=asked.renames,
    )
    plan = imports.imported_plan(request, chosen)
    cost, dense = prepared.cost.predict(plans.kept_counts(plan)), prepared.cost.dense
    plan_id = store.plans.save(
        plan, params_left=cost.params / dense.params, macs_left=cost.macs / dense.macs
    )
    if plan.note:
        store.plans.annotate(plan_id, plan.note)
    if out is not None:
        plans.write_plan(plan, out)
    if asked.as_json:
        sizes = {"params": cost.params, "macs": cost.macs}
        print_json({"plan_id": plan_id, "format": chosen.name, "plan": plan.to_dict(), **sizes})
        return 0
    pruned = plans.pruned_entries(plan)
    print_table(
        f"Plan from {asked.file}, {chosen.label}",
        ("layer", "criterion", "achieved", "kept"),
        [
            (
                item.layer,
                item.criterion,
                f"{plans.achieved(item):.2f}",
                f"{item.kept} of {item.total}",
            )
            for item in pruned
        ],
        right="achieved,kept",
    )
    say(
        f"{cost.params:,} of {dense.params:,} parameters and {cost.macs:,} of {dense.macs:,} MACs "
        f"stay. Kept as plan {plan_id}."
    )
    if plan.note:
        say(f"Note: {plan.note}.")
    return 0


def _prepared(asked: Asked, chosen: PlanFormat, store: Store) -> PreparedSubject:
    """Return the model that the plan is for: the asked one, else that of our own plan."""
    found = asked.prepared(store)
    if found is not None:
        return found
    if not chosen.is_own:
        raise InputError(
            f"{asked.file} is a plan ({chosen.label}): give the model that it is for, --model"
        )
    try:
        text = asked.content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{asked.file} is no text") from None
    return prepare_subject(plans.from_json(text, source=asked.file).subject, asked.workspace)
