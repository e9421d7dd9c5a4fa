"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("analysis", "pages", "pruners", "sample_models")
WITH_EXAMPLES = [
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def run_examples(module: ModuleType) -> doctest.TestResults:
    """Run the examples of a module; what differs is printed."""
    return doctest.testmod(module, verbose=False)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples(path: Path) -> None:
    found = run_examples(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert found.attempted
    assert not found.failed


def test_every_package_is_looked_through() -> None:
    assert {path.parts[0] for path in WITH_EXAMPLES} == set(PACKAGES)


def test_a_wrong_example_fails(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("'''\n>>> 2 * 2\n5\n'''\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("wrong", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert run_examples(module) == (1, 1)
