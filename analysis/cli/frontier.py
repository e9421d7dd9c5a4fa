"""The trade-off from the command line: `plan --frontier`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import evaluation, plans, records, search
from analysis.cli.options import check_folder, workspace_path
from analysis.cli.output import (
    INTERRUPTED,
    drop_text,
    print_json,
    print_table,
    progress_bar,
    say,
    score_columns,
)
from analysis.cli.scores import with_scores
from analysis.repairs import NO_REPAIR
from analysis.search import SEARCHES
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan
    from analysis.search import Aim, FrontierPoint, FrontierUpdate
    from analysis.store import Store
    from analysis.tasks import Words


def parse_levels(text: str) -> tuple[float, ...]:
    """Return sizes from ``0.8,0.5``.

    Raises:
        InputError: One is no share above 0 and below 1.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or any(not 0 < level < 1 for level in found):
        raise InputError(
            f"--levels takes shares above 0 and below 1, as in 0.8,0.5; found {text!r}"
        )
    return found


def trade_off(
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    levels: Sequence[float],
    *,
    store: Store,
    workspace: Path | None,
    out: Path,
    as_json: bool,
) -> int:
    """Search and evaluate plans at several sizes, write them into a folder, and print them.

    Returns:
        The exit code: 130 where Ctrl-C left some plans unmeasured.

    Raises:
        KeyboardInterrupt: Ctrl-C before there was a plan.
    """
    check_folder(out)
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    updates = search.iter_frontier(
        prepared, start, aim, levels, folder=workspace_path(workspace) / SEARCHES
    )
    points, beyond, state = _followed(updates)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"macs-{point.level:g}-{point.plan.repair}.json" for point in points]
    evaluation.keep_subject(store, prepared)
    for point, path in zip(points, files, strict=True):
        plans.write_plan(point.plan, path)
        store.measurements.add(point.plan, prepared.identity, point.sums, recovered=True)
    words = prepared.subject.task.words
    for reason in beyond.values():
        say(f"Left out: {reason}.")
    if as_json:
        found = {
            "schema_version": 1,
            "state": state,
            "points": list(map(_row, points, files)),
            "out_of_reach": [{"level": level, "reason": why} for level, why in beyond.items()],
        }
        print_json(with_scores(found, words))
    else:
        _print(points, files, words)
    return 0 if state == records.DONE else INTERRUPTED


def _followed(
    updates: Iterator[FrontierUpdate],
) -> tuple[Sequence[FrontierPoint], Mapping[float, str], str]:
    """Follow a trade-off under a progress bar; return points, sizes out of reach, and its state.

    Raises:
        KeyboardInterrupt: Ctrl-C before there was a plan.
    """
    points: tuple[FrontierPoint, ...] = ()
    beyond: Mapping[float, str] = {}
    with progress_bar() as bar:
        task = bar.add_task("trade-off", total=None, eta="")
        try:
            for update in updates:
                points, beyond = update.points, update.beyond
                what = f"{update.level:.0%} of the MACs, repair {update.repair}"
                bar.update(task, description=what, completed=len(points), total=update.total)
        except KeyboardInterrupt:
            if not points:
                say("Stopped before a plan was measured. The same command goes on.")
                raise
            told = f"Stopped: {len(points)} of {update.total} plans were measured"
            say(f"{told}. The same command goes on.")
            return points, beyond, records.CANCELLED
    return points, beyond, records.DONE


def aim_at_sizes(aim: Aim, given: Mapping[str, Any]) -> Aim:
    """Return what is asked for at each size.

    Raises:
        InputError: A budget or a level for all layers is given as well.
    """
    if given["budget"] or given["ratio"] or given["tolerance"] is not None:
        raise InputError("--frontier takes its sizes from --levels: no budget, ratio or tolerance")
    return dataclasses.replace(aim, trials=min(aim.trials, search.FRONTIER_TRIALS))


def _row(point: FrontierPoint, path: Path) -> dict[str, Any]:
    names = ("level", "macs", "params", "score", "low", "high", "drop", "drop_low", "drop_high")
    found: dict[str, Any] = {name: getattr(point, name) for name in names}
    return found | {
        "samples": point.sums.samples,
        "repair": point.plan.repair,
        "plan": str(path),
    }


def _print(points: Sequence[FrontierPoint], files: Sequence[Path], words: Words) -> None:
    drop = score_columns(words)[2]
    print_table(
        "Trade-off",
        ("MACs left", "parameters left", "repair", words.label, "95 % interval", drop, "plan"),
        [
            (
                f"{point.macs:.1%}",
                f"{point.params:.1%}",
                "-" if point.plan.repair == NO_REPAIR else point.plan.repair,
                words.score(point.score),
                words.interval(point.low, point.high),
                drop_text(words, point.drop, point.drop_low, point.drop_high),
                path.name,
            )
            for point, path in zip(points, files, strict=True)
        ],
        right=f"MACs left,parameters left,{words.label},95 % interval,{drop}",
    )
    if files:
        say(f"Plans written to {files[0].parent}")
