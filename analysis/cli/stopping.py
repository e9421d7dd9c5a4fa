"""What a command that Ctrl-C stops leaves: a line on how to go on, and with --json an object."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis import records, snippets
from analysis.cli.options import WORKSPACE_VARIABLE
from analysis.cli.output import INTERRUPTED, is_answered, print_json, say
from pruners.errors import CancelledError

SAME = "The same command goes on."
# Commands that keep what they have found until then; the others take a moment, or begin anew.
_KEEPING = ("sweep", "plan", "shrink", "recover")
# Those that work in a workspace.
WITH_WORKSPACE = frozenset(
    (*_KEEPING, "evaluate", "export", "import", "plans", "report", "runs", "serve")
)


class StoppedError(CancelledError):
    """Ctrl-C ended a command that says itself what it leaves.

    Args:
        text: What to tell, one line.
        go_on: The command that goes on; empty for the same one.
        facts: What was found until then, as JSON has it.
    """

    def __init__(
        self, text: str, *, go_on: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(text)
        self.text, self.go_on, self.facts = text, go_on, facts


@contextmanager
def going_on(text: str, go_on: str) -> Iterator[None]:
    """Tell what goes on where Ctrl-C ends the block.

    Args:
        text: What is kept; the command follows it.
        go_on: The command.

    Raises:
        StoppedError: Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"{text} {go_on}", go_on=go_on) from None


def resuming(
    command: str, name: str, *, out: Path | None, workspace: Path | None, as_json: bool
) -> str:
    """Return the command that goes on with a run or a training.

    Args:
        command: ``sweep`` or ``recover``.
        name: The id of what was stopped.
        out: The option.
        workspace: The option; without it, that of the environment is named.
        as_json: The option.
    """
    if workspace is None and (said := _of_environment()):
        workspace = Path(said)
    words = [command, "--resume", name]
    words += [] if out is None else ["--out", str(out)]
    return snippets.command([*words, *(["--json"] if as_json else [])], workspace)


def _of_environment() -> str:
    """Return the workspace that the environment names, which it may not where one goes on."""
    return os.environ.get(WORKSPACE_VARIABLE, "")


def _same(given: Sequence[str]) -> str:
    """Return a command line, with the workspace where the environment alone names it."""
    words, said = ["prunescope", *given], _of_environment()
    is_named = any(word.partition("=")[0] == "--workspace" for word in given)
    if said and not is_named and given and given[0] in WITH_WORKSPACE:
        words += ["--workspace", said]
    return shlex.join(words)


def stopped(told: StoppedError | None, given: Sequence[str]) -> int:
    """Say how to go on after Ctrl-C, and return the exit code.

    Args:
        told: What the command says of it; None for what is usual.
        given: The command line, without the program's name.
    """
    told, same = told or StoppedError(_usual(given)), _same(given)
    is_told = same == shlex.join(["prunescope", *given])
    say(told.text if is_told else told.text.replace(SAME, f"Go on: {same}"))
    if "--json" in given and not is_answered():
        facts = {"schema_version": 1} if told.facts is None else told.facts
        go_on = told.go_on or same
        print_json({**facts, "state": records.CANCELLED, "go_on": go_on})
    return INTERRUPTED


def _usual(given: Sequence[str]) -> str:
    if given and given[0] in _KEEPING:
        return f"Stopped. {SAME}"
    return "Stopped. The same command begins anew."
