"""Shared parts of the pages: frame, state, cached calls of analysis, charts, states."""

# Each room is imported by its name.
__all__: list[str] = []
