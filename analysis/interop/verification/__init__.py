"""Exports read back: by another process with torch alone, and by the libraries they are for."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
