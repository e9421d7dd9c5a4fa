"""Older documents are migrated step by step, new ones are written as they are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from analysis.records import (
    Document,
    Plan,
    Recipe,
    Record,
    SubjectSpec,
    SweepSpec,
)
from analysis.recovery.training import TrainingRecipe
from pruners.errors import InputError
from tests.analysis.records.documents import PLAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Record):
    """A part; ``count`` was a text named ``number`` before version 3."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(Document):
    """A document that changed twice."""

    schema_version: ClassVar[int] = 3
    leaves: tuple[Leaf, ...]

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        if version == 1:
            return {"leaves": [{"number": item} for item in data["numbers"]]}
        return {**data, "leaves": [{"count": int(item["number"])} for item in data["leaves"]]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest(Document):
    """A document of documents."""

    trees: tuple[Tree, ...]


TREE = Tree(leaves=(Leaf(count=4), Leaf(count=2)))


@pytest.mark.parametrize(("budget", "budgets"), [("macs=0.5", ("macs=0.5",)), (None, ())])
def test_plans_of_one_budget_are_migrated(budget: str | None, budgets: tuple[str, ...]) -> None:
    """Plans of schema version 1 had one budget at most, and were pruned raw."""
    new = Plan.from_dict(PLAN).to_dict()
    old = {name: value for name, value in new.items() if name not in ("schema_version", "repair")}
    recipe = {name: value for name, value in Recipe().to_dict().items() if name in OLD_RECIPE}
    found = Plan.from_dict({**old, "recipe": {**recipe, "budget": budget}})
    assert found.recipe == Recipe(budgets=budgets)
    assert found.repair == "none"
    with pytest.raises(InputError, match="no valid document of schema version 1"):
        Plan.from_dict({**old, "recipe": 5})


OLD_RECIPE = ("criteria", "ratio", "tolerance", "cautious", "normalizer", "round_to", "rounds")


@pytest.mark.parametrize(
    "data",
    [
        {"numbers": ["4", "2"]},
        {"schema_version": 1, "numbers": ["4", "2"]},
        {"schema_version": 2, "leaves": [{"number": "4"}, {"number": "2"}]},
        {"schema_version": 3, "leaves": [{"count": 4}, {"count": 2}]},
    ],
)
def test_older_documents_are_migrated_step_by_step(data: dict[str, Any]) -> None:
    before = json.dumps(data)
    assert Tree.from_dict(data) == TREE
    assert Forest.from_dict({"trees": [data]}) == Forest(trees=(TREE,))
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"schema_version": 4, "leaves": []}, "Tree: written by a newer program"),
        ({"numbers": 5}, "Tree: no valid document of schema version 1"),
        ({}, "Tree: no valid document of schema version 1"),
        ({"schema_version": 2, "leaves": [{"number": "x"}]}, "Tree: no valid document of schema"),
        (
            {"schema_version": 3, "leaves": [{"count": "4"}]},
            r"Tree.leaves\[0\].count: expected int",
        ),
        ({"schema_version": 0, "leaves": []}, "Tree.schema_version: expected int >= 1, found 0"),
    ],
)
def test_a_document_that_cannot_be_migrated(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Tree.from_dict(data)


@pytest.mark.parametrize(
    "made",
    [
        TrainingRecipe(epochs=3, minutes=2),
        Recipe(min_kept=1),
        SweepSpec(subject=SubjectSpec(model="m"), ratios=(0, 0.5), tolerance=1),
    ],
)
def test_what_is_made_here_is_written_as_what_is_read(made: Record) -> None:
    """An order of ``epochs=3`` had one name here, another in the process that read it."""
    read = type(made).from_dict(made.to_dict())
    assert json.dumps(read.to_dict()) == json.dumps(made.to_dict())
