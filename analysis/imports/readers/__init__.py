"""A reader a format: each turns bytes into a `RawResult`, and none runs anything of the file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
