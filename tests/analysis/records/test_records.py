"""Records: every document comes back as it went, and a wrong one is one line that says where."""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import json
import math
import pkgutil
import random
import re
import sys
import types
import typing
from typing import Any

import pytest

import analysis
from analysis.records import (
    Document,
    Plan,
    PlanEntry,
    Progress,
    Record,
    RunRow,
    SubjectSpec,
    Sums,
    SweepSpec,
)
from analysis.recovery.training import TrainingRecipe
from pruners.errors import InputError
from tests.analysis.records.documents import ENTRY, NEWER, PLAN, SUBJECT, SWEEP, entry

for module in pkgutil.walk_packages(analysis.__path__, "analysis."):
    # Scripts for other libraries, which need not be here, are no part of the program.
    if not re.search(r"__main__$|\.(consumers|scripts)\.", module.name):
        importlib.import_module(module.name)


def subclasses(kind: type[Record]) -> list[type[Record]]:
    found = [item for child in kind.__subclasses__() for item in (child, *subclasses(child))]
    # slots=True makes each class twice; the module has the second.
    return [
        item
        for item in dict.fromkeys(found)
        if item.__module__.startswith("analysis.")
        and getattr(sys.modules[item.__module__], item.__name__) is item
        and dataclasses.is_dataclass(item)
    ]


RECORDS = sorted(subclasses(Record), key=lambda item: item.__name__)
DOCUMENTS = [item for item in RECORDS if issubclass(item, Document)]


def hints(kind: type[Record]) -> dict[str, Any]:
    found = typing.get_type_hints(kind)
    return {item.name: found[item.name] for item in dataclasses.fields(kind)}  # type: ignore[arg-type]


def is_record(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Record)


def parts(hint: Any) -> set[type[Record]]:
    """Return the records that a type or a record's fields mention, however deep."""
    if is_record(hint):
        return {hint}.union(*(parts(item) for item in hints(hint).values()))
    return set().union(*(parts(item) for item in typing.get_args(hint)))


def example(hint: Any) -> Any:
    """Return a value of a type; of a union, a value of its first member."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if is_record(hint):
        own = CHOSEN.get(hint, {})
        return hint(**{name: example(item) for name, item in hints(hint).items()} | own)
    if origin is tuple:
        return tuple(example(item) for item in inner if item is not Ellipsis)
    if origin in (dict, collections.abc.Mapping):
        return {"name": example(inner[1])}
    if origin in (types.UnionType, typing.Union):
        return example(inner[0])
    # What no range refuses: a memory limit is at least 1 MiB.
    return {int: 2**20, float: 0.5, bool: True, str: "l1", Any: [1, "x", None]}[hint]


# What must be a name of a registry, or cannot be together.
CHOSEN: dict[type[Record], dict[str, Any]] = {
    TrainingRecipe: {
        "method": "finetune",
        "schedule": "step",
        "optimizer": "adamw",
        "precision": "bf16",
        "augment": ("flip",),
        "user_loop": None,
        "rewind": None,
        "updates": 7,
        "gradients": 7,
        "accumulate": 7,
        "minutes": None,
        "regrow": False,
    }
}


def has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


VALUES: tuple[Any, ...] = (None, True, 7, 1.5, "4", [], {}, [object()], ["x", 1.5], {"name": []})


def wrong(hint: Any) -> list[Any]:
    """Return values that a field must refuse."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return [item for item in VALUES if all(item in wrong(kind) for kind in inner)]
    if hint is Any:
        return []
    if is_record(hint):
        needs_some = any(has_no_default(item) for item in dataclasses.fields(hint))
        return [item for item in VALUES if needs_some or item != {}]
    right: dict[Any, tuple[Any, ...]] = {
        int: (7,),
        float: (7, 1.5),
        bool: (True,),
        str: ("4",),
        type(None): (None,),
        tuple: ([],),
        dict: ({}, {"name": []}) if Any in inner else ({},),
    }
    allowed = right.get(tuple if origin is tuple else dict if origin else hint, ())
    return [
        item
        for item in VALUES
        if not any(type(item) is type(value) and item == value for value in allowed)
    ]


@pytest.fixture(params=RECORDS, ids=lambda item: item.__name__)
def kind(request: pytest.FixtureRequest) -> type[Record]:
    return request.param


def test_what_is_written_whole_has_a_version_and_nothing_else_has(kind: type[Record]) -> None:
    written = example(kind).to_dict()
    if kind in DOCUMENTS:
        assert next(iter(written)) == "schema_version"
        assert written["schema_version"] == kind.schema_version  # type: ignore[attr-defined]
    else:
        assert "schema_version" not in written
        assert any(kind in parts(item) for item in DOCUMENTS), "a record alone must be a Document"


def test_every_older_version_can_be_migrated(kind: type[Record]) -> None:
    if kind in DOCUMENTS and kind.schema_version > 1:  # type: ignore[attr-defined]
        assert "migrate" in vars(kind)


