"""The registry: what every list of choices needs."""

from __future__ import annotations

import pytest

from pruners.errors import InputError, UnknownNameError
from pruners.reductions import Reduction
from pruners.registry import Registry, joined


def entry(name: str, label: str = "Label") -> Reduction:
    return Reduction(name, label, "Help.", lambda scores: scores)


def some() -> Registry[Reduction]:
    return Registry("colour", (entry("red"), entry("green"), entry("blue")))


def test_entries_come_in_the_order_of_registration() -> None:
    found = some()
    added = found.register(entry("black"))
    assert found.names() == ("red", "green", "blue", "black")
    assert list(found)[-1] is added is found.get("black")
    assert len(found) == 4
    assert "black" in found
    assert "white" not in found


def test_an_order_stands_above_that_of_registration() -> None:
    ordered = Registry("colour", some(), order=lambda item: len(item.name))
    assert ordered.names() == ("red", "blue", "green")


def test_an_unknown_name_is_answered_with_what_is_near() -> None:
    expected = "unknown colour 'gren'; known: blue, green, red; did you mean green?"
    with pytest.raises(UnknownNameError) as caught:
        some().get("gren")
    assert str(caught.value) == expected
    with pytest.raises(UnknownNameError, match=r"known: blue, green, red$"):
        some().get("ultraviolet")


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (entry("red"), "colour 'red' is registered already; known: red, green, blue"),
        (entry("", "x"), "colour '' needs a name"),
        (entry("grey", ""), "colour 'grey' needs a name, a label and a help text"),
    ],
)
def test_what_makes_no_choice_is_refused(added: Reduction, message: str) -> None:
    found = some()
    with pytest.raises(InputError, match=message):
        found.register(added)
    assert len(found) == 3


def test_entries_are_replaced_and_removed() -> None:
    found = some()
    other = entry("green", "Other")
    found.replace(other)
    assert list(found)[1] is other
    found.remove("red")
    assert found.names() == ("green", "blue")
    with pytest.raises(UnknownNameError, match="unknown colour 'red'"):
        found.remove("red")


def test_a_registry_is_restored_whatever_happens() -> None:
    found = some()

    def break_off() -> None:
        with found.restored():
            found.register(entry("black"))
            found.remove("red")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert found.names() == ("red", "green", "blue")


def test_choices_in_words() -> None:
    assert joined(["a"]) == "a"
    assert joined(("a", "b", "c")) == "a, b or c"
