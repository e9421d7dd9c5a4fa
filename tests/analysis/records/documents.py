"""Documents as JSON has them, for tests of what is wrong with one."""

from __future__ import annotations

from typing import Any

ENTRY = {
    "layer": "a",
    "group": None,
    "criterion": "l1",
    "granularity": "channel",
    "ratio": 0.5,
    "kept": 2,
    "total": 4,
}
SUBJECT = {"model": "m"}
PLAN = {"subject": SUBJECT, "fingerprint": "f", "entries": [ENTRY, ENTRY, ENTRY, ENTRY]}
SWEEP = {"subject": SUBJECT}
NEWER = "written by a newer program (schema version 9, this one reads up to {}); update PruneScope"


def entry(**changes: Any) -> dict[str, Any]:
    return {**PLAN, "entries": [ENTRY, ENTRY, ENTRY, {**ENTRY, **changes}]}