def test_it_comes_back_as_it_went(kind: type[Record]) -> None:
    value = example(kind)
    text = json.dumps(value.to_dict())
    assert kind.from_dict(json.loads(text)) == value
    assert kind.from_dict(value.to_dict()) == value


def test_what_has_no_version_is_of_the_first(kind: type[Record]) -> None:
    """Evaluations, inventories and round trips were written without one."""
    if kind in DOCUMENTS and kind.schema_version > 1:  # type: ignore[attr-defined]
        return  # what it looked like at first is in a test of its own
    data = {
        name: item for name, item in example(kind).to_dict().items() if name != "schema_version"
    }
    assert kind.from_dict(data) == example(kind)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("exhaustive", Progress(250, 500, "samples")), ("adaptive", Progress(3, 40, "curves"))],
)
def test_a_run_of_the_first_version(mode: str, expected: Progress) -> None:
    run = dataclasses.replace(
        example(RunRow),
        spec=dataclasses.replace(example(RunRow).spec, mode=mode),
        progress=expected,
        points=12,
        samples=250,
        total_samples=500,
        saves=0,
    )
    old = run.to_dict()
    for name in ("schema_version", "points", "samples", "total_samples", "saves"):
        del old[name]
    counts = {"samples": 250, "total_samples": 500, "points": 12}
    old["progress"] = {"batch": 3, "batches": 40, **counts}
    assert RunRow.from_dict(old) == run


def test_wrong_types_are_refused_with_their_path(kind: type[Record]) -> None:
    """163 kinds of wrong value were taken, such as "yes" for a lock."""
    data = example(kind).to_dict()
    # Sums write their terms among the other fields; see test_sums.py.
    written = {name: hint for name, hint in hints(kind).items() if name in data}
    for name, hint in written.items():
        for value in wrong(hint):
            with pytest.raises(InputError) as caught:
                kind.from_dict({**data, name: value})
            told = str(caught.value)
            assert told.startswith(f"{kind.__name__}.{name}"), (value, told)
            # An object may stand for a record, but not with these fields.
            assert ": expected " in told or isinstance(value, dict), (value, told)
            assert "\n" not in told


def test_missing_and_unknown_fields_are_named(kind: type[Record]) -> None:
    data = example(kind).to_dict()
    if kind is not Sums:  # whose other names are terms
        with pytest.raises(InputError, match=f"^{kind.__name__}: unknown field nonsense$"):
            kind.from_dict({**data, "nonsense": 1})
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        less = {name: value for name, value in data.items() if name != item.name}
        if has_no_default(item):
            with pytest.raises(InputError, match=f"^{kind.__name__}: missing field {item.name}$"):
                kind.from_dict(less)
        else:
            kind.from_dict(less)


def spoilt(data: Any, draw: random.Random) -> Any:
    """Return a copy with another value in one place, however deep."""
    if isinstance(data, dict) and data and draw.random() < 0.8:
        name = draw.choice(sorted(data))
        return {**data, name: spoilt(data[name], draw)}
    if isinstance(data, list) and data and draw.random() < 0.8:
        at = draw.randrange(len(data))
        return [*data[:at], spoilt(data[at], draw), *data[at + 1 :]]
    more = (
        -1,
        10**30,
        10**400,
        math.nan,
        math.inf,
        {"a": 1, 5: 2},
        {(1, 2): None},
        {1},
        b"x",
        kind,
    )
    return draw.choice((*VALUES, *more))


