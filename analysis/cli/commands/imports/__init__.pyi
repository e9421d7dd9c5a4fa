from .command import import_file

__all__ = ["import_file"]
