"""Options that are declared elsewhere, as parameters of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_type_hints

import typer

from analysis.allocation import PlanOption
from analysis.sweeps import Option

Command = Callable[..., int]


def with_options(
    options: Iterable[Option | PlanOption], *, after: bool = False
) -> Callable[[Command], Command]:
    """Give a command options beside its own; it takes them as one mapping ``given``.

    The command line shows and checks them as if they were written in the command's signature.

    Args:
        options: The options.
        after: Show them after the command's own, not before.
    """
    declared = list(options)

    def decorate(command: Command) -> Command:
        own = inspect.signature(command).parameters
        hints = get_type_hints(command, include_extras=True)

        def run(**values: Any) -> int:
            given = {option.name: values.pop(option.name) for option in declared}
            return command(given, **values)

        parameters = [_parameter(option) for option in declared]
        mine = [item.replace(annotation=hints[item.name]) for item in own.values()][1:]
        parameters = [*mine, *parameters] if after else [*parameters, *mine]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {item.name: item.annotation for item in parameters} | {"return": int}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(option: Option | PlanOption) -> inspect.Parameter:
    shown = option.text + (f"  [default: {option.unset}]" if option.unset else "")
    info = typer.Option(option.flag, help=shown, metavar=option.metavar or None, min=option.least)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if option.is_required else option.default,
        annotation=Annotated[option.type, info],
    )