def test_nothing_but_an_input_error_comes_of_nonsense(kind: type[Record]) -> None:
    draw, data = random.Random(kind.__name__), example(kind).to_dict()
    lines = []
    for _ in range(300):
        try:
            kind.from_dict(spoilt(data, draw))
        except InputError as error:
            lines.append(str(error))
    assert len(lines) > 100
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (
            Plan,
            entry(indices="Z", granularity="element"),
            "Plan.entries[3].indices: expected a list, or base64 of a bit a unit, found "
            '"Z" (no base64)',
        ),
        (
            Plan,
            entry(indices="oEA=", granularity="element"),
            "Plan.entries[3].indices: expected a list, or base64 of a bit a unit, found "
            '"oEA=" (16 bits for 4 units)',
        ),
        (
            Plan,
            entry(indices="qA==", granularity="element"),
            "Plan.entries[3].indices: expected a list, or base64 of a bit a unit, found "
            '"qA==" (8 bits for 4 units)',
        ),
        (Plan, entry(kept="4"), 'Plan.entries[3].kept: expected int, found "4"'),
        (Plan, entry(kept=4.0), "Plan.entries[3].kept: expected int, found 4.0"),
        (Plan, entry(kept=True), "Plan.entries[3].kept: expected int, found true"),
        (Plan, entry(kept=-1), "Plan.entries[3].kept: expected int >= 0, found -1"),
        (Plan, entry(kept=5), "Plan.entries[3]: a keeps 5 of 4"),
        (Plan, entry(total=0), "Plan.entries[3].total: expected int >= 1, found 0"),
        (Plan, entry(ratio=1.5), "Plan.entries[3].ratio: expected float <= 1.0, found 1.5"),
        (Plan, entry(ratio=94), "Plan.entries[3].ratio: expected float <= 1.0, found 94"),
        (Plan, entry(locked="yes"), 'Plan.entries[3].locked: expected bool, found "yes"'),
        (Plan, entry(ratio=math.nan), "Plan.entries[3].ratio: expected float >= 0.0, found NaN"),
        (Plan, entry(ratio=None), "Plan.entries[3].ratio: expected float, found null"),
        (Plan, entry(indices=[0, "1"]), 'Plan.entries[3].indices[1]: expected int, found "1"'),
        (Plan, entry(indices=3), "Plan.entries[3].indices: expected array or null, found 3"),
        (Plan, entry(new=1), "Plan.entries[3]: unknown field new"),
        (
            Plan,
            {**PLAN, "entries": [{"layer": "a", "krit": "l1"}]},
            "Plan.entries[0]: missing fields group, criterion, granularity, ratio, kept and 1 more"
            ", unknown field krit",
        ),
        (Plan, {**PLAN, "entries": {}}, "Plan.entries: expected array, found object"),
        (Plan, {**PLAN, "entries": [5]}, "Plan.entries[0]: expected object, found 5"),
        (Plan, {**PLAN, "subject": "m"}, 'Plan.subject: expected object, found "m"'),
        (Plan, {**PLAN, "subject": {"model": 5}}, "Plan.subject.model: expected str, found 5"),
        (Plan, {**PLAN, "run": [1]}, "Plan.run: expected str or null, found array of length 1"),
        (Plan, {**PLAN, "schema_version": 9}, "Plan: " + NEWER.format(2)),
        (
            Plan,
            {**PLAN, "schema_version": 1.0},
            "Plan.schema_version: expected int >= 1, found 1.0",
        ),
        (
            Plan,
            {**PLAN, "subject": {**SUBJECT, "schema_version": 9}},
            "Plan.subject: " + NEWER.format(1),
        ),
        (Plan, [], "Plan: expected object, found array of length 0"),
        (Plan, {}, "Plan: missing fields subject, fingerprint, entries"),
        (SweepSpec, {**SWEEP, "criteria": 5}, "SweepSpec.criteria: expected array, found 5"),
        (
            SweepSpec,
            {**SWEEP, "criteria": ["l1", "l1"]},
            "SweepSpec: criteria must differ, found l1, l1",
        ),
        (SweepSpec, {**SWEEP, "criteria": "l1"}, 'SweepSpec.criteria: expected array, found "l1"'),
        (
            SweepSpec,
            {**SWEEP, "ratios": [0, 1]},
            "SweepSpec: ratios must be in [0, 1), found [0.0, 1.0]",
        ),
        (
            SweepSpec,
            {**SWEEP, "ratios": [0.5, 0.2]},
            "SweepSpec: ratios must rise without repeats, found [0.5, 0.2]",
        ),
        (
            SweepSpec,
            {**SWEEP, "tolerance": -2},
            "SweepSpec: the tolerance must be a number from 0, found -2.0",
        ),
        (
            SweepSpec,
            {**SWEEP, "confidence": 1},
            "SweepSpec: the confidence must be inside (0, 1), found 1.0",
        ),
        (
            Plan,
            {**PLAN, "subject": {**SUBJECT, "samples": 0}},
            "Plan.subject: samples must be at least 1, found 0",
        ),
        (
            RunRow,
            {**example(RunRow).to_dict(), "versions": {"torch": 2}},
            'RunRow.versions["torch"]: expected str, found 2',
        ),
    ],
)
def test_the_line_of_a_fault(kind: type[Record], data: Any, message: str) -> None:
    """Ratio 94 and a lock "yes" were taken."""
    with pytest.raises(InputError) as caught:
        kind.from_dict(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, b"\xff\xfe\xfa"])
def test_what_is_not_json(text: str | bytes) -> None:
    """What is nested deep was a traceback."""
    with pytest.raises(InputError, match=r"^Plan is not JSON: .*$"):
        Plan.from_json(text)


def test_a_whole_number_is_a_fraction_too_and_what_has_no_range_may_be_nan() -> None:
    found = Plan.from_dict(entry(ratio=1)).entries[3].ratio
    assert (found, type(found)) == (1.0, float)
    row = {**example(RunRow).to_dict(), "eta_seconds": math.inf, "seconds": math.nan}
    back = RunRow.from_json(json.dumps(row))
    assert back.eta_seconds == math.inf
    assert math.isnan(back.seconds)


def test_ranges_hold_for_records_made_here() -> None:
    with pytest.raises(InputError, match="a keeps 5 of 4"):
        PlanEntry(**{**ENTRY, "kept": 5})
    with pytest.raises(InputError, match="must rise"):
        SweepSpec(subject=SubjectSpec(model="m"), ratios=(0.5, 0.5))
