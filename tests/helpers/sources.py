"""Data that are watched while they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.subjects.data.sources import Batch, Source


class WatchedSource:
    """The samples of another source; ``watch`` sees what is asked for first, and may raise."""

    def __init__(self, source: Source, watch: Callable[[Sequence[int]], None]) -> None:
        self.name = source.name
        self.class_names = source.class_names
        self.token_bytes = source.token_bytes
        self._source = source
        self._watch = watch

    def __len__(self) -> int:
        return len(self._source)

    def read(self, indices: Sequence[int]) -> Batch:
        self._watch(indices)
        return self._source.read(indices)

    def documents(self, indices: Sequence[int]) -> None:
        return None

    def digest(self, indices: Sequence[int]) -> str:
        return self._source.digest(indices)
