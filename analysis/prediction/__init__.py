"""What a plan will cost, told from what each layer alone did, and from plans that were measured."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
