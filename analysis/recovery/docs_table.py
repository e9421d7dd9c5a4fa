"""Write the tables of training methods and recipe fields in their page from the program.

Run ``python -m analysis.recovery.docs_table docs/recovery.md``; a test fails when the page is old.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from analysis.recovery.training import TRAINING_METHODS, TrainingMethod, TrainingRecipe

_METHODS = ("| method | what | masks | source |", "|---|---|---|---|")
_FIELDS = ("| field | what | default |", "|---|---|---|")
_TABLE = r"^{}\n(?:\|.*\n)+"
_ATTRIBUTE = re.compile(r"^(\w+): (.*)")


def with_tables(page: str) -> str:
    """Return the page with both tables as the program has them."""
    methods = [_method(entry) for entry in TRAINING_METHODS]
    fields = [_field(field) for field in dataclasses.fields(TrainingRecipe)]
    for (head, line), rows in ((_METHODS, methods), (_FIELDS, fields)):
        old = re.search(_TABLE.format(re.escape(head)), page, re.MULTILINE)
        if old:
            page = page.replace(old[0], "\n".join([head, line, *rows]) + "\n")
    return page


def _method(entry: TrainingMethod) -> str:
    help_text = entry.help
    if entry.preset:
        preset = ", ".join(f"`{name}` {value}" for name, value in entry.preset.items())
        help_text += f". Preset: {preset}"
    masks = "move" if entry.regrows else "fixed"
    return (
        f"| `{entry.name}` ({entry.label}) | {help_text} | {masks} | {entry.citation or 'none'} |"
    )


def _field(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if default is None or default == ():
        shown = "none"
    elif isinstance(default, tuple):
        shown = ", ".join(f"`{item}`" for item in default)
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| `{field.name}` | {_texts()[field.name]} | {shown} |"


def _texts() -> dict[str, str]:
    """Return what the recipe's docstring says of each field."""
    lines = inspect.cleandoc(TrainingRecipe.__doc__ or "").splitlines()
    found: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Attributes:") + 1 : lines.index("Raises:")]:
        if start := _ATTRIBUTE.match(line.strip()):
            name = start[1] if line.startswith("    ") and not line.startswith("     ") else name
            found[name] = start[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {key: re.sub(r"``?([^`]+)``?", r"`\1`", text) for key, text in found.items()}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
