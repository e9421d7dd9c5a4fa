"""How the samples were made; not part of the installed program."""
