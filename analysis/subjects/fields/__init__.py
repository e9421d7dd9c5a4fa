"""The parts of an address, each declared once: for its check, the form and the docs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
