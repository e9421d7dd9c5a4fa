"""Users' files: each folder sees its own modules, and a digest sees all that they import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pruners.criteria import CRITERIA, LayerData, load_criterion_file, scores
from pruners.errors import InputError, UnknownNameError
from pruners.user_code import code_digest, code_files, opened_files, user_folder, users_error

# Ways of importing the module that lies beside a file; each is to see its own folder's.
IMPORTS = {
    "at the top": "from settings import SCALE\ndef get(): return SCALE",
    "in a function": "def get():\n    import settings\n    return settings.SCALE",
    "of a package": "import parts.scale as s\ndef get(): return s.SCALE",
    "a dotted name": "import parts.scale\ndef get(): return parts.scale.SCALE",
    "from a package": "from parts import scale\ndef get(): return scale.SCALE",
    "relatively": "from .settings import SCALE\ndef get(): return SCALE",
    "within a package": "from parts import VALUE\ndef get(): return VALUE",
    "a folder without init": "from plain.scale import SCALE\ndef get(): return SCALE",
    "importlib": "import importlib\nget = lambda: importlib.import_module('settings').SCALE",
    "over sys.path": (
        "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "import common\nget = lambda: common.SCALE"
    ),
    "sys.path in a function": (
        "def get():\n    import os, sys\n"
        "    sys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "    from common import SCALE\n    return SCALE"
    ),
    "over another": "import settings_of\nget = lambda: settings_of.settings.SCALE",
}
LATE = {"at the top", "in a function", "of a package", "over sys.path", "over another"}


def write(folder: Path, scale: int, text: str) -> Path:
    files = {
        "settings.py": f"SCALE = {scale}",
        "settings_of.py": "import settings",
        "lib/common.py": f"SCALE = {scale}",
        "parts/__init__.py": "from .scale import SCALE as VALUE",
        "parts/scale.py": f"SCALE = {scale}",
        "plain/scale.py": f"SCALE = {scale}",
        "own.py": text,
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="utf-8")
    return folder / "own.py"


def loaded(path: Path) -> Callable[[], int]:
    with user_folder(path.parent) as folder:
        get: Callable[[], int] = folder.load(path).get
        return get


@pytest.mark.parametrize("how", IMPORTS)
def test_modules_of_one_name_do_not_meet(tmp_path: Path, how: str) -> None:
    """What one file had imported was given to the next from ``sys.modules``."""
    before, known = list(sys.path), {"settings", "common", "parts", "plain"} & set(sys.modules)
    paths = [write(tmp_path / str(scale), scale, IMPORTS[how]) for scale in (1, 2, 3)]
    for _ in range(2):
        for scale, path in enumerate(paths, start=1):
            with user_folder(path.parent) as folder:
                assert folder.load(path).get() == scale
    assert sys.path == before
    assert {"settings", "common", "parts", "plain"} & set(sys.modules) == known


@pytest.mark.parametrize("how", sorted(LATE))
def test_what_is_imported_late_is_found(tmp_path: Path, how: str) -> None:
    """Imports in a factory, or in a forward pass, saw the folder no more."""
    getters = [loaded(write(tmp_path / str(n), n, IMPORTS[how])) for n in (1, 2)]
    assert [get() for get in getters] == [1, 2]


def test_the_programs_own_packages_are_shared(tmp_path: Path) -> None:
    for name in ("pruners", "analysis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    path = tmp_path / "own.py"
    path.write_text("import json\nfrom pruners.criteria import CRITERIA\nget = lambda: CRITERIA")
    assert loaded(path)() is CRITERIA


def test_files_of_a_folder_are_run_once_and_again_when_one_changes(tmp_path: Path) -> None:
    """Also a helper, and a file that was read, of equal size and within a second."""
    text = "import settings, json, pathlib\n"
    text += "K = json.loads((pathlib.Path(__file__).parent / 'k.json').read_text())\n"
    text += "get = lambda: (settings.SCALE, K)"
    path = write(tmp_path, 1, text)
    (tmp_path / "k.json").write_text("5")
    first = loaded(path)
    assert first() == (1, 5)
    assert loaded(path) is first
    (tmp_path / "settings.py").write_text("SCALE = 2\n", encoding="utf-8")
    assert loaded(path)() == (2, 5)
    (tmp_path / "k.json").write_text("6")
    assert loaded(path)() == (2, 6)


def test_a_file_that_fails_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import nothing_of_this_name", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="'nothing_of_this_name'"):
            loaded(path)
    path.write_text("get = lambda: 4", encoding="utf-8")
    assert loaded(path)() == 4


def test_each_file_is_checked_before_it_runs(tmp_path: Path) -> None:
    def check(file: Path) -> None:
        if file.name == "settings.py":
            raise PermissionError(file.name)

    path = write(tmp_path, 1, IMPORTS["at the top"])
    with pytest.raises(PermissionError), user_folder(tmp_path, check=check) as folder:
        folder.load(path)


@pytest.mark.parametrize(
    ("file", "text", "matters"),
    [
        ("settings.py", "SCALE = 9", True),
        ("parts/scale.py", "SCALE = 9", True),
        ("lib/common.py", "SCALE = 9", True),
        ("own.py", "from settings import SCALE as OTHER\ndef get(): return OTHER", True),
        ("settings.py", "# a remark\nSCALE   =   1", False),
        ("plain/scale.py", "SCALE = 9", False),
    ],
)
def test_the_digest_follows_the_code_that_is_imported(
    tmp_path: Path, file: str, text: str, matters: bool
) -> None:
    """Helper functions in other files did not count."""
    own = "import settings\n" + IMPORTS["over sys.path"]
    own += "\ndef late():\n    from parts import VALUE\n    return VALUE, settings"
    path = write(tmp_path, 1, own)
    loaded(path)
    before = code_digest(code_files(path))
    assert before == code_digest(code_files(path))
    (tmp_path / file).write_text(text + "\n", encoding="utf-8")
    assert (code_digest(code_files(path)) != before) == matters


def test_modules_that_are_named_in_strings_count(tmp_path: Path) -> None:
    path = write(tmp_path, 1, IMPORTS["importlib"])
    assert tmp_path / "settings.py" in code_files(path)
    assert tmp_path / "plain" / "scale.py" not in code_files(path)


CRITERION = """
from pruners.criteria import criterion
from helper import score

