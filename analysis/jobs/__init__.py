"""Jobs: what a person ordered and a process of its own works on, kept as files of the workspace."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
