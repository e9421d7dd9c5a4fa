"""Recipes of other tools: text that has them prune as many weights or channels as the plan."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
