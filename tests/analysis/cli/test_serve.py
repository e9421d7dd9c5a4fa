"""``prunescope serve``."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from analysis.cli.commands import serve
from tests.helpers.command_line import Run, assert_one_line

ROOT = Path(__file__).resolve().parents[3]


def test_serve_passes_workspace_and_roots_to_the_dashboard(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, command: list[str], env: dict[str, str]) -> None:
        assert path == command[0]
        started.append((command, env))

    monkeypatch.setattr(serve.os, "execve", execve)
    monkeypatch.setattr(serve.subprocess, "call", lambda *_, **__: 0)
    code, out, _ = run(
        "serve", "--port", "0", "--workspace", tmp_path / "w", "--root", tmp_path, "--json"
    )
    assert code == 0
    command, environment = started[0]
    assert command[1:4] == ["-P", str(ROOT / "pages" / "components" / "server.py"), "run"]
    assert Path(command[4]) == ROOT / "app.py"
    assert command[command.index("--server.address") + 1] == "127.0.0.1"
    port = command[command.index("--server.port") + 1]
    assert json.loads(out) == {
        "url": f"http://127.0.0.1:{port}",
        "workspace": str(tmp_path / "w"),
    }
    assert environment["PRUNESCOPE_WORKSPACE"] == str(tmp_path / "w")
    assert json.loads(environment["PRUNESCOPE_ROOTS"]) == [str(tmp_path)]
    assert (tmp_path / "w").is_dir()


def test_a_taken_port_is_one_line(run: Run) -> None:

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert_one_line(run("serve", "--port", port), says="choose another --port")
