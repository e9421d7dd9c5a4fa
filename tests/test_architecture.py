"""The layout: rooms, imports that go one way, and each outside library in its place."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = ("pruners", "analysis", "sample_models", "pages", "app")
# Room -> what it may import of the rooms of its own package, from the ground up. A room may import
# all that stand before it; other packages are in ALLOWED.
FLOORS = {
    "pruners": (
        *("errors", "registry", "float32", "granularity", "normalizers", "reductions", "schedules"),
        *("semantics", "layers", "preserve", "batches", "lowering", "capture"),
        *("calls", "user_code"),
        *("selection", "statistics", "tracing", "groups", "criteria", "reconstruction"),
    ),
    "analysis": (
        *(
            "memory",
            "versions",
            "devices",
            "files",
            "sentences",
            "records",
            "uncertainty",
            "tasks",
            "engine",
        ),
        *("subjects", "edits", "repairs", "measuring", "curves", "sweeps", "plans"),
        *("prediction", "allocation", "recovery", "runtimes", "interop", "search", "store"),
        *("worker", "jobs", "evaluation", "retraining", "shrinking", "comparison", "imports"),
        *("snippets", "figures", "reporting", "cli", "__main__"),
    ),
    "pages.components": (
        *("state", "widgets", "setup", "sweep", "curves", "plan", "home", "compare", "imports"),
        *("int8", "trade_off", "report", "evaluate", "recover", "export", "runs", "plans", "frame"),
        "server",
    ),
}
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
    "msgspec": ("analysis/records/",),
    "plotly": ("analysis/figures", "pages/"),
    "sqlite3": ("analysis/store",),
    "torchvision": ("analysis/subjects/", "analysis/interop/verification/scripts/"),
    "timm": ("analysis/subjects/",),
    "transformers": (
        "analysis/subjects/",
        "analysis/interop/formats/tools/hugging_face/",
        "analysis/interop/verification/scripts/",
    ),
    "tokenizers": ("analysis/subjects/", "sample_models/tools/"),
    "typer": ("analysis/cli/",),
    "ray": ("analysis/sweeps/executors/",),
    "accelerate": ("analysis/recovery/training/several/",),
    "jinja2": ("analysis/reporting/",),
    "markupsafe": ("analysis/reporting/",),
    "onnx": ("analysis/runtimes/", "analysis/interop/verification/scripts/"),
    "onnxruntime": ("analysis/runtimes/", "analysis/interop/verification/scripts/"),
    "openvino": ("analysis/runtimes/", "analysis/interop/verification/scripts/"),
    "executorch": ("analysis/interop/formats/runtimes/", "analysis/interop/verification/scripts/"),
    "coremltools": ("analysis/interop/formats/runtimes/", "analysis/interop/verification/scripts/"),
}
# Used by nothing in the product: for people who write Python; documented.
FOR_USERS = {"from_requests"}
PRUNERS_MAY_IMPORT = {"torch", "pruners"}
MAX_LINES = 400
MAX_MODULES = 12
# What takes seconds to import and much memory: not for a list of runs or a job in the queue.
HEAVY = {"torch", "pandas", "streamlit"}
PICKLES = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}


def sources() -> list[Path]:
    found = [ROOT / "app.py"]
    for package in OWN[:-1]:
        found += sorted((ROOT / package).rglob("*.py"))
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sources()}
PACKAGES = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """Return all imports of a file, also inside functions, but not those for type checkers."""
    found, todo = [], [*tree(path).body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            todo += ast.iter_child_nodes(node)
    return found


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names of the modules that a file imports from."""
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def definition(package: str, name: str) -> str:
    """Return the module that a name of a package comes from."""
    if f"{package}.{name}" in MODULES:
        return f"{package}.{name}"
    path = MODULES[package]
    stub = path.with_suffix(".pyi")
    for node in tree(stub if stub.exists() else path).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            source = f"{package}.{node.module}" if node.level else str(node.module)
            return definition(source, name) if source in PACKAGES else source
    return package


