"""The layout of DESIGN: imports go one way, and each outside library stays in its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = ("pruners", "analysis", "sample_models", "pages", "app")
ALLOWED = {
    "pruners": {"pruners"},
    "sample_models": {"sample_models"},
    "analysis": {"analysis", "pruners", "sample_models"},
    "pages": {"pages", "analysis", "pruners"},
    "app": {"app", "pages", "analysis", "pruners"},
}
# Library -> the places (path prefixes) that may import it.
CONFINED = {
    "streamlit": ("app.py", "pages/"),
    "plotly": ("analysis/figures", "pages/"),
    "sqlite3": ("analysis/store",),
    "torchvision": ("analysis/subjects/",),
    "timm": ("analysis/subjects/",),
    "typer": ("analysis/cli/",),
    "ray": ("analysis/sweeps/executors/",),
    "onnx": ("analysis/interop/",),
    "onnxruntime": ("analysis/interop/",),
}
PRUNERS_MAY_IMPORT = {"torch", "pruners"}
MAX_LINES = 400


def sources() -> list[Path]:
    found = [ROOT / "app.py"] if (ROOT / "app.py").exists() else []
    for package in OWN:
        found += sorted((ROOT / package).rglob("*.py"))
    return found


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


@pytest.fixture(params=sources(), ids=lambda path: str(path.relative_to(ROOT)))
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_imports_go_one_way(source: Path) -> None:
    package = source.relative_to(ROOT).parts[0].removesuffix(".py")
    tops = {name.split(".")[0] for name in imported(source)} & set(OWN)
    assert tops <= ALLOWED[package]


def test_libraries_stay_in_their_place(source: Path) -> None:
    place = str(source.relative_to(ROOT))
    for name in imported(source):
        allowed = CONFINED.get(name.split(".")[0])
        assert allowed is None or place.startswith(allowed), f"{place} imports {name}"


def test_nothing_is_unpickled(source: Path) -> None:
    assert not {name.split(".")[0] for name in imported(source)} & {
        "pickle",
        "cloudpickle",
        "dill",
        "shelve",
        "marshal",
        "joblib",
    }
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            options = {item.arg: ast.unparse(item.value) for item in node.keywords}
            assert options.get("weights_only") == "True"


def test_module_is_small(source: Path) -> None:
    assert len(source.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_pruners_import_torch_and_the_standard_library_only() -> None:
    import sys

    for path in sorted((ROOT / "pruners").rglob("*.py")):
        tops = {name.split(".")[0] for name in imported(path)}
        assert tops <= PRUNERS_MAY_IMPORT | set(sys.stdlib_module_names), path


def test_no_module_is_a_bag_of_helpers() -> None:
    bags = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in sources() if path.name in bags]
