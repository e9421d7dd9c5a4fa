"""The page on training says what the registry and the recipe say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from analysis.recovery.docs_table import with_tables
from analysis.recovery.training import TRAINING_METHODS, TrainingRecipe

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "recovery.md"


def test_tables_are_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run python -m analysis.recovery.docs_table docs/recovery.md"


def test_every_method_and_field_is_told() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split("|")[1:] for line in text.splitlines() if line.startswith("| `")]
    told = {row[0].split("`")[1]: row[1].strip() for row in rows}
    names = {*TRAINING_METHODS.names(), *(field.name for field in fields(TrainingRecipe))}
    assert names <= set(told)
    assert all(told[name] for name in names)
