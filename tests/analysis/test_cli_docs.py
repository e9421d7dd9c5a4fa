"""docs/cli.md cannot rot: every command and option of the program is in it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.app import app
from analysis.subjects.address import DATA_OPTIONS, MODEL_OPTIONS

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md").read_text("utf-8")


def commands(command: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, f"{path} {name}".strip())


COMMANDS = dict(commands())


def section(name: str) -> str:
    found = re.search(rf"^## prunescope {name}$(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert found, f"docs/cli.md has no section for {name}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    known = {option for item in COMMANDS[name].params for option in item.opts if option[:2] == "--"}
    rows = re.findall(r"^\| `(--[a-z-]+)", section(name), re.M)
    assert set(rows) == known - {"--help"}
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    assert COMMANDS[name].help
    for item in COMMANDS[name].params:
        assert item.name == "help" or item.help, f"{name}: {item.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str) -> None:
    assert any("--json" in item.opts for item in COMMANDS[name].params)


def test_no_section_without_a_command() -> None:
    assert set(re.findall(r"^## prunescope (.+)$", TEXT, re.M)) == set(COMMANDS)


def test_every_address_and_its_options_are_documented() -> None:
    addresses = TEXT.split("## Addresses")[1].split("\n## ")[0]
    for known in (MODEL_OPTIONS, DATA_OPTIONS):
        for scheme, options in known.items():
            prefix = {"file": "path/file.py:", "module": "package.module:"}.get(scheme, scheme)
            assert prefix in addresses
            for option in options:
                assert re.search(rf"[#&`]{option}[=`]", addresses), (scheme, option)
