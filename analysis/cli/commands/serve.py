"""``prunescope serve``: the dashboard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import WORKSPACE_VARIABLE, Json, Workspace, open_store, workspace_path
from analysis.cli.output import print_json, say
from analysis.subjects import allowed_paths as loading_roots
from pruners.errors import InputError, PruneScopeError

APP = Path(__file__).resolve().parents[3] / "app.py"


def serve(
    port: Annotated[
        int, typer.Option(help="Port; 0 takes a free one.", metavar="N", min=0, max=65535)
    ] = 8501,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.", metavar="HOST"),
    ] = "127.0.0.1",
    root: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder below which files typed into a page may lie; repeatable.  "
            "[default: the working folder]",
            metavar="DIR",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Serve the dashboard until Ctrl-C."""
    command, environment = launch(port=port, host=host, roots=root, workspace=workspace)
    folder = environment[WORKSPACE_VARIABLE]
    bound = command[command.index("--server.port") + 1]
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{bound}"
    if as_json:
        print_json({"url": url, "workspace": folder})
    else:
        say(f"PruneScope at {url} (workspace {folder}); stop with Ctrl-C.")
    return _become(command, environment)


def _become(command: list[str], environment: dict[str, str]) -> int:
    """Become the server: whoever ends or kills this process has ended the server."""
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(command[0], command, environment)
    return subprocess.call(command, env=environment)


def launch(
    *, port: int, host: str, roots: list[Path] | None, workspace: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of the server.

    Raises:
        InputError: The port is taken, the host unknown, or a root is no folder.
        StoreError: The workspace cannot be used.
    """
    if not APP.is_file():
        raise PruneScopeError(f"the dashboard {APP} is missing; install PruneScope from its folder")
    folders = [item.expanduser().resolve() for item in roots or [Path.cwd()]]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--root {folder} is not a folder")
    open_store(workspace).close()
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(_free_port(host, port)), "--server.address", host]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    environment = {
        **os.environ,
        WORKSPACE_VARIABLE: str(workspace_path(workspace).resolve()),
        loading_roots.VARIABLE: os.pathsep.join(str(folder) for folder in folders),
    }
    return command, environment


def _free_port(host: str, port: int) -> int:
    """Return the port if it can be listened on; Streamlit would silently end, or take another."""
    try:
        with socket.create_server((host, port)) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); choose another "
            "--port, or 0 for any"
        ) from None
