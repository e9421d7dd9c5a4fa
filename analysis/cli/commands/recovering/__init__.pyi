from . import join, recover

__all__ = ["join", "recover"]
