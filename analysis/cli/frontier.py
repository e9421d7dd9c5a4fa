"""The trade-off from the command line: `plan --frontier`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import evaluation, plans, records, search
from analysis.cli.options import kept_if_writable, workspace_path
from analysis.cli.output import (
    drop_text,
    print_json,
    print_table,
    progress_bar,
    say,
    score_columns,
)
from analysis.cli.scores import with_scores
from analysis.cli.stopping import SAME, StoppedError
from analysis.repairs import NO_REPAIR
from analysis.search import SEARCHES
from analysis.sentences import percent
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
        The exit code.

    Raises:
        StoppedError: Ctrl-C left some plans unmeasured; those that were measured are written.
    """
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    updates = search.iter_frontier(
        prepared, start, aim, levels, folder=workspace_path(workspace) / SEARCHES
    )
    points, beyond, total = _followed(updates)
    files = _written(points, out, prepared, store) if points else []
    words = prepared.subject.task.words
    for reason in beyond.values():
        say(f"Left out: {reason}.")
    found: dict[str, Any] = {
        "schema_version": 1,
        "state": records.DONE,
        "points": list(map(_row, points, files)),
        "out_of_reach": [{"level": level, "reason": why} for level, why in beyond.items()],
    }
    found = with_scores(found, words)
    if points and not as_json:
        _print(points, files, words)
    if total is not None:
        raise StoppedError(_stopped(len(points), total), facts=found)
    if as_json:
        print_json(found)
    return 0


def _written(
    points: Sequence[FrontierPoint], out: Path, prepared: PreparedSubject, store: Store
) -> list[Path]:
    """Write plans into a folder, and what was measured of them into the workspace."""
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"macs-{point.level:g}-{point.plan.repair}.json" for point in points]
    for point, path in zip(points, files, strict=True):
        plans.write_plan(point.plan, path)
    with kept_if_writable():
        evaluation.keep_subject(store, prepared)
        for point in points:
            store.measurements.add(point.plan, prepared.identity, point.sums, recovered=True)
    return files


def _stopped(count: int, total: int) -> str:
    if not count:
        return f"Stopped before a plan was measured. {SAME}"
    return f"Stopped: {count} of {total} plans were measured. {SAME}"


def _followed(
    updates: Iterator[FrontierUpdate],
) -> tuple[Sequence[FrontierPoint], Mapping[float, str], int | None]:
    """Follow a trade-off under a progress bar.

    Returns:
        Points; sizes out of reach; and after Ctrl-C how many plans there are in all, else None.
    """
    points: tuple[FrontierPoint, ...] = ()
    beyond: Mapping[float, str] = {}
    total = 0
    with progress_bar() as bar:
        task = bar.add_task("trade-off", total=None, eta="")
        try:
            for update in updates:
                points, beyond = update.points, update.beyond
                what = f"{percent(update.level)} of the MACs, repair {update.repair}"
                total = update.total
                bar.update(task, description=what, completed=len(points), total=total)
        except KeyboardInterrupt:
            return points, beyond, total
    return points, beyond, None


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
