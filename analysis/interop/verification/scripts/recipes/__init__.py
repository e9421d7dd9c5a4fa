"""Scripts that verify formats of this kind."""

__all__: list[str] = []
