"""docs/cli.md cannot rot: every command and option of the program is in it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analysis.allocation import STRATEGIES
from analysis.cli.docs_table import commands, with_tables
from analysis.interop import FORMATS
from analysis.interop.docs_table import with_table as with_formats
from analysis.repairs import REPAIRS
from analysis.subjects import DATA_SCHEMES, MODEL_SCHEMES
from pruners.criteria import CRITERIA
from pruners.normalizers import NORMALIZERS
from pruners.reductions import REDUCTIONS
from pruners.registry import Registry
from pruners.schedules import SCHEDULES
from pruners.semantics import SEMANTICS

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "cli.md").read_text("utf-8")


COMMANDS = dict(commands())


def section(name: str) -> str:
    found = re.search(rf"^## prunescope {name}$(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert found, f"docs/cli.md has no section for {name}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    known = {option for item in COMMANDS[name].params for option in item.opts if option[:2] == "--"}
    rows = re.findall(r"^\| `(--[a-z0-9-]+)", section(name), re.M)
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


def test_the_tables_are_those_of_the_program() -> None:
    assert with_tables(TEXT) == TEXT, "run python -m analysis.cli.docs_table docs/cli.md"


def test_the_table_of_formats_is_that_of_the_program() -> None:
    page = (DOCS / "exports.md").read_text("utf-8")
    assert with_formats(page) == page, "run python -m analysis.interop.docs_table docs/exports.md"


@pytest.mark.parametrize(
    ("page", "registry"),
    [
        ("cli.md", FORMATS),
        ("exports.md", FORMATS),
        ("criteria.md", CRITERIA),
        ("criteria.md", NORMALIZERS),
        ("criteria.md", REDUCTIONS),
        ("criteria.md", SCHEDULES),
        ("criteria.md", SEMANTICS),
        ("methods.md", REPAIRS),
        ("plans.md", STRATEGIES),
    ],
)
def test_pages_that_list_names_list_all(page: str, registry: Registry[Any]) -> None:
    text = (DOCS / page).read_text("utf-8")
    missing = [entry.name for entry in registry if f"`{entry.name}`" not in text]
    assert not missing


def test_no_section_without_a_command() -> None:
    assert set(re.findall(r"^## prunescope (.+)$", TEXT, re.M)) == set(COMMANDS)


def test_every_address_and_its_options_are_documented() -> None:
    addresses = TEXT.split("## Addresses")[1].split("\n## ")[0]
    for scheme in (*MODEL_SCHEMES, *DATA_SCHEMES):
        assert f"`{scheme.form.partition(':')[0]}:" in addresses, scheme.form
        for option in scheme.options:
            assert re.search(rf"[#&`]{option.name}[=`]", addresses), (scheme.name, option.name)
