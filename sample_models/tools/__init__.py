"""How the samples were made; not part of the installed program."""

__all__: list[str] = []
