"""Write the table of formats in its page from the program.

Run ``python -m analysis.interop.docs_table docs/exports.md``; a test fails when the page is old.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from analysis.interop.registry import FORMATS
from analysis.interop.request import Format

HEAD = ("| format | what | keeps | loses | target | install |", "|---|---|---|---|---|---|")
_TABLE = re.compile(re.escape(HEAD[0]) + r"\n(?:\|.*\n)+")


def with_table(page: str) -> str:
    """Return the page with the table of formats as the program has them."""
    rows = "\n".join([*HEAD, *(_row(entry) for entry in FORMATS)]) + "\n"
    return _TABLE.sub(lambda _: rows, page)


def _row(entry: Format) -> str:
    cells = (
        f"`{entry.name}`",
        entry.help,
        entry.keeps,
        entry.loses,
        entry.target or "",
        entry.installing,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