def looked_up(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (package, name) for names that are looked up later, as ``sweeps.AdaptiveSweep``."""
    packages: dict[str, str] = {}
    for node in statements(path):
        if isinstance(node, ast.ImportFrom):
            names = {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
            packages |= {name: full for name, full in names.items() if full in PACKAGES}
    for item in ast.walk(tree(path)):
        if (
            isinstance(item, ast.Attribute)
            and isinstance(item.value, ast.Name)
            and item.value.id in packages
        ):
            yield packages[item.value.id], item.attr


def used_modules(path: Path) -> set[str]:
    """Return the own modules that a file needs, each name followed to where it is defined."""
    found = {definition(package, name) for package, name in looked_up(path)}
    for node in statements(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif node.module in PACKAGES:
            found |= {definition(str(node.module), alias.name) for alias in node.names}
        elif node.module in MODULES:
            found.add(str(node.module))
    return found


def test_what_is_looked_up_later_is_there() -> None:
    """Among it the functions of every registry's entries."""
    looked = {pair for path in sources() for pair in looked_up(path)}
    assert ("analysis.sweeps", "AdaptiveSweep") in looked
    for package, name in sorted(looked):
        assert getattr(importlib.import_module(package), name) is not None


def test_what_a_registry_looks_up_later_counts(tmp_path: Path) -> None:
    """Circles through ``from analysis import sweeps ... sweeps.X``."""
    path = tmp_path / "modes.py"
    path.write_text("from analysis import sweeps\nrun = lambda: sweeps.AdaptiveSweep()\n")
    assert used_modules(path) == {"analysis.sweeps", "analysis.sweeps.adaptive"}


def package_of(name: str) -> str:
    return name if name in PACKAGES else name.rpartition(".")[0]


def room_of(name: str) -> tuple[str, str]:
    """Return the package whose floors count and the room in it; an empty room is the package."""
    for package in sorted(FLOORS, key=len, reverse=True):
        if name == package or name.startswith(f"{package}."):
            return package, name.removeprefix(package).lstrip(".").split(".")[0]
    return name.split(".")[0], ""


def test_imports_go_one_way() -> None:
    for path in sources():
        package = path.relative_to(ROOT).parts[0].removesuffix(".py")
        tops = {name.split(".")[0] for name in imported(path)} & set(OWN)
        assert tops <= ALLOWED[package], path


def test_rooms_import_from_the_rooms_below_them() -> None:
    for path in sources():
        package, room = room_of(name_of(path))
        if not room:
            continue
        floors = FLOORS[package]
        below = set(floors[: floors.index(room) + 1])
        for name in imported(path):
            other, used = room_of(name)
            if other != package:
                continue
            names = {used} if used else _rooms_imported(path, package)
            assert names <= below, f"{name_of(path)} imports {names - below}"


def _rooms_imported(source: Path, package: str) -> set[str]:
    """Return the rooms in ``from analysis import plans, sweeps``."""
    return {
        alias.name
        for node in statements(source)
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    }


def test_no_module_imports_itself_in_a_circle() -> None:
    needs = {name: used_modules(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for used in sorted(needs[name]):
            visit(used, (*trail, name))
        done.add(name)

    for name in sorted(needs):
        visit(name, ())


def test_between_packages_one_imports_from_the_package() -> None:
    for path in sources():
        mine = room_of(name_of(path))
        for name in imported(path):
            if name not in MODULES or name in PACKAGES or room_of(name) == mine:
                continue
            package = package_of(name)
            assert package in FLOORS, f"{path} imports from {name}, not from {package}"


def test_a_package_says_what_it_offers() -> None:
    for package in PACKAGES:
        module = importlib.import_module(package)
        offered = list(module.__all__)
        assert offered == sorted(offered), package
        for name in offered:
            assert getattr(module, name) is not None, (package, name)
            # The import of a module of this name would put it in the place of what is offered.
            full = f"{package}.{name}"
            assert full == definition(package, name) or full not in MODULES, full


def test_a_folder_is_small_and_needs_no_prefixes() -> None:
    for package in PACKAGES:
        modules = [
            path.stem
            for path in sorted(MODULES[package].parent.glob("*.py"))
            if not path.stem.startswith("__")
        ]
        assert len(modules) <= MAX_MODULES, package
        prefixes = [name.split("_")[0] for name in modules]
        assert len(set(prefixes)) == len(prefixes), (package, modules)


@pytest.mark.parametrize(
    "module", ["analysis.store", "analysis.cli", "analysis.worker", "analysis.worker.run"]
)
def test_what_starts_often_is_light(module: str) -> None:
    code = f"import sys, {module}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not HEAVY & set(run.stdout.split())


def test_libraries_stay_in_their_place() -> None:
    for path in sources():
        place = str(path.relative_to(ROOT))
        for name in imported(path):
            allowed = CONFINED.get(name.split(".")[0])
            assert allowed is None or place.startswith(allowed), f"{place} imports {name}"


def test_nothing_is_unpickled() -> None:
    for path in sources():
        assert not {name.split(".")[0] for name in imported(path)} & PICKLES, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                options = {item.arg: ast.unparse(item.value) for item in node.keywords}
                assert options.get("weights_only") == "True", path


def test_a_module_is_small() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert not {path: found for path, found in lines.items() if found > MAX_LINES}


def test_pruners_import_torch_and_the_standard_library_only() -> None:
    for path in sorted((ROOT / "pruners").rglob("*.py")):
        tops = {name.split(".")[0] for name in imported(path)}
        assert tops <= PRUNERS_MAY_IMPORT | set(sys.stdlib_module_names), path


def used_names(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the names that a file reads, with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


def defined(path: Path) -> Iterator[tuple[str, range]]:
    """Yield public functions, classes and constants with their lines; registered ones aside."""
    for node in tree(path).body:
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [] if isinstance(node, ast.FunctionDef) and node.decorator_list else [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from ((name, lines) for name in names if not name.startswith("_"))


def test_what_is_public_is_used() -> None:
    """By the product or its benchmarks; what only tests use belongs to the tests."""
    uses: dict[str, list[tuple[Path, int]]] = {}
    for path in [*sources(), *sorted((ROOT / "benchmarks").rglob("*.py"))]:
        for name, line in used_names(path):
            uses.setdefault(name, []).append((path, line))
    unused = {
        name
        for path in sources()
        for name, lines in defined(path)
        if all(used == path and line in lines for used, line in uses.get(name, []))
    }
    assert unused <= FOR_USERS, sorted(unused - FOR_USERS)


def test_no_module_is_a_bag_of_helpers() -> None:
    bags = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in sources() if path.name in bags]
