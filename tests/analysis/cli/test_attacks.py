"""What people type and hand over, in error or on purpose: one line and an exit code."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit
import torch
from PIL import Image

from analysis.cli import main
from analysis.cli.commands.serve import SETTINGS, launch
from analysis.subjects import allowed_paths, parse_model
from analysis.subjects.factories import call_factory, load_function
from pruners.errors import AddressError, InputError

Refused = Callable[..., str]
ROOT = Path(__file__).resolve().parents[3]
PACKAGED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
    "package-data"
]
QUITTERS = """
import asyncio, sys, torch
from torch import nn
def net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
def quits(): sys.exit(0)
class Skipped(BaseException): pass
def skips(): raise Skipped("no GPU")
class Forward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)
    def forward(self, x): sys.exit("enough")
class Data:
    def __len__(self): return 40
    def __getitem__(self, index): exit(3) if index == 7 else None; return torch.zeros(1, 28, 28), 1
class Length(Data):
    def __len__(self): sys.exit(4)
class Closed(Data):
    def __getitem__(self, index): raise GeneratorExit("no more")
class Cancelled(Data):
    def __getitem__(self, index): raise asyncio.CancelledError
"""


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Call the program in a folder of the test; return the one line with which it refuses."""
    monkeypatch.chdir(tmp_path)
    # Becoming the server would end the tests.
    monkeypatch.setattr("analysis.cli.commands.serve._become", lambda *_: 0)

    def call(*arguments: object, code: int = 2) -> str:
        found = main([str(item) for item in arguments])
        error = capsys.readouterr().err
        assert found == code, error
        assert "Traceback" not in error
        assert error.count("\n") == 1, error
        return error

    return call


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("quits", "Data", "quits() raised RuntimeError: the code called sys.exit(0)"),
        ("Forward", "sample:fashion-mnist", "the code called sys.exit('enough')"),
        ("net", "Data", "raised RuntimeError: the code called sys.exit(3)"),
        ("net", "Length", "the code called sys.exit(4)"),
        ("net", "quits", "quits() raised RuntimeError: the code called sys.exit(0)"),
        ("skips", "Data", "skips() raised RuntimeError: the code raised Skipped: no GPU"),
        ("net", "Closed", "raised RuntimeError: the code raised GeneratorExit: no more"),
        ("net", "Cancelled", "the code raised CancelledError: no reason"),
    ],
)
def test_code_of_the_user_ends_nothing(
    refused: Refused, tmp_path: Path, model: str, data: str, said: str
) -> None:
    """The page never answered, the command ended without a line."""
    Path(tmp_path, "q.py").write_text(QUITTERS)
    data = data if ":" in data else f"q.py:{data}"
    assert said in refused("inspect", "--model", f"q.py:{model}", "--data", data)


