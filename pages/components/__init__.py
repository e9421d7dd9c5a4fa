"""Shared parts of the pages: frame, state, cached calls of analysis, charts, states."""
