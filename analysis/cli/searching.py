"""Searches from the command line: what `plan` and `shrink` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import plans, search
from analysis.cli.options import workspace_path
from analysis.cli.output import progress_bar, say
from analysis.search import SEARCHES
from pruners.errors import CancelledError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan, Recipe
    from analysis.search import Aim, SearchUpdate


def aim_of(given: Mapping[str, Any], recipe: Recipe, criteria: Sequence[str]) -> Aim:
    """Return what a search is asked for by a recipe and the options."""
    minutes = given["minutes"]
    return search.Aim(
        recipe=recipe,
        criteria=tuple(criteria),
        confidence=given["confidence"],
        trials=given["trials"],
        seconds=None if minutes is None else 60 * minutes,
    )


def searched(prepared: PreparedSubject, start: Plan, aim: Aim, *, workspace: Path | None) -> Plan:
    """Search a plan under a progress bar; Ctrl-C ends it with the best plan so far.

    Raises:
        CancelledError: It was stopped before there was a plan.
    """
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    last: SearchUpdate | None = None
    updates = search.iter_search(prepared, start, aim, folder=workspace_path(workspace) / SEARCHES)
    with progress_bar() as bar:
        task = bar.add_task("searching", total=None, eta="")
        try:
            for last in updates:
                progress = last.progress
                bar.update(
                    task,
                    description=last.text(prepared.subject.task.words),
                    completed=progress.done,
                    total=progress.total,
                )
        except KeyboardInterrupt:
            if last is None or last.plan is None:
                raise CancelledError("stopped before a plan was found") from None
            say("Stopped; this is the best plan so far. The same command goes on.")
    if last is None or last.plan is None:
        raise CancelledError("the search found no plan")
    if last.state.finished:
        say(f"The search ended after {last.state.trials} plans: {last.state.finished}.")
    plan = plans.resolve(prepared, last.plan)
    if told := search.time_told(prepared, plan):
        say(told)
    return plan