def test_files_that_end_the_program_when_they_are_imported(
    refused: Refused, tmp_path: Path
) -> None:
    """Modules, files and criterion files."""
    Path(tmp_path, "leaves.py").write_text("import sys\nsys.exit(5)\n")
    for address in ("leaves.py:build", "leaves:build"):
        assert "sys.exit(5)" in refused("inspect", "--model", address)
    assert "leaves.py: RuntimeError: the code called sys.exit(5)" in refused(
        "sweep",
        *("--model", "sample:lenet5", "--data", "sample:fashion-mnist", "--criteria", "l1"),
        *("--criterion-file", "leaves.py", "--samples", "50"),
    )


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (SystemExit(3), "the code called sys.exit(3); it must return instead"),
        (GeneratorExit("no more"), "the code raised GeneratorExit: no more"),
        (asyncio.CancelledError(), "the code raised CancelledError: no reason"),
    ],
)
def test_code_that_ends_the_program_wherever_it_runs(
    refused: Refused, problem: BaseException, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model without a graph runs in each slice, where all but the first were tracebacks."""

    def ends(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr("analysis.subjects.load_subject", ends)
    assert said in refused("inspect", "--model", "sample:lenet5")


def test_a_model_that_raises_amid_its_evaluation(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model without a graph, whose code runs in each slice, it was a traceback."""
    Path(tmp_path, "q.py").write_text("def late(*_, **__):\n    return {}['x']\n")
    late = load_function(parse_model("q.py:late"))
    monkeypatch.setattr("analysis.subjects.load_subject", late)
    said = "prunescope: q.py, line 2, raised KeyError: 'x'\n"
    assert refused("inspect", "--model", "sample:lenet5") == said


ODD = """
import torch
from torch import nn
def net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
class Data:
    def __getitem__(self, index): return torch.zeros(1, 28, 28), 1
def of(count): return type("Odd", (Data,), {"__len__": lambda self: count})
negative, text, real, huge, big = map(of, (-1, "x", 2.5, 10**30, 2**62))
"""


@pytest.mark.parametrize("data", ["negative", "text", "real", "huge", "big"])
def test_odd_lengths_are_one_line(refused: Refused, tmp_path: Path, data: str) -> None:
    """Tracebacks of `len` and of the order of samples."""
    Path(tmp_path, "o.py").write_text(ODD)
    error = refused("inspect", "--model", "o.py:net", "--data", f"o.py:{data}")
    assert "its __len__ " in error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (torch.Tensor.to_sparse, "not plain: 1.weight is sparse"),
        (lambda item: item.to("meta"), "1.weight is on the meta device, without values"),
        (lambda item: torch.nested.nested_tensor([item]), "1.weight is nested"),
        (lambda item: torch.quantize_per_tensor(item, 0.1, 0, torch.qint8), "torch.qint8"),
    ],
)
def test_odd_weights_are_one_line(
    refused: Refused, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    """Sparse, meta and quantised weights."""
    Path(tmp_path, "o.py").write_text(ODD)
    state = {"1.weight": change(torch.ones(10, 784)), "1.bias": torch.zeros(10)}
    torch.save(state, tmp_path / "w.pt")
    assert said in refused("inspect", "--model", "o.py:net#weights=w.pt")


LONG, MANY = "a" * 300, "9" * 5000
SWEEP = ("sweep", "--model", "sample:lenet5", "--data", "sample:fashion-mnist", "--samples", "20")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "--model", "~nouser/x.py:build"), "'~nouser/x.py' cannot be opened"),
        (("inspect", "--model", "sample:lenet5#weights=%00"), "embedded null"),
        (("inspect", "--model", f"sample:lenet5#weights={LONG}"), "File name too long"),
        (("inspect", "--model", "sample:lenet5#weights=."), "is a folder, not a weights file"),
        (("inspect", "--model", f"{LONG}.py:build"), "File name too long"),
        (("inspect", "--model", "sample:lenet5", "--data", f"npz:{LONG}"), "name too long"),
        (
            ("inspect", "--model", "sample:lenet5", "--data", "torchvision:CIFAR10#root=~nouser"),
            "'~nouser' cannot be opened",
        ),
        *(
            (("inspect", "--model", f"torchvision:resnet18#input={text}"), "whole numbers above 0")
            for text in ("-1,2,3", "1e30,3,3", "1.5,3,3", "0,3,3", "3,,3", MANY)
        ),
        (
            ("inspect", "--model", f"torchvision:resnet18#classes={MANY}"),
            "at most 9 digits",
        ),
        ((*SWEEP, "--granularity", f"block:{MANY}x1"), "unknown granularity"),
        ((*SWEEP, "--granularity", f"1:{MANY}"), "unknown granularity"),
        ((*SWEEP, "--memory-limit", f"{MANY}GB"), "written like 512MiB"),
        ((*SWEEP, "--ratios", MANY), "is not a number"),
        ((*SWEEP, "--workspace", "~nouser/w"), "cannot be opened"),
        ((*SWEEP, "--criterion-file", "~nouser/c.py"), "cannot be opened"),
        ((*SWEEP, "--criterion-file", LONG), "File name too long"),
        (("evaluate", "--plan", "/dev/zero"), "more than 67,108,864 bytes"),
        (("serve", "--root", "~nouser"), "cannot be opened"),
        (("serve", "--host", ""), "--host is empty"),
        (("serve", "--host", LONG, "--port", "0"), "cannot be listened on"),
    ],
)
def test_odd_paths_and_numbers_are_one_line(
    refused: Refused, arguments: tuple[str, ...], said: str
) -> None:
    """Tracebacks of the file system, of integers, of memory."""
    error = refused(*arguments)
    assert said in error
    assert len(error) < 2100


