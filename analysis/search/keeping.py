"""A search on disk: kept after each plan, found again by all that it depends on."""

from __future__ import annotations

import contextlib
from pathlib import Path

from analysis.edits import PreparedSubject
from analysis.files import atomic
from analysis.records import Plan
from analysis.search.records import Aim, SearchState, fingerprint
from pruners.errors import InputError

# To be raised when a change of the program changes what a search finds.
VERSION = 1


class Keeper:
    """Keeps the state of one search.

    Args:
        folder: Where; None keeps nothing.
        prepared: The subject on its search data.
        start: Where the search starts.
        aim: What it is asked for.

    Attributes:
        request: What tells the search from others.
        curves: What tells the curves that it reads from others.
    """

    def __init__(
        self, folder: Path | None, prepared: PreparedSubject, start: Plan, aim: Aim
    ) -> None:
        identity, subject = prepared.identity, prepared.subject
        # A search that may go on for longer is the same search: without trials and seconds.
        asked = [aim.recipe.to_dict(), aim.confidence, aim.measure]
        asked += [aim.saving] if aim.saving != 1.0 else []
        content = {
            "version": VERSION,
            "weights": identity.weights,
            "data": identity.data,
            "program": identity.program,
            "calibration": subject.calibration_fingerprint,
            "seed": subject.spec.seed,
            "repair": start.repair,
            "semantics": start.semantics,
            "reduction": start.reduction,
            "criteria": aim.criteria,
        }
        names = [(entry.granularity, entry.name) for entry in start.entries]
        entries = [entry.to_dict() for entry in start.entries]
        self.curves = fingerprint({**content, "entries": names})
        self.request = fingerprint({**content, "entries": entries, "aim": asked})
        self._path = None if folder is None else folder / f"{self.request}.json"

    def load(self) -> SearchState:
        """Return the search as far as it got; a new one if there is none, or it is damaged."""
        blank = SearchState(request=self.request)
        if self._path is None:
            return blank
        try:
            found = SearchState.from_json(self._path.read_text())
        except (OSError, InputError, UnicodeDecodeError):
            return blank
        return found if found.request == self.request else blank

    def save(self, state: SearchState) -> None:
        """Write the state; a folder that cannot be written means that it begins anew."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self._path) as partial:
                partial.write_text(state.to_json())
