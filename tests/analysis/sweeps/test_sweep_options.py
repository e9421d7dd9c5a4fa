"""The options of a sweep, declared once, agree with the records and make their defaults."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.records import SubjectSpec, SweepSpec
from analysis.sweeps import OPTIONS, plan_sweep, spec_of_options
from pruners.errors import InputError, UnknownNameError
from tests.helpers.contexts import sample_context, sample_spec

GIVEN = {"model": "sample:lenet5", "data": "sample:fashion-mnist"}


def test_every_field_of_a_sweep_is_an_option() -> None:
    fields = {field.name for kind in (SubjectSpec, SweepSpec) for field in dataclasses.fields(kind)}
    assert set(OPTIONS.names()) == fields - {"subject", "schema_version"}


def test_defaults_as_written_are_those_of_the_records() -> None:
    assert spec_of_options(GIVEN) == SweepSpec(subject=SubjectSpec(**GIVEN))


def test_what_is_written_is_parsed() -> None:
    given = {"criteria": "l2, taylor", "ratios": "0.2:0.6:0.2", "memory_limit": "2GiB"}
    spec = spec_of_options({**GIVEN, **given, "repair": "bn", "samples": 7})
    assert spec.criteria == ("l2", "taylor")
    assert spec.ratios == (0.2, 0.4, 0.6)
    assert spec.subject.memory_limit == 2 * 2**30
    assert (spec.repair, spec.subject.samples) == ("bn", 7)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.choices is not None])
def test_choices_are_checked_and_hold_the_default(option) -> None:
    option.check(option.value_in(SweepSpec(subject=SubjectSpec(model=""))))
    with pytest.raises(UnknownNameError, match=f"unknown {option.name} 'magic'"):
        spec_of_options({**GIVEN, option.name: "magic"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": None}, "needs --model and --data"),
        ({"criteria": ","}, "--criteria names none"),
        ({"criteria": "fpgm", "granularity": "element"}, "does not score granularity element"),
        ({"tolerance": 1.0}, "--tolerance is a fraction"),
        ({"confidence": 0.1}, "--confidence is a fraction"),
        ({"memory_limit": "much"}, "512MiB"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of_options({**GIVEN, **given})


def test_removed_units_round_down_where_asked() -> None:
    """At the same requested ratio, curves of other tools stood at other counts."""
    prepared = sample_context("lenet5")
    spec = SweepSpec(subject=sample_spec("lenet5"), criteria=("l1",), ratios=(0.3,))
    down = dataclasses.replace(spec, rounding="floor")
    kept = {key.layer: key.kept for key in plan_sweep(prepared, spec).points}
    more = {key.layer: key.kept for key in plan_sweep(prepared, down).points}
    # 6, 16, 120 and 84 units: 1.8, 4.8, 36 and 25.2 are removed.
    assert list(kept.values()) == [4, 11, 84, 59]
    assert list(more.values()) == [5, 12, 84, 59]
