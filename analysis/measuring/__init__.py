"""Edits measured on slices of the evaluation set: one loop for all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
