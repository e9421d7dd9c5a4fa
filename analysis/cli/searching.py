"""Searches from the command line: what `plan` and `shrink` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import plans, search, shrinking
from analysis.cli.options import workspace_path
from analysis.cli.output import progress_bar, say
from analysis.cli.stopping import SAME, StoppedError
from analysis.repairs import NO_REPAIR
from analysis.search import SEARCHES
from analysis.sentences import percent
from pruners.errors import CancelledError, InputError

if TYPE_CHECKING:
    from analysis.allocation import Allocation
    from analysis.edits import PreparedSubject
    from analysis.records import Plan, Recipe
    from analysis.search import Aim, Measured, SearchUpdate
    from analysis.tasks import Words


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to.

    Attributes:
        plan: The best plan.
        drop: Its drop on the samples of the search.
        is_stopped: Whether Ctrl-C ended it before its end.
    """

    plan: Plan
    drop: float
    is_stopped: bool = False


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


def searched(
    prepared: PreparedSubject, start: Plan, aim: Aim, *, workspace: Path | None
) -> Searched:
    """Search a plan under a progress bar; Ctrl-C ends it with the best plan so far.

    Raises:
        StoppedError: Ctrl-C before there was a plan.
        CancelledError: The search found none.
    """
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    last: SearchUpdate | None = None
    is_stopped = False
    folder = workspace_path(workspace) / SEARCHES
    updates = shrinking.iter_timed(prepared, start, aim, folder=folder)
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
                if last.news:
                    say(last.news)
        except KeyboardInterrupt:
            if last is None or last.plan is None:
                raise StoppedError(f"Stopped before a plan was found. {SAME}") from None
            is_stopped = not last.state.finished
    if last is None or last.plan is None or last.drop is None:
        raise CancelledError("the search found no plan")
    if last.state.finished:
        say(f"The search ended after {last.state.trials} plans: {last.state.finished}.")
    words, repair = prepared.subject.task.words, start.repair
    after = "" if repair == NO_REPAIR else f" after repair {repair}"
    say(
        f"Its {words.drop_label}{after} on the samples of the search: {words.cost(last.drop)}; "
        "prunescope evaluate measures it on those that were not looked at."
    )
    return Searched(plans.resolve(prepared, last.plan), last.drop, is_stopped)


def nothing_removed(plan: Plan) -> str:
    """Say that a search came to nothing, and what to do; empty where its plan removes something."""
    if plans.pruned_entries(plan):
        return ""
    return (
        "It is the dense model: nothing smaller was found that holds. Give it more --minutes or "
        "--trials, or allow a larger drop."
    )


def filled_to_drop(
    prepared: PreparedSubject, start: Plan, aim: Aim, fill: Callable[[Recipe], Allocation]
) -> tuple[Allocation, Measured | None]:
    """Fill a plan whose drop is limited, by measuring where there are samples to measure on.

    Args:
        prepared: The subject.
        start: Names the repair.
        aim: Its recipe has a budget in drop.
        fill: Fills a plan as a recipe says.

    Returns:
        The plan, and what was measured; None where it is predicted only, which is said.

    Raises:
        InputError: Each plan within the other budgets loses more than is asked for.
    """
    try:
        search.search_data(prepared.subject)
    except InputError as error:
        say(f"The drop is predicted only, not measured: {error}.")
        return fill(aim.recipe), None
    measured = search.fill_measured(prepared, start, aim, fill)
    return (fill(aim.recipe), None) if measured is None else (measured.found, measured)


def say_measured(measured: Measured, plan: Plan, words: Words, *, confidence: float) -> None:
    """Say what a plan was measured to lose, and whether that is sure."""
    verdict, first = measured.verdict, measured.first
    after = "" if plan.repair == NO_REPAIR else f" after repair {plan.repair}"
    say(
        f"Measured {words.drop_label}{after} on {measured.words}: {words.cost(verdict.drop)}, at "
        f"most {words.cost(verdict.bound)} with {percent(confidence)} confidence."
    )
    if first is not None and first != verdict:
        say(
            f"The plan that is predicted to lose what was asked for was measured to lose "
            f"{words.cost(first.drop)} (at most {words.cost(first.bound)}); this one was filled up "
            f"to a predicted {words.cost(measured.limit)}."
        )
    if not verdict.holds:
        say(
            "So few samples cannot prove it: ask for a larger drop, or leave more samples out of "
            "the evaluation."
        )
