"""Plain scripts that an export of masks comes with; each imports its library and torch alone."""

__all__: list[str] = []
