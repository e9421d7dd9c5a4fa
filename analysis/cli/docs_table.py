"""Write the tables of options in the command line's page from the program.

Run ``python -m analysis.cli.docs_table docs/cli.md``; a test fails when the page is old.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from analysis.cli.app import build_app

HEAD = ("| option | what | default |", "|---|---|---|")
_SECTION = re.compile(r"^## prunescope ([a-z ]+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\| option \|.*\n(?:\|.*\n)+", re.MULTILINE)
_DEFAULT = re.compile(r"\s+\[default: (.*)\]$")


def commands(command: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all commands with their names, ``runs list`` for one of a group."""
    command = command or typer.main.get_command(build_app())
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, f"{path} {name}".strip())


def with_tables(page: str) -> str:
    """Return the page with the table of each command as the program has it."""
    known = dict(commands())

    def renewed(section: re.Match[str]) -> str:
        if section[1] not in known:
            return section[0]
        return _TABLE.sub(lambda _: table(known[section[1]]), section[0])

    return _SECTION.sub(renewed, page)


def table(command: Any) -> str:
    """Return the table of a command's options."""
    rows = [_row(item) for item in command.params if item.name != "help"]
    return "\n".join([*HEAD, *rows]) + "\n"


def _row(item: Any) -> str:
    name = next((option for option in item.opts if option.startswith("--")), "")
    value = "" if _is_flag(item) else item.metavar
    shown = " ".join(filter(None, (name, value)))
    return f"| `{shown}` | {_DEFAULT.sub('', item.help)} | {_default(item)} |"


def _default(item: Any) -> str:
    if unset := _DEFAULT.search(item.help):
        return unset[1]
    if item.required:
        return "required"
    return "" if _is_flag(item) or item.default is None else f"`{item.default}`"


def _is_flag(item: Any) -> bool:
    return bool(getattr(item, "is_flag", False))


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