def test_shapes_and_scales_that_no_memory_or_float_holds(refused: Refused, tmp_path: Path) -> None:
    """Tracebacks of the allocator, of the product of sizes, of torchvision."""
    Path(tmp_path, "o.py").write_text(ODD)
    Path(tmp_path, "pictures", "a").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(tmp_path / "pictures" / "a" / "0.png")
    for shape in ("99999999,9999,9999", ",".join(["999999999"] * 4)):
        assert "can be made" in refused("inspect", "--model", f"o.py:net#input={shape}")
    data = "imagefolder:pictures#std=1e-320"
    assert "std must not be 0" in refused("inspect", "--model", "o.py:net", "--data", data)


# --- what pages may reach -------------------------------------------------------------------------


def test_modules_that_are_links_out_of_the_root_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the package's own place was looked at, not that of what it holds."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "pack_c1", outside):
        folder.mkdir(parents=True)
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\ndef build(): pass\n"
    (outside / "sub.py").write_text(code)
    (inside / "pack_c1" / "__init__.py").write_text("")
    (inside / "pack_c1" / "sub.py").symlink_to(outside / "sub.py")
    (inside / "pack_c1" / "late.py").write_text("def build():\n    import pack_c1.sub\n")
    (inside / "pack_c1" / "fine.py").write_text("def build(): return 3\n")
    monkeypatch.chdir(inside)
    for name in ("pack_c1.sub", "pack_c1.late"):
        with pytest.raises(AddressError, match="outside of the folders that this server allows"):
            call_factory(parse_model(f"{name}:build"), roots=[inside])
        assert not mark.exists()
    assert call_factory(parse_model("pack_c1.fine:build"), roots=[inside]) == 3


def test_a_root_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--root "/a/x:v2"` became the roots /a/x and v2."""
    folder = tmp_path / "x:v2"
    folder.mkdir()
    _, environment = launch(port=0, host="127.0.0.1", roots=[folder], workspace=tmp_path / "w")
    monkeypatch.setenv(allowed_paths.VARIABLE, environment[allowed_paths.VARIABLE])
    assert allowed_paths.roots_of_environment() == (folder,)
    monkeypatch.setenv(allowed_paths.VARIABLE, str(folder))
    with pytest.raises(InputError, match="PRUNESCOPE_ROOTS is not JSON"):
        allowed_paths.roots_of_environment()


@pytest.mark.parametrize(
    ("host", "token", "is_open"),
    [
        ("127.0.0.1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("0.0.0.0", "s&1", False),
    ],
)
def test_whoever_lets_others_in_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    host: str,
    token: str,
    is_open: bool,
) -> None:
    """`--host 0.0.0.0` started without a word that there is no log-in."""
    monkeypatch.setattr("analysis.cli.commands.serve._become", lambda *_: 0)
    arguments = ["serve", "--port", "0", "--host", host, "--workspace", str(tmp_path)]
    assert main([*arguments, *(["--token", token] if token else [])]) == 0
    error = capsys.readouterr().err
    assert ("there is no log-in" in error) == is_open
    assert ("/?token=s%261 " in error) == bool(token)


# --- started from any folder ----------------------------------------------------------------------


def test_the_dashboard_has_its_settings_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed dashboard had another theme, tool bar and file watcher."""
    monkeypatch.chdir(tmp_path)
    command, _ = launch(port=0, host="127.0.0.1", roots=None, workspace=tmp_path / "w")
    given = dict(zip(command[5::2], command[6::2], strict=True))
    assert given["--client.toolbarMode"] == "minimal"
    assert given["--server.fileWatcherType"] == "none"
    assert given["--theme.light.sidebar.backgroundColor"] == "#F7F8FB"
    assert given["--client.showSidebarNavigation"] == "false"
    assert json.loads(given["--theme.headingFontWeights"])[0] == 650
    known = set(streamlit.config.get_config_options(force_reparse=True))
    assert {name.removeprefix("--") for name in given} <= known
    assert SETTINGS.name in PACKAGED["pages"]


def test_packages_of_the_working_folder_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder `analysis` where `serve` was started ran in place of the worker."""
    for name in ("analysis", "streamlit"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the other one')\n")
        (tmp_path / name / "__main__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    command, _ = launch(port=0, host="127.0.0.1", roots=None, workspace=tmp_path / "w")
    assert command[1] == "-P"
    started = subprocess.run([*command[:3], "version"], capture_output=True, text=True, check=False)
    assert "the other one" not in started.stderr
    assert started.returncode == 0
