"""A plan: entries, edits, checks, files, history, size, prediction, applied to a subject."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
