"""``prunescope join``: lend this machine's devices to a training that another machine leads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import Json
from analysis.cli.output import print_json, say
from analysis.devices import device_names, parse_devices
from analysis.recovery import training
from analysis.sentences import plural


def join(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder of recover --meet, as this machine sees it.", metavar="DIR"
        ),
    ],
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda:0,cuda:1 or all: a process each.", metavar="NAMES"),
    ] = "cpu",
    as_json: Json = False,
) -> int:
    """Train along with the machine that runs recover --meet, until it is through.

    Model and data are opened from the same addresses as there, and their code runs here.
    """
    devices = device_names(parse_devices(device))
    say(f"Waiting in {folder} with {', '.join(devices)}; Ctrl-C leaves.")
    done = training.join(folder, devices)
    if as_json:
        print_json({"schema_version": 1, "trainings": done, "devices": list(devices)})
    else:
        say(f"Over: {plural(done, 'training')}.")
    return 0
