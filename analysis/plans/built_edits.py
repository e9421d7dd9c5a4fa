"""Edits of a plan's entries, kept from one version of the plan to the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from weakref import ReferenceType, ref

from torch import Tensor

from analysis.edits import Edit
from analysis.records import PlanEntry

MAX_BYTES = 2**28


@dataclass(frozen=True, slots=True, eq=False)
class _Built:
    """An edit and what it was built from.

    Attributes:
        content: What the entry asks for.
        before: The tensors that it started from, where other edits had left them.
        edit: The edit.
    """

    content: Hashable
    before: Mapping[str, ReferenceType[Tensor]]
    edit: Edit

    @property
    def bytes(self) -> int:
        """Memory of its tensors."""
        return sum(item.numel() * item.element_size() for item in self.edit.tensors.values())

    def starts_from(self, edited: Mapping[str, Tensor]) -> bool:
        """Return whether the tensors that it started from are still the same ones."""
        # One that is gone is not the same as none at all.
        started = {name for name in self.edit.tensors if name in edited}
        return started == self.before.keys() and all(
            self.before[name]() is edited[name] for name in started
        )


class BuiltEdits:
    """The last edit of each group or layer; safe to use from several threads.

    Args:
        max_bytes: Memory for their tensors; an edit beyond it is built anew each time.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._built: dict[Hashable, _Built] = {}
        self._lock = threading.Lock()

    def edit(
        self,
        entry: PlanEntry,
        how: Hashable,
        edited: Mapping[str, Tensor],
        build: Callable[[], Edit],
    ) -> Edit:
        """Return the edit of an entry: the last one, if nothing behind it has changed.

        Args:
            entry: The entry.
            how: What else its edit depends on, such as the semantics.
            edited: What the entries before it have made of the model's tensors.
            build: Builds the edit from those.
        """
        name = (entry.granularity, entry.name)
        content = (entry.criterion, entry.kept, entry.total, entry.indices, how)
        with self._lock:
            last = self._built.get(name)
        if last is not None and last.content == content and last.starts_from(edited):
            return last.edit
        edit = build()
        before = {item: ref(edited[item]) for item in edit.tensors if item in edited}
        self._keep(name, _Built(content, before, edit))
        return edit

    def _keep(self, name: Hashable, built: _Built) -> None:
        with self._lock:
            old = self._built.pop(name, None)
            self._bytes -= 0 if old is None else old.bytes
            if self._bytes + built.bytes <= self._max_bytes:
                self._built[name] = built
                self._bytes += built.bytes
