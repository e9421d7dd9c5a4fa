"""What is learned from: samples, batches, and those that are set apart to select by."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
