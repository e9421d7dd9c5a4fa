"""The program: its commands, and how errors leave it.

Exit codes: 0 done, 1 something failed, 2 bad input (one line says what), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from analysis import allocation, retraining, sweeps
from analysis.cli import commands
from analysis.cli.declared import with_options
from analysis.cli.output import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    answering,
    new_answer,
    say_error,
)
from analysis.cli.stopping import StoppedError, stopped
from analysis.memory import is_out_of_memory
from analysis.versions import versions
from pruners.errors import InputError, PruneScopeError, first_line
from pruners.user_code import exits_told, leave, users_error

# What adds a command to the program; what it needs is loaded then.
COMMANDS: dict[str, Callable[[typer.Typer], object]] = {
    "serve": lambda app: app.command("serve")(commands.serve.serve),
    "inspect": lambda app: app.command("inspect")(commands.inspect.inspect),
    "import": lambda app: app.command("import")(commands.imports.import_file),
    "sweep": lambda app: app.command("sweep")(with_options(sweeps.OPTIONS)(commands.sweep.sweep)),
    "plan": lambda app: app.command("plan")(
        with_options(allocation.PLAN_OPTIONS)(commands.plan.plan)
    ),
    "shrink": lambda app: app.command("shrink")(
        with_options(commands.shrink.shrink_options())(commands.shrink.shrink)
    ),
    "evaluate": lambda app: app.command("evaluate")(commands.evaluate.evaluate),
    "recover": lambda app: app.command("recover")(
        with_options(retraining.TRAINING_OPTIONS, after=True)(commands.recovering.recover.recover)
    ),
    "join": lambda app: app.command("join")(commands.recovering.join.join),
    "export": lambda app: app.command("export")(commands.export.export),
    "report": lambda app: app.command("report")(commands.report.report),
    "criteria": lambda app: app.command("criteria")(commands.criteria.criteria),
    "runs": lambda app: app.add_typer(commands.runs.app, name="runs"),
    "plans": lambda app: app.add_typer(commands.plans.app, name="plans"),
}


def _say_version(wanted: bool) -> None:
    if wanted:
        print(", ".join(f"{name} {number}" for name, number in versions().items()))
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the versions of PruneScope, torch and Python.",
            callback=_say_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    del version  # said by its callback


def build_app(command: str = "") -> typer.Typer:
    """Return the program; choices are those that the registries have by now.

    Args:
        command: The only one that is needed; all if it is none of `COMMANDS`.
    """
    app = typer.Typer(
        name="prunescope",
        help="Which layers of a network can lose how much, by which pruning method, and what for.",
        no_args_is_help=False,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        # A program of one command would not be called by its name otherwise.
        callback=_root,
    )
    for name in [command] if command in COMMANDS else COMMANDS:
        COMMANDS[name](app)
    _keep_answers_apart(app)
    return app


def _keep_answers_apart(app: typer.Typer) -> None:
    for item in app.registered_commands:
        # A command's file may have been asked for before.
        if item.callback is not None and not hasattr(item.callback, "__wrapped__"):
            item.callback = _apart(item.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _keep_answers_apart(group.typer_instance)


def _apart(call: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(call)
    def run(*given: Any, **options: Any) -> object:
        with answering(), exits_told():
            return call(*given, **options)

    return run


# The base of typer's own errors (a missing option, an unknown command); typer keeps it private.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: What follows the program's name; that of the process by default.
    """
    if arguments is None and not sys.warnoptions:
        # What a user has to know is said by the program; libraries would add lines of their own.
        warnings.simplefilter("ignore")
    given = list(sys.argv[1:] if arguments is None else arguments)

    def call() -> object:
        command = typer.main.get_command(build_app(given[0] if given else ""))
        return command.main(given or ["--help"], "prunescope", standalone_mode=False)

    new_answer()
    code = run_guarded(call, given)
    if arguments is not None:
        return code
    # All is said and written: Ctrl-C would take the exit code away only.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return leave(code)


def run_guarded(call: Callable[[], object], given: Sequence[str] = ()) -> int:
    """Call a command; turn its errors into one line and an exit code.

    Args:
        call: The command.
        given: Its command line, for what goes on after Ctrl-C.
    """
    try:
        code = _told(call)
    except StoppedError as error:
        return stopped(error, given)
    except (KeyboardInterrupt, typer.Abort):
        return stopped(None, given)
    # Newer versions of typer make this of Ctrl-C.
    return stopped(None, given) if code == INTERRUPTED else code


def _told(call: Callable[[], object]) -> int:
    """Call a command; tell its errors."""
    try:
        result = call()
    except StoppedError:
        raise
    except InputError as error:
        return say_error(error, code=BAD_INPUT)
    except PruneScopeError as error:
        return say_error(error, code=FAILED)
    except (SystemExit, BrokenPipeError):
        # By the former typer leaves when the reader went away; users' code ends no command.
        return _without_reader()
    except _UsageProblem as error:
        return say_error(error.format_message(), code=BAD_INPUT)  # type: ignore[attr-defined]
    except Exception as error:
        found = _foreseen(error)
        if found is None:
            raise
        line, code = found
        return say_error(line, code=code)
    return result if isinstance(result, int) else 0


def _foreseen(error: Exception) -> tuple[str, int] | None:
    """Return what to say of an error that is no bug of ours, and the exit code."""
    if is_out_of_memory(error):
        return f"memory ran out: {first_line(error)}", FAILED
    if line := users_error(error):
        return line, BAD_INPUT
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        # Python's, when torch is loaded; it tries each folder with a file.
        line = "no temporary folder takes a file; its disk may be full, or set TMPDIR to another"
        return line, FAILED
    return None


def _without_reader() -> int:
    """End quietly: the reader (`| head`) went away; Python would complain when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
