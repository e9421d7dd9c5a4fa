from .shell import frame

__all__ = [
    "frame",
]
