"""``prunescope serve``: the dashboard."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from analysis.cli.options import WORKSPACE_VARIABLE, Json, Workspace, open_store, workspace_path
from analysis.cli.output import print_json, say
from analysis.subjects import allowed_paths as loading_roots
from pruners.errors import InputError, PruneScopeError
from pruners.user_code import resolved

APP = Path(__file__).resolve().parents[3] / "app.py"
SETTINGS = APP.parent / "pages" / "config.toml"
SERVER = APP.parent / "pages" / "components" / "server.py"
TOKEN_VARIABLE = "PRUNESCOPE_TOKEN"


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
    token: Annotated[
        str,
        typer.Option(
            help="What to ask of whoever opens a page; the address that is printed has it.  "
            f"[default: ${TOKEN_VARIABLE}, or nothing is asked]",
            metavar="TEXT",
            envvar=TOKEN_VARIABLE,
            show_envvar=False,
        ),
    ] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Serve the dashboard until Ctrl-C."""
    command, environment = launch(
        port=port, host=host, roots=root, token=token, workspace=workspace
    )
    folder = environment[WORKSPACE_VARIABLE]
    bound = command[command.index("--server.port") + 1]
    url = f"http://{_reachable(host)}:{bound}"
    if token:
        url += f"/?{urlencode({'token': token})}"
    if as_json:
        print_json({"url": url, "workspace": folder})
    else:
        say(f"PruneScope at {url} (workspace {folder}); stop with Ctrl-C.")
    if not token and not _is_own(host):
        say(
            f"Whoever reaches {host}:{bound} can use it, and run code that lies below the allowed "
            "folders: there is no log-in. --token TEXT asks for one; the connection is not "
            "encrypted."
        )
    return _become(command, environment)


def _reachable(host: str) -> str:
    """Return how a browser on this machine names the host."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _is_own(host: str) -> bool:
    """Return whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _become(command: list[str], environment: dict[str, str]) -> int:
    """Become the server: whoever ends or kills this process has ended the server."""
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(command[0], command, environment)
    return subprocess.call(command, env=environment)


def launch(
    *,
    port: int,
    host: str,
    roots: list[Path] | None,
    workspace: Path | None,
    token: str = "",
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of the server.

    Raises:
        InputError: The port is taken, the host unknown, or a root is no folder.
        StoreError: The workspace cannot be used.
    """
    if not APP.is_file():
        raise PruneScopeError(f"the dashboard {APP} is missing; install PruneScope from its folder")
    folders = [resolved(item) for item in roots or [Path.cwd()]]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--root {folder} is not a folder")
    open_store(workspace).close()
    # -P: a package of the working folder must not be taken for one of ours, or of a library.
    command = [sys.executable, "-P", str(SERVER), "run", str(APP)]
    chosen = {"server.port": _free_port(host, port), "server.address": host}
    settings = dict(_settings(tomllib.loads(SETTINGS.read_text("utf-8"))))
    for name, value in (settings | chosen).items():
        command += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    environment = {
        **os.environ,
        WORKSPACE_VARIABLE: str(workspace_path(workspace)),
        loading_roots.VARIABLE: loading_roots.roots_text(folders),
        TOKEN_VARIABLE: token,
    }
    return command, environment


def _settings(given: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of a file by their full names."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def _free_port(host: str, port: int) -> int:
    """Return the port if it can be listened on; Streamlit would silently end, or take another."""
    if not host:
        raise InputError("--host is empty; 127.0.0.1 is this machine, 0.0.0.0 lets others in")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            return int(server.getsockname()[1])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host[:80]}:{port} cannot be listened on ({reason}); choose another --port, or 0 for "
            "any"
        ) from None
