"""The command line: ``prunescope COMMAND ...`` (= ``python -m analysis COMMAND ...``)."""

from __future__ import annotations

from analysis.cli.app import main

__all__ = [
    "main",
]
