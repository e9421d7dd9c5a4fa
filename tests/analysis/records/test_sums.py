from __future__ import annotations

import copy
import dataclasses
import json

import pytest

from analysis.records.sums import Sums
from pruners.errors import InputError

SOME = Sums(samples=4, seconds=0.5, terms={"correct": 3, "loss": 1.25})


def test_terms_are_items_and_keep_their_type() -> None:
    assert (SOME["correct"], SOME["loss"]) == (3, 1.25)
    assert type(SOME["correct"]) is int
    assert SOME.count("correct") == 3
    with pytest.raises(KeyError):
        SOME["kl"]
    assert not hasattr(SOME, "correct")


def test_a_missing_term_adds_as_nothing() -> None:
    other = Sums(samples=2, terms={"correct": 1, "error": 0.5})
    expected = {"correct": 4, "loss": 1.25, "error": 0.5}
    for found in (SOME + other, other + SOME):
        assert (found.samples, found.seconds, found.terms) == (6, 0.5, expected)
        assert type(found["correct"]) is int
    assert SOME + Sums() == SOME == Sums() + SOME


def test_json_is_flat_and_comes_back() -> None:
    data = SOME.to_dict()
    assert json.dumps(data) == '{"samples": 4, "correct": 3, "loss": 1.25, "seconds": 0.5}'
    assert Sums.from_dict(json.loads(json.dumps(data))) == SOME
    assert Sums.from_dict({}) == Sums()


@pytest.mark.parametrize("value", ["3", None, True, [1]])
def test_what_is_no_number_is_refused_with_its_name(value: object) -> None:
    with pytest.raises(InputError, match=r'Sums\.terms\["correct"\]: expected int or float'):
        Sums.from_dict({"samples": 1, "correct": value})


def test_sums_are_values() -> None:
    given = {"correct": 3, "loss": 1.25}
    sums = Sums(samples=4, seconds=0.5, terms=given)
    given["correct"] = 0
    assert sums == SOME
    assert hash(sums) == hash(SOME)
    assert sums != dataclasses.replace(SOME, terms={**SOME.terms, "correct": 2})
    with pytest.raises(TypeError):
        sums.terms["correct"] = 0  # type: ignore[index]
    assert copy.deepcopy(SOME) == SOME
    # What other processes are sent.
    build, given = SOME.__reduce__()
    assert build(*given) == SOME


def test_a_term_may_not_take_the_name_of_a_field() -> None:
    with pytest.raises(ValueError, match="samples or seconds"):
        Sums(terms={"samples": 3})
