"""Check that PruneScope works as installed without any extra: ``python .ci/base_install.py``.

In a new virtual environment, outside of the checkout, every module that needs no extra is imported
with all names that it offers, each page of the dashboard is drawn, and each command answers
``--help``. A module needs an extra if it imports one of the extra's libraries when it is imported;
a module that imports one only where it uses it does not.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Extra -> what it lets a module import. No module of the product may need dev or docs.
EXTRAS: dict[str, frozenset[str]] = {
    "timm": frozenset({"timm"}),
    "hf": frozenset({"transformers", "tokenizers"}),
    "onnx": frozenset({"onnx", "onnxruntime", "onnxscript"}),
    "openvino": frozenset({"openvino"}),
    "executorch": frozenset({"executorch"}),
    "coreml": frozenset({"coremltools"}),
    "ray": frozenset({"ray"}),
    "accelerate": frozenset({"accelerate"}),
    "docs": frozenset(),
    "dev": frozenset(),
}
LIBRARIES = frozenset().union(*EXTRAS.values())


def main() -> int:
    """Install into a new environment, and run this file again inside of it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prunescope-base-") as scratch:
        folder = Path(scratch).resolve()
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        # A wheel takes what an earlier build left there, modules that are gone included.
        shutil.rmtree(ROOT / "build", ignore_errors=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "-c", "constraints.txt", "."], cwd=ROOT, check=True)
        installed = time.monotonic() - started
        home = folder / "elsewhere"
        home.mkdir()
        inside = [python, "-I", str(Path(__file__).resolve()), "--inside"]
        code = subprocess.run(inside, cwd=home, env=_environment(home), check=False).returncode
    total = time.monotonic() - started
    print(f"base install: {installed:.0f} s to install, {total - installed:.0f} s to check")
    return code


def check() -> int:
    """Check the installed package; return 1 and name each fault if there is one."""
    faults = [*_extras(), *_modules(), *_scripts(), *_commands()]
    for fault in faults:
        print(f"base install: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _environment(home: Path) -> dict[str, str]:
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PRUNESCOPE_WORKSPACE"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {"PRUNESCOPE_WORKSPACE": str(home / "workspace"), "STREAMLIT_LOGGER_LEVEL": "error"}
    return {**kept, **own, "COLUMNS": "200"}


def _extras() -> Iterator[str]:
    declared = set(metadata.metadata("prunescope").get_all("Provides-Extra") or ())
    for extra in sorted(declared ^ set(EXTRAS)):
        yield f"extra {extra} is not in both pyproject.toml and the table of {Path(__file__).name}"
    for library in sorted(LIBRARIES):
        if importlib.util.find_spec(library) is not None:
            yield f"{library} is installed without its extra: this check would tell nothing"


def _files() -> list[tuple[str, Path]]:
    """Return the installed Python files with their paths inside of site-packages."""
    distribution = metadata.distribution("prunescope")
    return sorted(
        (str(file), Path(str(distribution.locate_file(file))).resolve())
        for file in distribution.files or ()
        if file.suffix == ".py"
    )


def _is_script(name: str) -> bool:
    """Whether Streamlit runs a file instead of somebody importing it."""
    return name == "app.py" or re.fullmatch(r"pages/[^/]+\.py", name) is not None


def _modules() -> Iterator[str]:
    imported, skipped = 0, []
    for name, path in _files():
        # Scripts for other programs run in their environments, and are data here.
        is_foreign = bool({"consumers", "scripts"} & set(path.parts))
        if _is_script(name) or path.stem == "__main__" or is_foreign:
            continue
        if path.is_relative_to(ROOT):
            yield f"{path} is in the checkout, not installed"
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if _needs_extra(path):
            skipped.append(module)
            continue
        imported += 1
        try:
            _offers(importlib.import_module(module))
        except Exception as error:
            yield f"{module}: {type(error).__name__}: {error}"
    print(f"base install: {imported} modules imported, {len(skipped)} need an extra", *skipped)
    if not imported:
        yield "no module is installed"


def _needs_extra(path: Path) -> bool:
    """Whether a file imports a library of an extra as soon as it is imported itself."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return bool(names & LIBRARIES)


def _offers(module: object) -> None:
    """Ask a module for all names that it offers; those of modules with an extra may be missing."""
    for name in getattr(module, "__all__", ()):
        try:
            getattr(module, name)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in LIBRARIES:
                raise


def _scripts() -> Iterator[str]:
    """Draw the dashboard's pages as they are in a new workspace."""
    from streamlit.testing.v1 import AppTest

    scripts = [(name, path) for name, path in _files() if _is_script(name)]
    home = AppTest.from_file(str(dict(scripts)["app.py"]), default_timeout=300)
    for name, path in scripts:
        page = home if name == "app.py" else home.switch_page(str(path))
        for problem in page.run().exception:
            yield f"{name}: {problem.message}"
    print(f"base install: {len(scripts)} pages drawn")


def _commands() -> Iterator[str]:
    prunescope = str(Path(sys.executable).parent / "prunescope")
    waiting: list[list[str]] = [[]]
    answered = 0
    while waiting:
        command = waiting.pop(0)
        call = [prunescope, *command, "--help"]
        answer = subprocess.run(call, capture_output=True, text=True, check=False)
        if answer.returncode or "Usage:" not in answer.stdout:
            yield f"{' '.join(call[1:])}: {answer.stderr.strip() or answer.stdout.strip()}"
        answered += 1
        _, _, listed = answer.stdout.partition("\nCommands:\n")
        inner = re.findall(r"^  ([a-z][a-z-]*)  ", listed, re.MULTILINE)
        waiting += [[*command, name] for name in inner]
    print(f"base install: {answered} commands answer --help")
    if answered < 2:
        yield "prunescope --help lists no command"


if __name__ == "__main__":
    sys.exit(check() if "--inside" in sys.argv[1:] else main())
