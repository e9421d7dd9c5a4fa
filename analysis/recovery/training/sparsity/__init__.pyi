from .fixed_masks import FixedMasks

__all__ = ["FixedMasks"]
