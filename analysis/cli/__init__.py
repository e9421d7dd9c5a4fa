"""The command line: ``prunescope COMMAND ...`` (= ``python -m analysis COMMAND ...``)."""

from __future__ import annotations

from analysis.cli.program import main

__all__ = ["main"]