@criterion("by_helper", label="x", citation="x", formula="x", help="x")
def by_helper(data, *, level):
    return score(data, level)
"""


def test_a_criterion_files_helpers_are_found_and_count(tmp_path: Path) -> None:
    """Beside a criterion file, nothing was found, and no helper counted."""
    path, helper = tmp_path / "own.py", tmp_path / "helper.py"
    path.write_text(CRITERION, encoding="utf-8")
    helper.write_text("def score(data, level): return data.weight.abs()", encoding="utf-8")
    versions = []
    try:
        for text in ("abs()", "abs()  # a remark", "square()"):
            helper.write_text(f"def score(data, level): return data.weight.{text}")
            assert load_criterion_file(path) == ("by_helper",)
            versions.append(CRITERIA.get("by_helper").version)
    finally:
        CRITERIA.remove("by_helper")
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise GeneratorExit('no more')", "raised RuntimeError: the code raised GeneratorExit"),
        ("raise SystemExit(3)", "raised RuntimeError: the code called sys.exit(3)"),
        ("raise KeyError('x')", "raised KeyError: 'x'"),
        ("return 5", "returned a int, not a tensor of scores"),
    ],
)
def test_a_criterion_that_raises_anything_is_named(tmp_path: Path, body: str, said: str) -> None:
    """`shrink` ended in a traceback, and a sweep was said to be worth going on with."""
    (tmp_path / "criteria.py").write_text(
        "from pruners.criteria import criterion\n"
        "@criterion('odd', label='O', citation='c', formula='f', help='h')\n"
        f"def odd(data, *, level): {body}\n"
    )
    load_criterion_file(tmp_path / "criteria.py")
    try:
        with pytest.raises(InputError) as caught:
            scores("odd", LayerData(name="fc", weight=torch.ones(2, 3)), level="channel")
    finally:
        CRITERIA.remove("odd")
    assert f"layer fc: criterion odd {said}" in str(caught.value)


def test_an_error_of_users_code_names_its_line(tmp_path: Path) -> None:
    """What a model raised amid an evaluation was taken for a bug of the program."""
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "def here(): raise KeyError('x')\n"
        "def below(): torch.ones(2) @ torch.ones(3)\n"
        "def calls(function): function()\n"
    )
    with user_folder(tmp_path) as folder:
        module = folder.load(tmp_path / "own.py")

    def found(*call: Any) -> str:
        with pytest.raises((KeyError, RuntimeError, UnknownNameError)) as caught:
            call[0](*call[1:])
        return users_error(caught.value)

    assert found(module.here) == "own.py, line 2, raised KeyError: 'x'"
    assert found(module.below).startswith("own.py, line 3, raised RuntimeError: ")
    # Of ours, though users' code called it.
    assert found(module.calls, lambda: CRITERIA.get("none")) == ""


def test_opened_files_are_recorded_as_they_were(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "written")]
    for path in paths[:2]:
        path.write_text("x")
    with opened_files() as outer:
        paths[0].read_text()
        with opened_files() as inner:
            paths[1].read_text()
            paths[2].write_text("x")
    paths[0].read_text()
    assert set(inner) == {str(paths[1])}
    assert set(outer) == {str(paths[0]), str(paths[1])}
    stamp: Any = outer[str(paths[0])]
    assert stamp[2] == 1
