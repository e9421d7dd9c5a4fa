"""The fields of addresses: written, read and checked; what a form offers for them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from analysis.subjects.fields.field import Field
from analysis.subjects.fields.found import find_folders, find_functions, find_matching
from analysis.subjects.parsing import parse_data, parse_model
from analysis.subjects.schemes import DATA_SCHEMES, MODEL_SCHEMES, Scheme
from pruners.errors import AddressError

EVERY = [(parse_model, scheme) for scheme in MODEL_SCHEMES]
EVERY += [(parse_data, scheme) for scheme in DATA_SCHEMES]  # type: ignore[list-item]
# What would end an option, an address or a word, if it were not escaped.
LETTERS = "ab/.:=&%#+~\N{GREEK SMALL LETTER ALPHA}"


def value_of(field: Field, chance: random.Random) -> str:
    if field.kind == "count":
        return str(chance.randint(1, 10**6))
    if field.kind == "shape":
        return ",".join(str(chance.randint(1, 999)) for _ in range(chance.randint(1, 3)))
    if field.kind == "numbers":
        return ",".join(str(chance.uniform(-1e6, 1e6)) for _ in range(chance.randint(1, 3)))
    return "".join(chance.choices(LETTERS, k=chance.randint(1, 8)))


def test_what_is_written_is_read_back() -> None:
    chance = random.Random(0)
    for _ in range(300):
        parse, scheme = chance.choice(EVERY)
        # What followed a # in a name was read as options.
        part = chance.choice(("a", "a #1", "a%23", "a%2523", "%252523#%23", "100%"))
        place = "some.thing"
        if scheme.is_path:
            place = f"{part}/b.py" if scheme.is_factory else f"{part}/b"
        values = {"name": place} | ({"factory": "build"} if scheme.is_factory else {})
        for field in scheme.options:
            if field.required or chance.random() < 0.5:
                values[field.name] = value_of(field, chance)
        found = parse(scheme.write(values))
        assert found.scheme == scheme.name
        assert found.values == values


@pytest.mark.parametrize(("parse", "scheme"), EVERY, ids=lambda item: getattr(item, "name", ""))
def test_every_field_says_what_it_is(parse: object, scheme: Scheme[object]) -> None:
    assert parse(scheme.example).scheme == scheme.name  # type: ignore[operator]
    for field in scheme.fields:
        assert field.label
        assert field.help or scheme.name == "sample"
        assert not field.uploads or (field.kind == "file" and ".py" not in field.suffixes)
    assert scheme.write({}) in (f"{scheme.name}:", ":")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("imagefolder:x#size=big", "option size must be a whole number above 0, .*, found 'big'"),
        ("npz:shots #1#mean=1", "unknown option '1#mean'; .* is written %23"),
        ("npz:x#mean=a", "option mean must be numbers joined by commas, found 'a'"),
        ("npz:x#std=nan", "option std must be numbers joined by commas, found 'nan'"),
    ],
)
def test_values_are_checked_before_anything_is_opened(text: str, problem: str) -> None:
    with pytest.raises(AddressError, match=problem):
        parse_data(text)


def test_files_below_the_roots_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/test.npz", "a/b/model.py", ".git/x.npz", "site-packages/y.npz", "a/\nc.npz"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    # It was left out, since no address could name it.
    (tmp_path / "root" / "a" / "test #2.npz").touch()
    (tmp_path / "secret.npz").touch()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    root = tmp_path / "root"
    both = [str(root / "a/test #2.npz"), str(root / "a/test.npz")]
    assert find_matching([root], [".npz"]) == both
    monkeypatch.chdir(root)
    assert find_matching([root], [".npz", ".py"]) == [
        "a/b/model.py",
        "a/test #2.npz",
        "a/test.npz",
    ]
    assert find_folders([root]) == ["a", "a/b"]
    monkeypatch.setattr("analysis.subjects.fields.found.MAX_ENTRIES", 2)
    assert find_matching([root], [".py"]) == []


def test_functions_are_found_without_running_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("raise SystemExit\ndef build(): ...\ndef _own(): ...\nclass Net: ...\n")
    assert find_functions(path) == ("build", "Net")
    path.write_text("def broken(:\n")
    assert find_functions(path) == ()
    assert find_functions(tmp_path / "nothing.py") == ()


def test_a_near_miss_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section B of the browser's findings, weak rows: nothing near was offered."""
    from analysis.subjects.models import load_model

    (tmp_path / "mycnn.py").write_text("def build(): ...\ndef small(): ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AddressError) as caught:
        load_model(parse_model("mycnnn.py:build"))
    assert f"no file mycnnn.py below {tmp_path}; did you mean mycnn.py?" in str(caught.value)
    with pytest.raises(AddressError, match="has no function 'make'; it has build, small"):
        load_model(parse_model("mycnn.py:make"))
