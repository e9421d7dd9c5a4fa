"""What runs outside of the suite says the same in each place where it is written."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from setuptools import Distribution

from analysis.interop import FORMATS, VERIFIERS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def base_install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("base_install", ROOT / ".ci" / "base_install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands_of(target: str) -> list[str]:
    """Return what `make TARGET` runs, without the folder of the programs."""
    listed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [line.rpartition("bin/")[2] for line in listed]


def test_pre_commit_runs_the_checks_of_make_lint() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == ["make lint"]
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)
    named = hooks[0]["name"].partition("(")[2].rstrip(")").split(", ")
    run = [line.removesuffix(" .") for line in commands_of("lint")[-len(named) :]]
    assert run == named


def test_make_test_begins_with_make_lint() -> None:
    lint, test = commands_of("lint"), commands_of("test")
    assert [line for line in test if line in lint] == lint
    assert "pytest -n auto" in test[-1]
    assert test[-1] not in lint


def test_the_base_install_check_knows_every_extra(base_install: ModuleType) -> None:
    assert set(base_install.EXTRAS) == set(PROJECT["optional-dependencies"])


def test_a_module_needs_an_extra_only_if_it_imports_it_at_once(
    base_install: ModuleType, tmp_path: Path
) -> None:
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import onnx\n"
    cases = {
        "import ray\n": True,
        "from onnx.helper import make_node\n": True,
        "import rays\nfrom .ray import timm\n": False,
        f"{late}def late():\n    import ray\n": False,
    }
    for number, (text, needs) in enumerate(cases.items()):
        path = tmp_path / f"module_{number}.py"
        path.write_text(text)
        assert base_install._needs_extra(path) == needs


def test_every_requirement_is_pinned() -> None:
    """What `pip install -c constraints.txt` finds without a pin may change any day."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"].values()
    wanted = {
        requirement.partition("[")[0].partition(">")[0].lower()
        for requirement in [*PROJECT["dependencies"], *(item for extra in extras for item in extra)]
    } - {PROJECT["name"]}
    assert wanted <= pinned


MENTION = re.compile(
    r"(?<![\w/.])(?:analysis|pruners|pages|sample_models|tests|benchmarks)/[\w/]+(?:\.\w+)?"
)


@pytest.mark.parametrize(
    "page",
    [
        *sorted(path for path in ROOT.glob("docs/**/*.md")),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "Makefile")),
        ROOT / "pages" / "config.toml",
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_pages_name_is_there(page: Path) -> None:
    """A file that moved leaves no name behind."""
    named = set(MENTION.findall(page.read_text(encoding="utf-8")))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_wheel_has_every_file_of_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, styles, samples and settings work from any folder."""
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    packed = {Path(file) for _, _, file in command.find_all_modules()}
    packed |= {Path(source) / name for _, source, _, names in command.data_files for name in names}
    tracked = subprocess.run(
        ["git", "ls-files", "app.py", "analysis", "pages", "pruners", "sample_models"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = {Path(name) for name in tracked if not name.endswith(".md")}
    assert {item for item in expected - packed if (ROOT / item).exists()} == set()


def test_the_image_takes_what_it_needs_and_no_more() -> None:
    """Its command is the documented one, as no superuser; only packages get into the context."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    starts = [line.split(" ", 1)[0] for line in lines if line and line[0] not in "# "]
    assert starts[0] == "FROM"
    assert starts.index("USER") < starts.index("CMD")
    command = json.loads(next(line for line in lines if line.startswith("CMD"))[4:])
    assert command[:2] == ["prunescope", "serve"]
    context = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in context if line.startswith("!")}
    packages = {"analysis", "pages", "pruners", "sample_models", "app.py"}
    assert kept == packages | {"constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in kept)


def test_what_is_run_each_night_exists() -> None:
    """Heavy targets are verified nightly; every verifier is of some format."""
    script = ROOT / ".ci" / "nightly"
    asked = re.findall(r"^make (\S+)$", script.read_text("utf-8"), re.MULTILINE)
    assert asked == ["verify-exports", "fuzz", "test-nightly"]
    targets = (ROOT / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{name}:", targets, re.MULTILINE) for name in asked)
    assert script.stat().st_mode & 0o111
    assert {name for item in FORMATS for name in item.verify} == set(VERIFIERS.names())
