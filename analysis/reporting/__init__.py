"""Reports to share: a plan with all that was measured of it, one file that needs no other."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
