"""What ``prunescope import`` was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import subjects
from analysis.cli.options import prepare_subject
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options.

    Attributes:
        file: Name of the file.
        content: Its bytes.
        said: Answers by name of the question.
        metric: Which of the file's numbers.
        renames: Layers by what the file calls them.
        model: Model address.
        data: Data address.
        like: A run whose subject is taken in their place.
        device: Where the model is loaded.
        workspace: The option.
        as_json: Whether JSON is printed.
    """

    file: str
    content: bytes
    said: Mapping[str, str]
    metric: str | None
    renames: Mapping[str, str]
    model: str | None
    data: str | None
    like: str | None
    device: str
    workspace: Path | None
    as_json: bool

    def prepared(self, store: Store) -> PreparedSubject | None:
        """Return the model that is asked for; None without any.

        Raises:
            InputError: Two are asked for, or data without a model.
        """
        if self.like is not None:
            if self.model is not None or self.data is not None:
                raise InputError(
                    "--like takes model and data of a run: leave --model and --data out"
                )
            row = store.runs.get(self.like)
            row.require_model()
            return prepare_subject(row.spec.subject, self.workspace)
        if self.model is None:
            if self.data is not None:
                raise InputError("--data is of a model: give --model as well")
            return None
        spec = subjects.usual_subject(self.model, self.data)
        return prepare_subject(replace(spec, device=self.device), self.workspace)
