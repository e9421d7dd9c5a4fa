"""What users' code does to the process that runs it."""

from __future__ import annotations

import os
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch

from analysis.subjects.factories import call_factory
from analysis.subjects.parsing import parse_model
from pruners.errors import AddressError
from pruners.user_code import exits, leave
from pruners.user_code.lending import kept_settings

# Each sets something for the whole process, at the top of a file or in its function.
LEAVES = """
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True)
    warnings.simplefilter("error")
    sys.setrecursionlimit(900)
    sys.stdout = io.StringIO()
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
"""


def state() -> list[object]:
    return [
        *(torch.get_default_dtype(), torch.empty(0).device, torch.is_grad_enabled()),
        *(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()),
        *(list(warnings.filters), sys.getrecursionlimit(), sys.stdout, Path.cwd()),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_factory_sets_for_all_is_put_back(
    tmp_path: Path, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, threads and the working folder were another subject's from then on.

    What the file opens beside itself is found again when its function is called once more.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "beside.txt").write_text("7", encoding="utf-8")
    text = "import io, os, sys, torch, warnings\nfrom pathlib import Path\n"
    end = "1 / 0" if fails else "return int(Path('beside.txt').read_text())"
    text += f"{textwrap.dedent(LEAVES)}def make():{LEAVES}    {end}\n"
    (tmp_path / "sub" / "own.py").write_text(text, encoding="utf-8")
    before = state()
    for _ in range(2):
        if fails:
            with pytest.raises(AddressError, match="ZeroDivisionError"):
                call_factory(parse_model("sub/own.py:make"))
        else:
            assert call_factory(parse_model("sub/own.py:make")) == 7
        assert state() == before


def test_torch_that_cannot_say_that_no_device_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.9 fails to name the default device once one was set and set back to none."""
    asked = torch.get_default_device

    def default_device() -> torch.device:
        found = asked()
        if found.type == "cpu":
            raise AttributeError("'NoneType' object has no attribute 'device'")
        return found

    monkeypatch.setattr(torch, "get_default_device", default_device)
    for _ in range(2):
        with kept_settings():
            torch.set_default_device("meta")
        assert torch.empty(0).device == torch.device("cpu")


def test_a_module_edited_within_a_second_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's compiled file has the second and the size of the one before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # Where the environment asks for none, the fault does not show.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    top, helper = tmp_path / "named_top.py", tmp_path / "named_helper.py"
    top.write_text("import named_helper\ndef make(): return named_helper.SCALE\n", encoding="utf-8")
    found = []
    for scale in (1, 2):
        helper.write_text(f"SCALE = {scale}\n", encoding="utf-8")
        os.utime(helper, ns=(10**18 + scale, 10**18 + scale))
        found.append(call_factory(parse_model("named_top:make")))
    assert found == [1, 2]


def test_a_thread_of_users_code_does_not_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command, or a worker, was done and did not end."""
    ends: list[object] = []
    monkeypatch.setattr(exits, "_end", ends.append)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: ends.append("cleaned up"))
    (tmp_path / "own.py").write_text(
        "import threading\ndef make():\n    event = threading.Event()\n"
        "    threading.Thread(target=event.wait).start()\n    return event\n",
        encoding="utf-8",
    )
    assert leave(0) == 0
    event = call_factory(parse_model(f"{tmp_path}/own.py:make"))
    try:
        leave(2)
    finally:
        event.set()
    assert ends == ["cleaned up", 2]
