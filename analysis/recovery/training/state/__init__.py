"""What is kept of a training: all of it in a file, its generators, and other weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
